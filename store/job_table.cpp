#include "store/job_table.hpp"

namespace weir::store {

// Ids are often dense, so they are mixed; the high half of the product picks the bucket, which lets
// the number of buckets be any number: growth by a fourth keeps the table full.
std::size_t job_table::bucket_of(std::uint64_t job) const {
  auto x = job * 0x9e3779b97f4a7c15ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  __extension__ using wide = unsigned __int128;
  return static_cast<std::size_t>((static_cast<wide>(x) * buckets_.size()) >> 64);
}

std::optional<job_table::slot> job_table::find(job_id job) const {
  if (buckets_.empty())
    return std::nullopt;
  for (auto i = bucket_of(number(job));; i = i + 1 == buckets_.size() ? 0 : i + 1) {
    if (buckets_[i] == empty)
      return std::nullopt;
    if (at(buckets_[i]).job == number(job))
      return buckets_[i];
  }
}

job_table::slot job_table::find_or_add(job_id job) {
  if (auto known = find(job))
    return *known;
  if (size_ % page_slots == 0)
    pages_.push_back(std::make_unique<entry[]>(page_slots));
  auto added = static_cast<slot>(size_++);
  auto& x = at(added);
  x = entry{};
  x.job = number(job);
  x.set_next(1, false);
  x.blocks = chunk_pool::none;
  if (size_ * 8 > buckets_.size() * 7) {
    rehash(buckets_.size() + buckets_.size() / 4 + 16);
    return added;
  }
  auto i = bucket_of(number(job));
  while (buckets_[i] != empty)
    i = i + 1 == buckets_.size() ? 0 : i + 1;
  buckets_[i] = added;
  return added;
}

void job_table::rehash(std::size_t buckets) {
  std::vector<slot>(buckets, empty).swap(buckets_);
  for (slot x = 0; x < size_; ++x) {
    auto i = bucket_of(at(x).job);
    while (buckets_[i] != empty)
      i = i + 1 == buckets_.size() ? 0 : i + 1;
    buckets_[i] = x;
  }
}

} // namespace weir::store
