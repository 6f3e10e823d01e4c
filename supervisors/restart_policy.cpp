#include "supervisors/restart_policy.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weir {

namespace {

/// Bound of the delay after `earlier` crashes within the period.
std::chrono::milliseconds bound_of(const restart_limits& limits, std::size_t earlier) {
  auto bound = limits.backoff_min;
  for (std::size_t i = 0; i < earlier && bound < limits.backoff_max; ++i)
    bound *= 2;
  return std::min(bound, limits.backoff_max);
}

} // namespace

std::optional<std::string> problem_of(const restart_limits& limits) {
  if (limits.max_restarts == 0 || limits.max_restarts > 1000)
    return "max_restarts must be between 1 and 1000";
  if (limits.period.count() <= 0)
    return "period must be positive";
  if (limits.backoff_min.count() < 0 || limits.backoff_max < limits.backoff_min)
    return "backoff_min must not be negative nor above backoff_max";
  std::chrono::milliseconds sum{0};
  for (std::size_t i = 0; i < limits.max_restarts; ++i)
    sum += bound_of(limits, i);
  if (sum >= limits.period)
    return fmt::format("the delays of {} restarts add up to {} ms and must stay below the period of {} ms",
                       limits.max_restarts, sum.count(), limits.period.count());
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> restart_policy::crashed(time_point now, random_source& random) {
  while (!crashes_.empty() && now - crashes_.front() >= limits_.period)
    crashes_.pop_front();
  if (crashes_.size() >= limits_.max_restarts)
    return std::nullopt;
  const auto bound = bound_of(limits_, crashes_.size());
  crashes_.push_back(now);
  return std::chrono::milliseconds{random.below(static_cast<std::uint64_t>(bound.count()) + 1)};
}

} // namespace weir
