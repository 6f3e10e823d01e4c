#include "telemetry/publication_metrics.hpp"

namespace weir {

namespace {

std::vector<std::string_view> both(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  auto all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

} // namespace

publication_metrics::publication_metrics(prometheus::Registry& registry, const std::vector<std::string_view>& refusals,
                                         const std::vector<std::string_view>& guards)
    : refused(registry, "publisher", both(refusals, guards)),
      version(config_version_gauge(registry, "publisher")),
      age_seconds(make_gauge(registry, "weir_config_age_seconds",
                             "Since the config's source last confirmed or changed what is in force.")),
      rollout_stage(make_gauge(registry, "weir_config_rollout_stage",
                               "0 idle, 1 receivers, 2 canary, 3 tenth, 4 all, 5 returning.")),
      frozen(make_gauge(registry, "weir_config_frozen", "1 while an operator lets nothing be published.")),
      jobs_on_hold(make_gauge(registry, "weir_config_jobs_on_hold",
                              "Jobs that vanished from the config and are buffered, but not pushed.")),
      published(make_counter(registry, "weir_config_published_total", "Versions whose rollout began.")),
      completed(make_counter(registry, "weir_config_completed_total", "Versions whose rollout is complete.")),
      stopped(make_counter(registry, "weir_config_stopped_total", "Rollouts that were stopped and taken back.")),
      source_failures(make_counter(registry, "weir_config_source_failures_total",
                                   "Times that the config's source could not be read, or held no config.")),
      removed_jobs(make_counter(registry, "weir_config_removed_jobs_total",
                                "Jobs that vanished from the config without their owners' doing.")),
      approvals(make_counter(registry, "weir_config_approvals_total", "Held changes that operators approved.")),
      history_failures(make_counter(registry, "weir_config_history_failures_total",
                                    "Times that the config's history could not be written, opened or read.")),
      good_copy_failures(make_counter(registry, "weir_config_good_copy_failures_total",
                                      "Times that the last known good config could not be written to disk.")),
      intervals(make_counter(registry, "weir_config_intervals_total",
                             "Times that the config was made anew and judged, changed or not.")) {
  auto reasons = both(refusals, guards);
  reasons.emplace_back("other");
  for (const auto reason : reasons)
    refusing_.emplace(reason, &make_gauge(registry, "weir_config_refusing",
                                          "1 while what the config's source says is refused, by the reason.",
                                          {{"where", "publisher"}, {"reason", std::string{reason}}}));
  for (const auto reason : guards) {
    held_.emplace(reason, &make_gauge(registry, "weir_config_held", "Changes that wait for an operator.",
                                      {{"reason", std::string{reason}}}));
    fired_.emplace(reason, &guard_counter(registry, std::string{reason}));
  }
}

void publication_metrics::show_held(const std::vector<std::vector<std::string>>& reasons) {
  std::map<std::string_view, double> counts;
  for (const auto& change : reasons)
    for (const auto& reason : change)
      counts[reason] += 1;
  for (const auto& [reason, gauge] : held_) {
    const auto found = counts.find(reason);
    gauge->Set(found == counts.end() ? 0 : found->second);
  }
}

void publication_metrics::show_refused(std::string_view reason) {
  const auto found = reason.empty() || refusing_.count(reason) != 0 ? reason : std::string_view{"other"};
  for (const auto& [name, gauge] : refusing_)
    gauge->Set(name == found ? 1 : 0);
}

void publication_metrics::count_guard(std::string_view reason) {
  if (const auto found = fired_.find(reason); found != fired_.end())
    found->second->Increment();
}

} // namespace weir
