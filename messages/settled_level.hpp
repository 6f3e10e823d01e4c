#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace weir {

/// A level that rises at once and falls only when it was lower all through a while, and then to the highest it
/// had meanwhile: so that a state which others act upon does not flicker at its threshold.
template <class Level>
class settled_level {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit settled_level(std::chrono::milliseconds falls_after) : falls_after_(falls_after) {}

  Level operator()(Level seen, time_point now) {
    if (!(seen < shown_)) {
      shown_ = seen;
      lower_since_.reset();
      return shown_;
    }
    if (!lower_since_) {
      lower_since_ = now;
      highest_since_ = seen;
    }
    highest_since_ = std::max(highest_since_, seen);
    if (now - *lower_since_ >= falls_after_) {
      shown_ = highest_since_;
      lower_since_.reset();
    }
    return shown_;
  }

 private:
  std::chrono::milliseconds falls_after_;
  Level shown_{};
  Level highest_since_{};
  std::optional<time_point> lower_since_;
};

} // namespace weir
