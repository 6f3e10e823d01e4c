#include "telemetry/config_metrics.hpp"

namespace weir {

config_refusal_counters::config_refusal_counters(prometheus::Registry& registry, const std::string& where,
                                                 const std::vector<std::string_view>& reasons) {
  const auto add = [&](std::string_view reason) {
    counters_.emplace(reason, &make_counter(registry, "weir_config_refused_total",
                                            "Forwarding configs that were refused or held, by who did it and why.",
                                            {{"where", where}, {"reason", std::string{reason}}}));
  };
  for (const auto reason : reasons)
    add(reason);
  add("other");
}

void config_refusal_counters::count(std::string_view reason) const noexcept {
  const auto found = counters_.find(reason);
  (found == counters_.end() ? counters_.find(std::string_view{"other"}) : found)->second->Increment();
}

double config_refusal_counters::total() const noexcept {
  double sum = 0;
  for (const auto& [reason, counter] : counters_)
    sum += counter->Value();
  return sum;
}

prometheus::Gauge& config_version_gauge(prometheus::Registry& registry, const std::string& role) {
  return make_gauge(registry, "weir_config_version", "Forwarding config in force; the oldest of all instances.",
                    {{"role", role}});
}

prometheus::Counter& guard_counter(prometheus::Registry& registry, const std::string& guard) {
  return make_counter(registry, "weir_guard_fired_total", "Times that a guard held, refused or turned away, by guard.",
                      {{"guard", guard}});
}

std::string_view name_of(role_guard guard) noexcept {
  constexpr std::string_view names[role_guard_count] = {"forwarder", "receiver", "entitlement", "admission", "memory"};
  return names[static_cast<std::size_t>(guard)];
}

config_role_metrics::config_role_metrics(prometheus::Registry& r)
    : guards_fired([&](const std::string& guard) -> prometheus::Counter& { return guard_counter(r, guard); }),
      forwarder_version(config_version_gauge(r, "forwarder")),
      receiver_version(config_version_gauge(r, "receiver")),
      unsafe(make_gauge(r, "weir_unsafe", "1 on a scratch node, whose guards may be off and which no customer uses.")) {
}

} // namespace weir
