#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "messages/environment.hpp"

namespace weir::push_policy {

using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::steady_clock::duration;

/// Capped exponential backoff with full jitter above a floor. The floor keeps an unlucky draw from
/// repeating at once; the jitter keeps many jobs that failed together from returning together.
struct backoff_settings {
  std::chrono::milliseconds minimum{1'000};
  std::chrono::milliseconds maximum{300'000};
};

/// How long to wait after the `failures`th failure in a row (from 1): uniform between the minimum
/// and minimum · 2^failures, at most the maximum.
inline std::chrono::milliseconds backoff_delay(const backoff_settings& how, std::uint32_t failures,
                                               random_source& random) {
  const auto doublings = std::min<std::uint32_t>(std::max<std::uint32_t>(failures, 1), 30);
  const auto ceiling = std::max<std::int64_t>(
      how.minimum.count(), std::min<std::int64_t>(how.maximum.count(), how.minimum.count() << doublings));
  const auto span = static_cast<std::uint64_t>(ceiling - how.minimum.count()) + 1;
  return std::chrono::milliseconds{how.minimum.count() + static_cast<std::int64_t>(random.below(span))};
}

} // namespace weir::push_policy
