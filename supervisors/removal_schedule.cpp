#include "supervisors/removal_schedule.hpp"

#include <iterator>
#include <utility>

namespace weir {

void removal_schedule::replaced(const config_snapshot& old, const config_snapshot& now_in_force, time_point now) {
  for (auto i = gone_.begin(); i != gone_.end();)
    i = now_in_force.jobs.find(job_id{i->first}) ? gone_.erase(i) : std::next(i);
  if (old.content == now_in_force.content)
    return;
  for (settings_index i = 0; i < old.jobs.size(); ++i) {
    const auto was = old.jobs.at(i);
    if (now_in_force.jobs.find(was.job))
      continue;
    gone_job gone;
    gone.deleted = !was.on_hold();
    gone.from = gone.deleted ? now + hold_ : now;
    gone_[number(was.job)] = gone;
  }
}

std::optional<remove_events> removal_schedule::due(job_id job, time_point now) {
  const auto [at, is_new] = gone_.try_emplace(number(job), gone_job{now + hold_, false, true});
  auto& gone = at->second;
  gone.asked = true;
  if (now < gone.from)
    return std::nullopt;
  return remove_events{gone.deleted};
}

void removal_schedule::end_round() {
  for (auto i = gone_.begin(); i != gone_.end();)
    i = std::exchange(i->second.asked, false) ? std::next(i) : gone_.erase(i);
}

} // namespace weir
