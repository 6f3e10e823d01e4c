#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

namespace weir {

/// When which job has to be looked at, in ticks of 50 ms: thousands of timers for the price of one.
/// A job may be entered more than once; whoever takes it out checks whether it is really due.
class backlog_wheel {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds tick{50};

  void enter(std::uint32_t slot, time_point due) { wheel_[tick_of(due)].push_back(slot); }

  /// Appends every slot whose time has come to `due`.
  void take_due(time_point now, std::vector<std::uint32_t>& due) {
    const auto end = wheel_.lower_bound(now.time_since_epoch() / tick + 1);
    for (auto i = wheel_.begin(); i != end; ++i)
      due.insert(due.end(), i->second.begin(), i->second.end());
    wheel_.erase(wheel_.begin(), end);
  }

  bool empty() const noexcept { return wheel_.empty(); }

 private:
  // Rounds up, so that nothing is taken before its time.
  static std::int64_t tick_of(time_point t) {
    return (t.time_since_epoch() + tick - std::chrono::nanoseconds{1}) / tick;
  }

  std::map<std::int64_t, std::vector<std::uint32_t>> wheel_;
};

} // namespace weir
