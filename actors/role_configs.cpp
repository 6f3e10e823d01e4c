#include "actors/role_configs.hpp"

#include <utility>

namespace weir {

namespace {

constexpr std::chrono::hours look_back{1};

} // namespace

std::string_view name_of(judging_role role) noexcept {
  constexpr std::string_view names[judging_role_count] = {"forwarder", "receiver"};
  return names[static_cast<std::size_t>(role)];
}

role_configs::role_configs(std::size_t forwarders, std::size_t receivers, config_snapshot_ptr first, time_point now) {
  const memory begun{{first, first, 0, nullptr}, first, 0, now};
  rows_[static_cast<std::size_t>(judging_role::forwarder)].assign(forwarders, begun);
  rows_[static_cast<std::size_t>(judging_role::receiver)].assign(receivers, begun);
}

void role_configs::age(memory& x, time_point now) {
  const auto passed = now - x.taken;
  if (passed < look_back)
    return;
  // Nobody may have looked for hours: then nothing was adopted either, and what is in force was so all the time.
  const bool long_ago = passed >= 2 * look_back;
  x.now.an_hour_ago = long_ago ? x.now.in_force : x.next_hour;
  x.now.explained_since_hour_ago = long_ago ? 0 : x.explained_since_taken;
  x.next_hour = x.now.in_force;
  x.explained_since_taken = 0;
  x.taken = now;
}

role_configs::row role_configs::of(judging_role role, std::size_t i, time_point now) const {
  std::lock_guard lock{mutex_};
  auto& mine = rows_[static_cast<std::size_t>(role)][i];
  age(mine, now);
  return mine.now;
}

void role_configs::adopt(judging_role role, std::size_t i, adoption accepted, time_point now) {
  memory before; // let go of outside the lock: a table of a million jobs takes its time
  std::lock_guard lock{mutex_};
  auto& mine = rows_[static_cast<std::size_t>(role)][i];
  age(mine, now);
  before = mine;
  const bool first = mine.now.in_force->version == config_version{};
  mine.now.in_force = std::move(accepted.snapshot);
  mine.now.leaving = accepted.removes ? before.now.in_force : nullptr;
  mine.now.explained_since_hour_ago += accepted.explained;
  mine.explained_since_taken += accepted.explained;
  // Not the empty config before the first one is the measure of what follows, and not what an operator left behind.
  if (first || accepted.by_approval) {
    mine.now.an_hour_ago = mine.next_hour = mine.now.in_force;
    mine.now.explained_since_hour_ago = mine.explained_since_taken = 0;
    mine.taken = now;
  }
}

void role_configs::settle(config_version version) {
  std::vector<config_snapshot_ptr> gone; // as above
  std::lock_guard lock{mutex_};
  for (auto& role : rows_)
    for (auto& x : role)
      if (x.now.in_force->version == version)
        gone.push_back(std::exchange(x.now.leaving, nullptr));
}

std::vector<config_version> role_configs::versions(judging_role role) const {
  std::lock_guard lock{mutex_};
  std::vector<config_version> result;
  for (const auto& x : rows_[static_cast<std::size_t>(role)])
    result.push_back(x.now.in_force->version);
  return result;
}

} // namespace weir
