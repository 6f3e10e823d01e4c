#include "messages/receipt.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace weir {

namespace {

constexpr std::size_t max_named_lines = 10;
constexpr std::size_t max_retry_scopes = 1'000;

} // namespace

std::string_view name_of(shed_reason reason) noexcept {
  constexpr std::string_view names[shed_reason_count] = {"job_quota", "buffer_count", "creation_rate", "tenant_share",
                                                         "memory",    "no_credit",    "disk_full"};
  return names[static_cast<std::size_t>(reason)];
}

std::string_view name_of(reject_reason reason) noexcept {
  constexpr std::string_view names[reject_reason_count] = {
      "not_json", "too_large", "too_deep", "no_scope", "scope_twice", "scope_forbidden", "refused_with_body"};
  return names[static_cast<std::size_t>(reason)];
}

std::uint64_t receipt_outcome::total_shed() const noexcept {
  return std::accumulate(shed.begin(), shed.end(), std::uint64_t{0});
}

std::uint64_t receipt_outcome::total_rejected() const noexcept {
  return std::accumulate(rejected.begin(), rejected.end(), std::uint64_t{0});
}

bool receipt_outcome::passing_shed() const noexcept {
  for (std::size_t i = 0; i < shed_reason_count; ++i)
    if (shed[i] > 0 && is_passing(static_cast<shed_reason>(i)))
      return true;
  return false;
}

void receipt::count(const ledger_entry& entry) {
  if (entry.events == 0)
    return;
  std::lock_guard lock{mutex_};
  using kind = ledger_entry::kind;
  switch (entry.what) {
    case kind::received:
      outcome_.received += entry.events;
      break;
    case kind::rejected:
      outcome_.rejected[entry.reason] += entry.events;
      break;
    case kind::not_entitled:
      outcome_.not_entitled += entry.events;
      break;
    case kind::filtered:
      outcome_.filtered += entry.events;
      break;
    case kind::shed:
      outcome_.shed[entry.reason] += entry.events;
      break;
    case kind::repeated:
    case kind::offered:
    case kind::sampled_out:
    case kind::turned_back:
      break;
  }
  entries_.push_back(entry);
}

void receipt::reject(std::uint32_t line, reject_reason reason) {
  std::lock_guard lock{mutex_};
  if (outcome_.first_rejected.size() < max_named_lines)
    outcome_.first_rejected.push_back({line, reason});
}

void receipt::retry(std::string_view scope) {
  if (scope.empty())
    return; // nobody could repeat it by that
  std::lock_guard lock{mutex_};
  auto& scopes = outcome_.retry_scopes;
  if (scopes.size() < max_retry_scopes && std::find(scopes.begin(), scopes.end(), scope) == scopes.end())
    scopes.emplace_back(scope);
}

receipt_outcome receipt::outcome() const {
  std::lock_guard lock{mutex_};
  auto result = outcome_;
  result.failed = failed_.load();
  result.accepted = accepted_.load();
  result.repeated = repeated_.load();
  return result;
}

std::vector<ledger_entry> receipt::take_entries() {
  std::vector<ledger_entry> entries;
  {
    std::lock_guard lock{mutex_};
    entries.swap(entries_);
  }
  const auto key = [](const ledger_entry& x) { return std::tuple{x.job, x.what, x.reason}; };
  std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (const auto& x : entries) {
    if (kept > 0 && key(entries[kept - 1]) == key(x))
      entries[kept - 1].events += x.events;
    else
      entries[kept++] = x;
  }
  entries.resize(kept);
  return entries;
}

void receipt::release(bool settled) noexcept {
  if (!settled)
    failed_.store(true);
  if (tickets_.fetch_sub(1) == 1 && done_)
    done_(*this);
}

ticket::ticket(std::shared_ptr<receipt> of) : receipt_(std::move(of)) {
  receipt_->tickets_.fetch_add(1);
}

ticket& ticket::operator=(ticket&& other) noexcept {
  if (this != &other) {
    drop();
    receipt_ = std::move(other.receipt_);
  }
  return *this;
}

void ticket::drop() noexcept {
  if (auto held = std::move(receipt_)) {
#ifdef WEIR_PLANTED_BUG_RECEIPT_RELEASED_BY_DYING_BUFFER
    held->release(true);
#else
    held->release(false);
#endif
  }
}

void ticket::settle() {
  if (auto held = std::move(receipt_))
    held->release(true);
}

void ticket::durable(std::uint64_t events) {
  receipt_->accepted_.fetch_add(events, std::memory_order_relaxed);
  settle();
}

void ticket::repeated(job_id job, std::uint64_t events) {
  receipt_->repeated_.fetch_add(events, std::memory_order_relaxed);
  receipt_->count({job, ledger_entry::kind::repeated, 0, events});
  settle();
}

void ticket::shed(job_id job, shed_reason reason, std::uint64_t events, std::string_view scope) {
  receipt_->count({job, ledger_entry::kind::shed, static_cast<std::uint8_t>(reason), events});
  if (is_passing(reason))
    receipt_->retry(scope);
  settle();
}

} // namespace weir
