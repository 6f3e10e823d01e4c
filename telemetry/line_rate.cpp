#include "telemetry/line_rate.hpp"

namespace weir::log {

namespace {

/// Event names are literals, so there are some hundred. Should one be built from outside bytes by mistake,
/// the table must not grow with it; beyond this number all further names share one entry.
constexpr std::size_t max_events = 1'024;

} // namespace

bool line_rate::admit(std::string_view event, time now, std::uint64_t& suppressed) {
  suppressed = 0;
  std::string key{event};
  if (events_.size() >= max_events && events_.find(key) == events_.end())
    key = "other";
  auto& known = events_[std::move(key)];
  if (known.written == 0 || now - known.since >= window_) {
    known.since = now;
    known.written = 0;
  }
  if (known.written >= lines_) {
    ++known.suppressed;
    return false;
  }
  ++known.written;
  suppressed = std::exchange(known.suppressed, 0);
  return true;
}

std::vector<std::pair<std::string, std::uint64_t>> line_rate::take_suppressed(time now) {
  return take(now, false);
}

std::vector<std::pair<std::string, std::uint64_t>> line_rate::take_all_suppressed() {
  return take({}, true);
}

std::vector<std::pair<std::string, std::uint64_t>> line_rate::take(time now, bool all) {
  std::vector<std::pair<std::string, std::uint64_t>> result;
  for (auto& [event, known] : events_)
    if (known.suppressed > 0 && (all || now - known.since >= window_))
      result.emplace_back(event, std::exchange(known.suppressed, 0));
  return result;
}

} // namespace weir::log
