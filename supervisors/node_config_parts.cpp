// The part of a node that brings forwarding configs to its roles.

#include <algorithm>

#include "supervisors/node.hpp"

namespace weir {

namespace {

constexpr std::size_t at(judging_role role) {
  return static_cast<std::size_t>(role);
}

double sum_of(const metrics_by<prometheus::Counter, shed_reason, shed_reason_count>& shed) {
  double sum = 0;
  for (std::size_t i = 0; i < shed_reason_count; ++i)
    sum += shed[static_cast<shed_reason>(i)].Value();
  return sum;
}

std::uint64_t whole(double count) {
  return static_cast<std::uint64_t>(count);
}

rollout_health health_of(const node_metrics_set& metrics) {
  rollout_health result;
  result.received = whole(metrics.forwarder.received_events.Value());
  result.not_entitled =
      whole(metrics.forwarder.not_entitled_events.Value() + metrics.receiver.not_entitled_events.Value());
  result.shed = whole(sum_of(metrics.receiver.shed_events) + sum_of(metrics.shard.shed_events));
  result.delivered = whole(metrics.pusher.delivered_events.Value());
  result.bodies = whole(metrics.forwarder.bodies.Value());
  result.refused_bodies = whole(metrics.ingest.trouble[http_trouble::refused].Value());
  return result;
}

std::vector<std::pair<job_id, std::uint64_t>> traffic_of(const store::segmented_store& store) {
  std::vector<std::pair<job_id, std::uint64_t>> result;
  for (const auto& [job, account] : store.ledger().jobs)
    result.emplace_back(job, account.accepted);
  return result;
}

double oldest(const std::vector<config_version>& versions) {
  const auto found = std::min_element(versions.begin(), versions.end());
  return found == versions.end() ? 0 : static_cast<double>(number(*found));
}

} // namespace

void node::make_config_parts() {
  const auto& config = parts_.config;
  role_configs_ = std::make_shared<role_configs>(directory_->forwarder_count(), directory_->receiver_count(),
                                                 parts_.snapshot, parts_.world.clock->steady());
  config_gate_settings how;
  how.guards = config.guards;
  how.cluster = config.cluster;
  how.capacity = config.limits.buffers;
  how.judges_changes = parts_.guards.forwarder_guards;
  forwarder_gate_ = std::make_shared<const config_gate>(how);
  how.judges_changes = parts_.guards.receiver_guards;
  receiver_gate_ = std::make_shared<const config_gate>(how);
  for (const auto role : {judging_role::forwarder, judging_role::receiver})
    refusals_[at(role)] = std::make_shared<const config_refusal_counters>(
        metrics_->registry.families(), std::string{name_of(role)}, config_gate::reasons());

  metrics_->config.unsafe.Set(unsafe() ? 1 : 0);
  config_distribution_parts way;
  way.directory = directory_;
  way.configs = role_configs_;
  way.admission = admission_;
  way.door = intake_;
  way.health = [metrics = metrics_] { return health_of(*metrics); };
  way.traffic = [store = store_] { return traffic_of(*store); };
  way.keep = parts_.keep;
  way.first = parts_.snapshot;
  targets_ = std::make_shared<config_distribution>(std::move(way));
  metrics_->registry.before_scrape([all = metrics_.get(), configs = role_configs_, admission = admission_,
                                    forwarders = refusals_[at(judging_role::forwarder)],
                                    receivers = refusals_[at(judging_role::receiver)]] {
    auto& shown = all->config;
    shown.forwarder_version.Set(oldest(configs->versions(judging_role::forwarder)));
    shown.receiver_version.Set(oldest(configs->versions(judging_role::receiver)));
    count_up_to(shown.guards_fired[role_guard::forwarder], forwarders->total());
    count_up_to(shown.guards_fired[role_guard::receiver], receivers->total());
    count_up_to(shown.guards_fired[role_guard::entitlement], all->receiver.not_entitled_events.Value());
    count_up_to(shown.guards_fired[role_guard::admission], static_cast<double>(admission->refused()));
    const auto& entered = all->overload.entered;
    count_up_to(shown.guards_fired[role_guard::memory], entered[overload_state::sealing_early].Value()
                                                            + entered[overload_state::credit_shrunk].Value()
                                                            + entered[overload_state::refusing_ingest].Value());
  });
}

config_judge node::judge_of(judging_role role, std::size_t index) const {
  config_judge result;
  result.role = role;
  result.index = index;
  result.configs = role_configs_;
  result.gate = role == judging_role::forwarder ? forwarder_gate_ : receiver_gate_;
  result.clock = parts_.world.clock;
  result.refused = [all = metrics_, counts = refusals_[at(role)]](std::string_view reason) { counts->count(reason); };
  return result;
}

} // namespace weir
