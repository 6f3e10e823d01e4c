#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::log {

/// How often each event name may be logged. Pure: time comes from the caller.
class line_rate {
 public:
  using time = std::chrono::steady_clock::time_point;

  line_rate(std::uint32_t lines_per_window, std::chrono::milliseconds window)
      : lines_(lines_per_window), window_(window) {}

  /// Whether a line of `event` may be written now. If so, `suppressed` is how many were not since the last one.
  bool admit(std::string_view event, time now, std::uint64_t& suppressed);

  /// Events whose window has passed with suppressed lines in it, and how many; they are forgotten.
  std::vector<std::pair<std::string, std::uint64_t>> take_suppressed(time now);
  /// The same, whether or not the window has passed.
  std::vector<std::pair<std::string, std::uint64_t>> take_all_suppressed();

 private:
  struct entry {
    time since;
    std::uint32_t written = 0;
    std::uint64_t suppressed = 0;
  };
  std::vector<std::pair<std::string, std::uint64_t>> take(time now, bool all);

  std::uint32_t lines_;
  std::chrono::milliseconds window_;
  std::unordered_map<std::string, entry> events_;
};

} // namespace weir::log
