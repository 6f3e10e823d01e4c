#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/expected.hpp>

#include "actors/admission.hpp"
#include "actors/buffer_records.hpp"
#include "actors/config_judge.hpp"
#include "actors/credentials.hpp"
#include "actors/intake.hpp"
#include "actors/node_directory.hpp"
#include "actors/tenant_shares.hpp"
#include "config/node_config.hpp"
#include "messages/environment.hpp"
#include "messages/guard_switches.hpp"
#include "messages/node_status.hpp"
#include "store/store.hpp"
#include "supervisors/config_distribution.hpp"
#include "supervisors/node_metrics_set.hpp"
#include "supervisors/overload_board.hpp"
#include "supervisors/push_overview.hpp"
#include "supervisors/run_mark.hpp"
#include "supervisors/supervised_children.hpp"
#include "supervisors/supervision_board.hpp"

namespace weir {

/// How a node is put together; the same for a process and for a test.
struct node_parts {
  node_config config;
  /// What the node works by from its first moment on: the last known good config, or an empty one (version 0) if it
  /// never had any. Never null.
  config_snapshot_ptr snapshot;
  environment world;
  /// Blocking roles get threads of their own. Off in tests on CAF's testing scheduler.
  bool own_threads = true;
  guard_switches guards{};
  /// Writes the last known good config; see `config_targets::keep_last_known_good`. Empty: nothing is kept.
  std::function<std::string(const config_snapshot&)> keep{};
  /// Called when the roles crashed so often that their supervisor gave up: this node does nothing any more. From
  /// any thread; may be empty.
  std::function<void()> gave_up{};
};

/// One node's data side: the store, the roles under their supervisors, and the config they work by.
///
/// It speaks no protocol: sources hand bodies to `gate()`, and the control endpoint reads what is
/// offered here. All members may be called from any thread, but `stop` once.
class node {
 public:
  /// Recovers the store and starts the roles. Errors: the store's.
  static caf::expected<std::unique_ptr<node>> start(caf::actor_system& system, node_parts parts);
  ~node();

  /// Ends as if the process had died: nothing is drained, closed or answered. The roles end while the
  /// actor system runs on. For tests of recovery.
  void abandon();

  std::shared_ptr<ingest_gate> gate() const { return intake_; }
  /// The roles, for who looks at them from outside.
  const node_directory& roles() const { return *directory_; }
  const std::shared_ptr<weir::credentials>& tokens() const { return credentials_; }
  metrics_registry& metrics() { return metrics_->registry; }
  node_metrics_set& metric_set() { return *metrics_; }
  const node_metrics_set& gauges() const { return *metrics_; }
  const std::string& name() const noexcept { return parts_.config.name; }
  const store::recovery_report& recovery() const { return recovery_; }

  /// How a config reaches the roles; for the publisher.
  const std::shared_ptr<config_distribution>& targets() const { return targets_; }
  /// The config in force everywhere.
  config_snapshot_ptr snapshot() const { return targets_->in_force(); }
  const guard_switches& guards() const noexcept { return parts_.guards; }
  /// A scratch node, whose guards may be off and which no customer uses.
  bool unsafe() const noexcept { return !parts_.config.destinations.scratch_root.empty(); }

  // What the control endpoint shows. Short locks, no actor is asked.
  store::ledger_totals ledger() const { return store_->ledger(); }
  const store::segmented_store& store() const { return *store_; }
  store::usage store_usage() const { return store_->used(); }
  const node_status& status() const { return *status_; }
  const std::shared_ptr<overload_board>& overload() const { return overload_; }
  std::map<std::string, bodies_under_way::counts> bodies_on_their_way() const { return under_way_->all(); }
  credit_window::limits memory_in_flight() const { return memory_->used(); }
  std::vector<push_policy::destination_report> destinations() const { return pushes_->troubled(); }
  /// Buffers that crashed too often and wait for `unpark`; at most `limit`.
  std::vector<supervision_board::row> parked(std::size_t limit) const;
  /// Starts a parked buffer again. `answer` is called once, from any thread: none; `not_found`; `refused`, if it
  /// is not parked; or what kept the supervisor from answering within 5 s.
  void unpark(job_id job, std::function<void(caf::error)> answer) const;
  /// Whether all roles on the way to the disk are there and have read what the store knows. Before
  /// that, and while one of them is restarted, some events are turned away with a passing reason.
  bool recovered() const;
  /// Why the node does not want traffic now; empty: it does.
  std::vector<std::string> not_ready() const;

  /// Refuses new bodies from now on.
  void refuse_ingest() { status_->shutting_down.store(true); }

  /// Ends in order: seals and writes what the shards hold, pushes what can still be pushed until
  /// `deadline`, and closes the store. Everything acknowledged stays on disk whatever the deadline.
  /// `hurry` is asked meanwhile; once it says yes, pushing ends at once. True if nothing is left to push.
  bool stop(std::chrono::milliseconds deadline, const std::function<bool()>& hurry);

 private:
  node(caf::actor_system& system, node_parts parts);
  caf::error open_store();
  void make_shared_parts();
  void make_config_parts();
  config_judge judge_of(judging_role role, std::size_t index) const;
  caf::error start_tree();
  void show_before_scrapes();
  supervisor_spec spec_of(supervisor_name name) const;
  supervisor_spec tree();
  child_spec writer_child();
  child_spec shards_and_receivers();
  child_spec forwarders();
  child_spec buffers_child();
  child_spec pusher_child();
  child_spec watch_child();
  bool drain_roles(std::chrono::steady_clock::time_point until);
  bool push_out(std::chrono::steady_clock::time_point until, const std::function<bool()>& hurry);

  caf::actor_system& system_;
  node_parts parts_;
  std::shared_ptr<store::segmented_store> store_;
  store::recovery_report recovery_;
  std::optional<run_mark> mark_;
  std::shared_ptr<node_metrics_set> metrics_;
  std::shared_ptr<node_status> status_;
  std::shared_ptr<node_directory> directory_;
  std::shared_ptr<weir::credentials> credentials_;
  std::shared_ptr<credit_window> memory_;
  std::shared_ptr<credit_window> on_the_way_;
  std::shared_ptr<tenant_shares> shares_;
  std::shared_ptr<buffer_admission> admission_;
  std::shared_ptr<push_overview> pushes_;
  std::shared_ptr<supervision_board> board_;
  std::shared_ptr<overload_board> overload_;
  std::shared_ptr<bodies_under_way> under_way_ = std::make_shared<bodies_under_way>();
  std::shared_ptr<intake> intake_;
  supervisor_actor root_;
  std::shared_ptr<role_configs> role_configs_;
  std::shared_ptr<const config_gate> forwarder_gate_, receiver_gate_;
  std::shared_ptr<const config_refusal_counters> refusals_[judging_role_count];
  std::shared_ptr<config_distribution> targets_;
  both_clocks began_;
  bool stopped_ = false;
};

} // namespace weir
