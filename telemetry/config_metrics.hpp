#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/metrics.hpp"

namespace weir {

/// `weir_config_refused_total{where,reason}`: configs that somebody refused or held, by the names of reasons. All
/// series are there from the start, so that the first refusal is an increase.
class config_refusal_counters {
 public:
  /// `where`: `publisher`, `forwarder`, `receiver`, `disk` (a copy of the last known good one).
  config_refusal_counters(prometheus::Registry& registry, const std::string& where,
                          const std::vector<std::string_view>& reasons);

  /// A name that is not one of the reasons counts as `other`. From any thread.
  void count(std::string_view reason) const noexcept;
  double total() const noexcept;

 private:
  std::map<std::string, prometheus::Counter*, std::less<>> counters_;
};

/// `weir_config_version{role}`: the oldest that an instance of the role works by.
prometheus::Gauge& config_version_gauge(prometheus::Registry& registry, const std::string& role);

/// `weir_guard_fired_total{guard}`
prometheus::Counter& guard_counter(prometheus::Registry& registry, const std::string& guard);

/// What stands between a wrong config and the customers, beside the publisher's own guards. Each must have fired
/// somewhere in the tests.
enum class role_guard : std::uint8_t {
  forwarder,   ///< A forwarder refused or held a config by itself.
  receiver,    ///< A receiver did.
  entitlement, ///< A receiver turned events away that a forwarder let pass.
  admission,   ///< A new buffer was refused.
  memory,      ///< A step of the memory ladder was entered.
};
constexpr std::size_t role_guard_count = 5;
std::string_view name_of(role_guard guard) noexcept;

/// What the roles of a node work by.
struct config_role_metrics {
  metrics_by<prometheus::Counter, role_guard, role_guard_count> guards_fired;
  prometheus::Gauge& forwarder_version; ///< The oldest of all instances.
  prometheus::Gauge& receiver_version;
  prometheus::Gauge& unsafe; ///< 1 on a scratch node.

  explicit config_role_metrics(prometheus::Registry& registry);
};

} // namespace weir
