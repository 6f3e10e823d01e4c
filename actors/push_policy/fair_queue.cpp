#include "actors/push_policy/fair_queue.hpp"

#include <algorithm>

namespace weir::push_policy {

void fair_queue::enlist(std::uint64_t key, const lane& x) {
  if (x.items.empty())
    debts_.emplace(x.start, key);
  else if (!x.suspended)
    ready_.emplace(x.start, key);
}

void fair_queue::delist(std::uint64_t key, const lane& x) {
  ready_.erase({x.start, key});
  debts_.erase({x.start, key});
}

void fair_queue::push(const item& x) {
  const auto key = static_cast<std::uint64_t>(x.tenant);
  auto& its_lane = lanes_[key];
  delist(key, its_lane);
  if (its_lane.items.empty())
    its_lane.start = std::max(its_lane.start, virtual_time_);
  if (its_lane.items.emplace(x.order, x).second)
    ++size_;
  enlist(key, its_lane);
}

std::optional<fair_queue::item> fair_queue::pop() {
  if (ready_.empty())
    return std::nullopt;
  const auto [start, key] = *ready_.begin();
  auto& its_lane = lanes_[key];
  delist(key, its_lane);
  const auto first = its_lane.items.begin();
  const auto result = first->second;
  its_lane.items.erase(first);
  --size_;
  virtual_time_ = std::max(virtual_time_, start);
  its_lane.start += std::max<std::uint64_t>(result.cost, 1);
  enlist(key, its_lane);
  forget_paid_debts();
  return result;
}

std::optional<fair_queue::item> fair_queue::front() const {
  if (ready_.empty())
    return std::nullopt;
  return lanes_.at(ready_.begin()->second).items.begin()->second;
}

void fair_queue::give_back(const item& x) {
  const auto key = static_cast<std::uint64_t>(x.tenant);
  const auto [found, is_new] = lanes_.try_emplace(key);
  auto& its_lane = found->second;
  delist(key, its_lane);
  const auto cost = std::max<std::uint64_t>(x.cost, 1);
  // A forgotten lane had paid its debts: it was at or before the present.
  its_lane.start = is_new ? virtual_time_ : its_lane.start - std::min(its_lane.start, cost);
  if (its_lane.items.emplace(x.order, x).second)
    ++size_;
  enlist(key, its_lane);
}

bool fair_queue::remove(tenant_number tenant, std::uint64_t order) {
  const auto key = static_cast<std::uint64_t>(tenant);
  const auto found = lanes_.find(key);
  if (found == lanes_.end())
    return false;
  auto& its_lane = found->second;
  delist(key, its_lane);
  const auto erased = its_lane.items.erase(order) != 0;
  if (erased)
    --size_;
  enlist(key, its_lane);
  forget_paid_debts();
  return erased;
}

bool fair_queue::suspend(tenant_number tenant) {
  const auto key = static_cast<std::uint64_t>(tenant);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || found->second.suspended)
    return false;
  delist(key, found->second);
  found->second.suspended = true;
  enlist(key, found->second);
  return true;
}

bool fair_queue::resume(tenant_number tenant) {
  const auto key = static_cast<std::uint64_t>(tenant);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || !found->second.suspended)
    return false;
  delist(key, found->second);
  found->second.suspended = false;
  // It could not be served meanwhile, so it has no credit for that time either.
  found->second.start = std::max(found->second.start, virtual_time_);
  enlist(key, found->second);
  return true;
}

/// A lane without items is kept only while its tenant is ahead of the others; when nobody waits
/// there are no others.
void fair_queue::forget_paid_debts() {
  while (!debts_.empty() && (size_ == 0 || debts_.begin()->first <= virtual_time_)) {
    lanes_.erase(debts_.begin()->second);
    debts_.erase(debts_.begin());
  }
}

} // namespace weir::push_policy
