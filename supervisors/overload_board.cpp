#include "supervisors/overload_board.hpp"

#include <utility>

#include "telemetry/log.hpp"

namespace weir {

overload_board::overload_board(std::vector<watched> limits, std::shared_ptr<clock_source> clock,
                               std::shared_ptr<overload_metrics> metrics)
    : clock_(std::move(clock)), metrics_(std::move(metrics)) {
  const auto since = clock_->wall();
  for (auto& x : limits) {
    overload_row shown{x.state, x.limit_path, x.unit, x.action, 0, 0, false, since};
    const settled_level<bool> settled{x.leave_after};
    entries_.push_back({std::move(x), settled, std::move(shown)});
  }
}

void overload_board::look() {
  std::lock_guard lock{mutex_};
  const auto now = clock_->steady();
  for (auto& x : entries_) {
    const auto seen = x.limit.read(now);
    x.shown.value = seen.value;
    x.shown.limit = seen.limit;
    const bool active = x.settled(seen.active, now);
    if (metrics_)
      metrics_->set(x.limit.state, active);
    if (active == std::exchange(x.shown.active, active))
      continue;
    x.shown.since = clock_->wall();
    if (active)
      log::warn("overload", "{}: {:.0f} of {:.0f} {} ({}); {}", name_of(x.limit.state), seen.value, seen.limit,
                x.limit.unit, x.limit.limit_path, x.limit.action);
    else
      log::info("overload-over", "{}: {:.0f} of {:.0f} {} ({})", name_of(x.limit.state), seen.value, seen.limit,
                x.limit.unit, x.limit.limit_path);
  }
}

std::vector<overload_row> overload_board::report() const {
  std::lock_guard lock{mutex_};
  std::vector<overload_row> rows;
  rows.reserve(entries_.size());
  for (const auto& x : entries_)
    rows.push_back(x.shown);
  return rows;
}

} // namespace weir
