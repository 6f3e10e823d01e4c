#pragma once

#include <memory>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/expected.hpp>

#include "actors/config_desk.hpp"
#include "config/node_config.hpp"
#include "messages/environment.hpp"
#include "messages/guard_switches.hpp"
#include "messages/supervision.hpp"
#include "supervisors/supervision_board.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

/// The actor system of the control side: one worker that does not poll (ADR 0001).
struct control_system_config : caf::actor_system_config {
  control_system_config();
};

struct control_side_parts {
  node_config config;
  environment world;
  guard_switches guards;
  std::shared_ptr<config_targets> targets; ///< The data side, as the publisher reaches it.
  read_config_source source;
  metrics_registry* metrics = nullptr; ///< Outlives this.
  /// Empty: `<data_dir>/config/history.db`, whose folder is made. `:memory:` for a node on a disk that is not real.
  std::string history_file;
  std::shared_ptr<const config_signer> signer; ///< Of the history's contents; null: they are not signed.
  /// Blocking roles get threads of their own. Off in tests on CAF's testing scheduler.
  bool own_threads = true;
};

/// The control half of a node's tree: the config publisher under its supervisor, in an actor system of its own. A
/// publisher that crashes is started again and goes on from its history; one that crashes too often is parked, and
/// the node works on by the config in force.
///
/// Ends before the data side does and before both actor systems. Members may be called from any thread, `stop` once.
class control_side {
 public:
  /// `system` is the control system. Errors: the folder of the history cannot be made.
  static caf::expected<std::unique_ptr<control_side>> start(caf::actor_system& system, control_side_parts parts);
  ~control_side();

  /// Where the control endpoint, reloads and the source's poller reach the publisher.
  config_desk& config() noexcept { return *desk_; }
  /// Children that are parked and why, for the control endpoint.
  std::vector<supervision_board::row> parked(std::size_t limit) const {
    return board_->list(child_state::parked, limit);
  }

  /// Ends the tree; waits for at most ten seconds.
  void stop();

 private:
  control_side(caf::actor_system& system, control_side_parts parts);
  child_spec publisher_child();

  caf::actor_system& system_;
  control_side_parts parts_;
  std::shared_ptr<config_desk> desk_ = std::make_shared<config_desk>();
  std::shared_ptr<publication_metrics> metrics_;
  std::shared_ptr<supervision_board> board_ = std::make_shared<supervision_board>();
  supervisor_actor root_;
};

} // namespace weir
