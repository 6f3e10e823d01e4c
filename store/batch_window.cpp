#include "store/batch_window.hpp"

#include <algorithm>

namespace weir::store {

const std::string* batch_window::share(std::string_view answer) {
  auto at = answers_.emplace(std::string(answer), 0).first;
  ++at->second;
  return &at->first;
}

void batch_window::learn(const batch_id& batch, job_id job, std::uint32_t at_seconds) {
  if (!batch || done_by_id_.count(batch) != 0)
    return;
  auto [at, added] = open_.try_emplace(batch);
  if (added) {
    at->second.at_seconds = at_seconds;
    open_order_.push_back(batch);
  }
  auto& jobs = at->second.jobs;
  if (std::find(jobs.rbegin(), jobs.rend(), job) == jobs.rend())
    jobs.push_back(job);
  while (open_.size() > most_)
    forget_first_known();
}

void batch_window::finish(const batch_id& batch, std::uint64_t digest, std::uint32_t status, std::string_view answer,
                          std::uint32_t at_seconds) {
  if (!batch)
    return;
  open_.erase(batch);
  while (!open_order_.empty() && open_.count(open_order_.front()) == 0)
    open_order_.pop_front();
  if (!done_by_id_.emplace(batch, end_done()).second)
    return;
  done_.push_back({batch, digest, status, at_seconds, share(answer)});
  while (done_.size() > most_)
    forget_first_done();
}

void batch_window::forget_first_done() {
  auto& x = done_.front();
  done_by_id_.erase(x.batch);
  auto at = answers_.find(*x.answer);
  if (--at->second == 0)
    answers_.erase(at);
  done_.pop_front();
  ++first_;
}

void batch_window::forget_first_known() {
  open_.erase(open_order_.front());
  open_order_.pop_front();
}

std::optional<done_batch> batch_window::done(const batch_id& batch) const {
  auto at = done_by_id_.find(batch);
  if (at == done_by_id_.end())
    return std::nullopt;
  const auto& x = done_[at->second - first_];
  return done_batch{x.batch, x.digest, x.status, *x.answer};
}

std::vector<known_slice> batch_window::known() const {
  std::vector<known_slice> result;
  for (const auto& batch : open_order_) {
    auto at = open_.find(batch);
    if (at != open_.end())
      for (auto job : at->second.jobs)
        result.push_back({batch, job});
  }
  return result;
}

bool batch_window::expire(std::uint32_t oldest_seconds, std::size_t steps) {
  for (; steps > 0; --steps) {
    if (!done_.empty() && done_.front().at_seconds < oldest_seconds) {
      forget_first_done();
    } else if (!open_order_.empty()) {
      auto at = open_.find(open_order_.front());
      if (at != open_.end() && at->second.at_seconds >= oldest_seconds)
        return false;
      forget_first_known();
    } else {
      return false;
    }
  }
  return true;
}

std::uint64_t batch_window::bytes() const {
  return done_.size() * (sizeof(done_entry) + 40) + open_order_.size() * (sizeof(open_entry) + 72)
         + answers_.size() * 96;
}

void batch_window::save_done(std::uint64_t number, byte_writer& to) const {
  const auto& x = done_[number - first_];
  to.u64(x.batch.high);
  to.u64(x.batch.low);
  to.u64(x.digest);
  to.varint(x.status);
  to.u32(x.at_seconds);
  to.text(*x.answer);
}

void batch_window::load_done(byte_reader& from) {
  batch_id batch;
  batch.high = from.u64();
  batch.low = from.u64();
  auto digest = from.u64();
  auto status = static_cast<std::uint32_t>(from.varint());
  auto at = from.u32();
  auto answer = from.text();
  if (from.ok())
    finish(batch, digest, status, answer, at);
}

void batch_window::save_known(byte_writer& to) const {
  for (const auto& batch : open_order_) {
    auto at = open_.find(batch);
    if (at == open_.end())
      continue;
    to.u64(batch.high);
    to.u64(batch.low);
    to.u32(at->second.at_seconds);
    to.varint(at->second.jobs.size());
    for (auto job : at->second.jobs)
      to.varint(number(job));
  }
}

void batch_window::load_known(byte_reader& from) {
  while (from.ok() && !from.at_end()) {
    batch_id batch;
    batch.high = from.u64();
    batch.low = from.u64();
    auto at = from.u32();
    auto jobs = from.varint();
    for (std::uint64_t i = 0; i < jobs && from.ok(); ++i) {
      auto job = job_id{from.varint()};
      if (from.ok())
        learn(batch, job, at);
    }
  }
}

} // namespace weir::store
