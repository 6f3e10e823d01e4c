#include "supervisors/control_side.hpp"

#include <caf/all.hpp>

#include "actors/config_publisher.hpp"
#include "supervisors/supervisor.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

constexpr std::chrono::seconds publisher_patience{5}; // It may be comparing a million jobs.
constexpr std::chrono::seconds stop_patience{10};

publication_settings settings_of(const control_side_parts& parts) {
  const auto& config = parts.config;
  publication_settings how;
  how.publication = config.publication;
  how.rollout = config.rollout;
  how.guards = config.guards;
  how.capacity = config.limits.buffers;
  how.judges_changes = parts.guards.publisher_guards;
  how.readable.cluster = config.cluster;
  how.readable.datasets = config.datasets;
  how.readable.defaults = config.pusher.object;
  how.readable.max_jobs = readable_jobs(config.limits);
  how.receivers = parts.targets->receivers();
  how.forwarders = parts.targets->forwarders();
  return how;
}

} // namespace

control_system_config::control_system_config() {
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", 1);
  set("scheduler.max-throughput", 50);
  add_error_category(error_category, render_error);
}

control_side::control_side(caf::actor_system& system, control_side_parts parts)
    : system_(system), parts_(std::move(parts)) {
  metrics_ =
      std::make_shared<publication_metrics>(parts_.metrics->families(), publication_refusals(), publication_guards());
}

control_side::~control_side() {
  if (root_)
    stop();
}

caf::expected<std::unique_ptr<control_side>> control_side::start(caf::actor_system& system, control_side_parts parts) {
  if (parts.history_file.empty()) {
    const auto folder = parts.config.data_dir + "/config";
    if (const auto why = parts.world.disk->make_directories(folder))
      return make_error(errc::store_failed, "cannot make " + folder + ": " + why.message());
    parts.history_file = folder + "/history.db";
  }
  std::unique_ptr<control_side> made{new control_side{system, std::move(parts)}};
  supervisor_spec spec;
  spec.name = "control";
  spec.exhausted = when_exhausted::park; // Nothing here may end the node.
  spec.observe = [board = made->board_](const child_transition& step) {
    board->note(step);
    if (step.now.state == child_state::parked)
      log::error("control-parked", "{} crashed too often and is parked: {}. The node works on by the config in force.",
                 step.now.id, step.now.reason);
  };
  spec.children.push_back(made->publisher_child());
  if (const auto problem = problem_of(spec))
    return make_error(errc::refused, *problem);
  made->root_ = system.spawn(supervisor, std::move(spec), made->parts_.world);
  return made;
}

child_spec control_side::publisher_child() {
  return {"config_publisher",
          [this]() -> caf::expected<caf::actor> {
            config_publisher_parts parts;
            parts.settings = settings_of(parts_);
            parts.targets = parts_.targets;
            parts.source = parts_.source;
            parts.clock = parts_.world.clock;
            parts.metrics = metrics_;
            parts.desk = desk_;
            parts.history_file = parts_.history_file;
            parts.signer = parts_.signer;
            auto made = parts_.own_threads ? system_.spawn<caf::detached>(config_publisher, std::move(parts))
                                           : system_.spawn(config_publisher, std::move(parts));
            desk_->enter(made);
            return caf::actor_cast<caf::actor>(made);
          },
          restart::permanent, publisher_patience};
}

void control_side::stop() {
  if (!root_)
    return;
  caf::scoped_actor self{system_};
  self->monitor(root_);
  caf::anon_send_exit(root_, caf::exit_reason::user_shutdown);
  bool down = false;
  self->receive([&](const caf::down_msg&) { down = true; }, caf::after(stop_patience) >> [] {});
  if (!down) {
    caf::anon_send<caf::message_priority::high>(root_, weir::hurry{});
    log::error("stop-hurried", "the control side did not end within {} s and is killed", stop_patience.count());
  }
  root_ = nullptr;
  desk_->clear();
}

} // namespace weir
