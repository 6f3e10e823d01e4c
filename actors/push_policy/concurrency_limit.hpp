#pragma once

#include <chrono>
#include <cstdint>

#include "actors/push_policy/backoff.hpp"

namespace weir::push_policy {

struct concurrency_settings {
  std::uint32_t maximum = 32; ///< Uploads at once to one destination; bounds what it can hold of the slots.
  /// An upload that takes this many times the best one (per 256 KiB, so that sizes compare) and
  /// `slack` more means a queue at the destination. Threefold is beyond usual variance.
  double tolerance = 3.0;
  std::chrono::milliseconds slack{100};
};

/// How many uploads one destination is given at once: found by trying, as TCP finds its window.
/// Starts at 1, doubles per round while all goes well, after the first set-back grows by one a
/// round; a slow answer takes a tenth away, a failure half.
class concurrency_limit {
 public:
  explicit concurrency_limit(const concurrency_settings& settings) : settings_(&settings) {}

  std::uint32_t value() const noexcept { return static_cast<std::uint32_t>(limit_); }

  /// An upload of `bytes` took `took`; `in_flight` counts it. The limit grows only while it is used.
  void succeeded(std::uint64_t bytes, duration took, std::uint32_t in_flight, time_point started, time_point now);
  /// Uploads that started before the last decrease do not count again: they saw the same trouble.
  void failed(time_point started, time_point now);
  /// Back to a single upload, growing quickly again: after an outage.
  void restart() noexcept;

 private:
  void shrink(double factor, time_point started, time_point now);

  const concurrency_settings* settings_;
  double limit_ = 1.0;
  double best_seconds_ = 0.0; ///< Per 256 KiB; 0 = not known yet.
  bool slow_start_ = true;
  time_point last_decrease_{};
};

} // namespace weir::push_policy
