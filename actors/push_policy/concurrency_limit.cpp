#include "actors/push_policy/concurrency_limit.hpp"

#include <algorithm>

namespace weir::push_policy {

void concurrency_limit::succeeded(std::uint64_t bytes, duration took, std::uint32_t in_flight, time_point started,
                                  time_point now) {
  constexpr double window = 256.0 * 1024;
  const auto windows = std::max(1.0, static_cast<double>(bytes) / window);
  const auto seconds = std::chrono::duration<double>(took).count() / windows;
  if (best_seconds_ == 0.0 || seconds < best_seconds_)
    best_seconds_ = seconds;
  else if (in_flight <= 1)
    // Alone, an upload sees no queue of our making: if it is slower, the destination is.
    best_seconds_ += (seconds - best_seconds_) * 0.25;
  const auto slack = std::chrono::duration<double>(settings_->slack).count() / windows;
  if (seconds > best_seconds_ * settings_->tolerance + slack) {
    shrink(0.9, started, now);
    return;
  }
  if (in_flight * 2 < value())
    return;
  limit_ = std::min<double>(settings_->maximum, limit_ + (slow_start_ ? 1.0 : 1.0 / limit_));
}

void concurrency_limit::failed(time_point started, time_point now) {
  shrink(0.5, started, now);
}

void concurrency_limit::restart() noexcept {
  limit_ = 1.0;
  slow_start_ = true;
}

void concurrency_limit::shrink(double factor, time_point started, time_point now) {
  if (started < last_decrease_)
    return;
  last_decrease_ = now;
  slow_start_ = false;
  limit_ = std::max(1.0, limit_ * factor);
}

} // namespace weir::push_policy
