#include "apps/audit_books.hpp"

#include <algorithm>
#include <functional>

namespace weir::audit {

namespace {

constexpr std::uint64_t numbers_per_page = 65'536;

} // namespace

bool number_set::insert(std::uint64_t x) {
  const auto number = x / numbers_per_page;
  if (!last_ || number != last_number_) {
    auto& found = pages_[number];
    if (!found)
      found = std::make_unique<page>();
    last_ = found.get();
    last_number_ = number;
  }
  auto& word = (*last_)[x % numbers_per_page / 64];
  const auto bit = std::uint64_t{1} << x % 64;
  const bool fresh = (word & bit) == 0;
  word |= bit;
  return fresh;
}

bool number_set::contains(std::uint64_t x) const noexcept {
  const auto found = pages_.find(x / numbers_per_page);
  return found != pages_.end() && ((*found->second)[x % numbers_per_page / 64] >> x % 64 & 1) != 0;
}

sequence_book::verdict sequence_book::judge() {
  std::sort(runs_.begin(), runs_.end());
  verdict result;
  sequence next = 1;
  for (const auto& [first, count] : runs_) {
    const auto end = first + count;
    if (first > next) {
      if (result.missing == 0)
        result.first_missing = next;
      result.missing += first - next;
    } else if (first < next) {
      if (result.doubled == 0)
        result.first_doubled = first;
      result.doubled += std::min(next, end) - first;
    }
    next = std::max(next, end);
  }
  result.last = next - 1;
  return result;
}

std::size_t zone_book::layer(job_id job, std::string_view zone) {
  auto& jobs = zones_[std::string{zone}];
  const auto found = std::find(jobs.begin(), jobs.end(), job);
  if (found != jobs.end())
    return static_cast<std::size_t>(found - jobs.begin());
  jobs.push_back(job);
  return jobs.size() - 1;
}

const std::vector<job_id>* zone_book::jobs_of(std::string_view zone) const {
  const auto found = zones_.find(std::string{zone});
  return found == zones_.end() ? nullptr : &found->second;
}

bool event_book::add(std::uint64_t sender, std::uint64_t counter, std::size_t layer) {
  return counters_[{sender, layer}].insert(counter);
}

bool event_book::contains(std::uint64_t sender, std::uint64_t counter, std::size_t layer) const noexcept {
  const auto found = counters_.find({sender, layer});
  return found != counters_.end() && counter < number_set::limit && found->second.contains(counter);
}

void event_book::add_named(job_id job, std::string_view name) {
  named_.emplace_back(std::hash<std::string_view>{}(name), number(job));
}

std::map<job_id, std::uint64_t> event_book::doubled_named() {
  std::sort(named_.begin(), named_.end());
  std::map<job_id, std::uint64_t> doubled;
  for (std::size_t i = 1; i < named_.size(); ++i)
    if (named_[i] == named_[i - 1])
      ++doubled[job_id{named_[i].second}];
  named_.clear();
  named_.shrink_to_fit();
  return doubled;
}

} // namespace weir::audit
