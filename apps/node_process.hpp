#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <caf/actor_system.hpp>

#include "actors/control/control_listener.hpp"
#include "actors/sources/http_source.hpp"
#include "apps/data_system.hpp"
#include "apps/declared_jobs.hpp"
#include "apps/drill_runs.hpp"
#include "apps/source_poller.hpp"
#include "config/node_config.hpp"
#include "supervisors/control_side.hpp"
#include "supervisors/heartbeat.hpp"
#include "supervisors/kept_config.hpp"
#include "supervisors/ledger_marks.hpp"
#include "supervisors/node.hpp"
#include "supervisors/operator_desk.hpp"

namespace weir {

/// A node as a process: the real world, the listeners, and the order in which they come and go.
class node_process {
 public:
  /// `world` is what `loaded` was read from, and is read from again by a reload. `gave_up` is called, from any thread,
  /// when the roles crashed too often to go on; then only `stop` is left.
  node_process(std::string config_path, config_world world, loaded_node loaded, guard_switches guards = {},
               std::function<void()> gave_up = {});
  ~node_process();

  /// Recovers, then listens. Empty if it runs; else what is wrong, in a sentence.
  std::string start();
  /// Reads the config file again: tokens, rates and certificates change whole or not at all; jobs go to the publisher,
  /// which judges them. Blocks for a few seconds at most; one caller at a time.
  reload_result reload();
  /// Ends in order within the config's drain deadline; `hurry` cuts it short. True if it went in order.
  bool stop(const std::function<bool()>& hurry);

 private:
  /// A body that came before the roles are there would be turned away by a node that says it runs.
  std::string wait_for_roles();
  std::string start_node();
  std::string start_publisher();
  drill_runs_parts drill_parts() const;
  void add_drill_routes(control_router& router);
  std::string open_control();
  std::string open_source();
  std::string replace_certificates(const node_config& config);

  std::string path_;
  config_world files_;
  loaded_node loaded_;
  guard_switches guards_;
  std::function<void()> gave_up_;
  environment world_;
  std::unique_ptr<data_system_config> system_config_;
  std::unique_ptr<caf::actor_system> system_;
  control_system_config control_config_;
  std::unique_ptr<caf::actor_system> control_system_;
  std::shared_ptr<kept_config> kept_;
  std::vector<kept_config::copy_refused> refused_copies_;
  std::unique_ptr<node> node_;
  declared_jobs declared_;
  std::unique_ptr<control_side> publisher_;
  std::mutex polling_;
  std::unique_ptr<source_poller> poller_; ///< Null unless the forwarding config is another program's.
  std::unique_ptr<process_metrics> process_metrics_;
  std::unique_ptr<ledger_marks> marks_;
  std::unique_ptr<heartbeat> heartbeat_;
  std::unique_ptr<drill_runs> drills_;
  std::unique_ptr<operator_desk> desk_;
  std::unique_ptr<control_listener> control_;
  std::unique_ptr<http_source> source_;
  std::atomic<bool> takes_events_{false}; ///< The source is open; before that nothing may touch it.
  std::mutex reloading_;
  bool ending_ = false; ///< Guarded by `reloading_`.
};

} // namespace weir
