#pragma once

#include <mutex>

#include "messages/environment.hpp"

namespace weir {

/// A clock moved by hand. `advance` moves both faces; `jump_wall` and `set_wall` move only what the
/// wall says, forwards or backwards, as an operator or NTP does. Thread-safe. Starts at a fixed
/// moment that is neither zero nor near a boundary: 2024-11-14 11:43:00 UTC.
class fake_clock final : public clock_source {
 public:
  using steady_point = std::chrono::steady_clock::time_point;
  using wall_point = std::chrono::system_clock::time_point;

  steady_point steady() const override {
    std::lock_guard guard(mutex_);
    return steady_;
  }
  wall_point wall() const override {
    std::lock_guard guard(mutex_);
    return wall_;
  }

  /// Time passes; `by` must not be negative.
  void advance(std::chrono::nanoseconds by) {
    std::lock_guard guard(mutex_);
    steady_ += std::chrono::duration_cast<steady_point::duration>(by);
    wall_ += std::chrono::duration_cast<wall_point::duration>(by);
  }
  void jump_wall(std::chrono::nanoseconds by) {
    std::lock_guard guard(mutex_);
    wall_ += std::chrono::duration_cast<wall_point::duration>(by);
  }
  void set_wall(wall_point now) {
    std::lock_guard guard(mutex_);
    wall_ = now;
  }

 private:
  mutable std::mutex mutex_;
  steady_point steady_{std::chrono::hours(1)};
  wall_point wall_{std::chrono::seconds(1'731'584'580)};
};

} // namespace weir
