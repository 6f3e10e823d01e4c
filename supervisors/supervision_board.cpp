#include "supervisors/supervision_board.hpp"

namespace weir {

void supervision_board::note(const child_transition& step) {
  std::lock_guard lock{mutex_};
  auto found = departments_.find(step.supervisor);
  if (found == departments_.end())
    found = departments_.try_emplace(std::string{step.supervisor}).first;
  auto& department = found->second;
  if (step.forgotten) {
    department.children.erase(step.now.id);
    return;
  }
  if (step.now.state == child_state::running && step.now.restarts > 0)
    ++department.restarts;
  department.children[step.now.id] = step.now;
}

std::vector<supervision_board::row> supervision_board::list(std::optional<child_state> state, std::size_t limit) const {
  std::vector<row> rows;
  std::lock_guard lock{mutex_};
  for (const auto& [supervisor, department] : departments_)
    for (const auto& [id, child] : department.children) {
      if (rows.size() >= limit)
        return rows;
      if (!state || child.state == *state)
        rows.push_back({supervisor, child});
    }
  return rows;
}

std::vector<supervision_board::tally> supervision_board::tallies() const {
  std::vector<tally> result;
  std::lock_guard lock{mutex_};
  for (const auto& [supervisor, department] : departments_) {
    tally sum;
    sum.supervisor = supervisor;
    sum.restarts = department.restarts;
    for (const auto& [id, child] : department.children) {
      sum.running += child.state == child_state::running;
      sum.restarting += child.state == child_state::restarting;
      sum.parked += child.state == child_state::parked;
    }
    result.push_back(std::move(sum));
  }
  return result;
}

} // namespace weir
