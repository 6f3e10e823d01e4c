#include "actors/push_policy/retry_budget.hpp"

#include <algorithm>

namespace weir::push_policy {

void retry_budget::advance(time_point now) {
  const auto width = std::chrono::duration_cast<duration>(settings_.window) / static_cast<int>(parts);
  const auto current = static_cast<std::int64_t>(now.time_since_epoch() / width);
  if (current <= at_)
    return;
  const auto steps = std::min<std::int64_t>(current - at_, parts);
  for (std::int64_t i = 0; i < steps; ++i) {
    auto& oldest = ring_[static_cast<std::size_t>((current - i) % static_cast<std::int64_t>(parts))];
    firsts_ -= oldest.firsts;
    retries_ -= oldest.retries;
    oldest = {};
  }
  at_ = current;
}

void retry_budget::count_first(time_point now) {
  advance(now);
  ++ring_[static_cast<std::size_t>(at_ % static_cast<std::int64_t>(parts))].firsts;
  ++firsts_;
}

bool retry_budget::try_take(time_point now) {
  if (left(now) == 0)
    return false;
  ++ring_[static_cast<std::size_t>(at_ % static_cast<std::int64_t>(parts))].retries;
  ++retries_;
  return true;
}

std::uint64_t retry_budget::left(time_point now) {
  advance(now);
  const auto allowed = std::max<std::uint64_t>(
      settings_.minimum, static_cast<std::uint64_t>(static_cast<double>(firsts_) * settings_.share));
  return allowed > retries_ ? allowed - retries_ : 0;
}

} // namespace weir::push_policy
