#include "actors/batch_memory.hpp"

#include <algorithm>

namespace weir {

namespace {

constexpr auto by_job = [](const auto& x, job_id job) { return x.job < job; };

} // namespace

batch_memory::knowledge batch_memory::of(const batch_id& batch, job_id job) const {
  const auto* found = const_cast<batch_memory*>(this)->find(batch, job);
  if (found == nullptr)
    return knowledge::unknown;
  return found->on_disk ? knowledge::durable : knowledge::under_way;
}

void batch_memory::begin(const batch_id& batch, std::vector<job_id> jobs) {
  auto [known, is_new] = batches_.try_emplace(batch);
  if (is_new) {
    order_.push_back(batch);
    forget_oldest();
    known = batches_.find(batch);
    if (known == batches_.end())
      return;
  }
  auto& entries = known->second;
  entries.reserve(entries.size() + jobs.size());
  for (auto job : jobs)
    entries.push_back({job, false});
  // A stable sort and `unique` keep what was known before the new entries of the same job.
  std::stable_sort(entries.begin(), entries.end(), [](const entry& a, const entry& b) { return a.job < b.job; });
  entries.erase(
      std::unique(entries.begin(), entries.end(), [](const entry& a, const entry& b) { return a.job == b.job; }),
      entries.end());
}

void batch_memory::durable(const batch_id& batch, job_id job) {
  if (auto* found = find(batch, job))
    found->on_disk = true;
}

void batch_memory::failed(const batch_id& batch, job_id job) {
  auto known = batches_.find(batch);
  if (known == batches_.end())
    return;
  auto& entries = known->second;
  const auto at = std::lower_bound(entries.begin(), entries.end(), job, by_job);
  if (at != entries.end() && at->job == job)
    entries.erase(at);
}

void batch_memory::done(const batch_id& batch) {
  batches_.erase(batch); // its place in `order_` is skipped when its turn comes
}

batch_memory::entry* batch_memory::find(const batch_id& batch, job_id job) {
  auto known = batches_.find(batch);
  if (known == batches_.end())
    return nullptr;
  auto& entries = known->second;
  const auto at = std::lower_bound(entries.begin(), entries.end(), job, by_job);
  return at != entries.end() && at->job == job ? &*at : nullptr;
}

void batch_memory::forget_oldest() {
  while (!order_.empty() && (batches_.size() > limit_ || batches_.find(order_.front()) == batches_.end())) {
    batches_.erase(order_.front());
    order_.pop_front();
  }
  // Bodies that were done leave holes in the middle; keep the list in proportion.
  if (order_.size() > 64 && order_.size() > 2 * batches_.size()) {
    std::deque<batch_id> kept;
    for (const auto& id : order_)
      if (batches_.find(id) != batches_.end())
        kept.push_back(id);
    order_.swap(kept);
  }
}

} // namespace weir
