#include "actors/admission.hpp"

#include <algorithm>
#include <numeric>

namespace weir {

namespace {

constexpr double contended_at = 0.5; ///< Of the count in use, or of the bucket left.

} // namespace

std::optional<shed_reason> buffer_admission::admit(tenant_key tenant, time_point now) {
  std::lock_guard lock{mutex_};
  if (filled_ == time_point{})
    filled_ = now;
  const std::chrono::duration<double> passed = now - filled_;
  filled_ = std::max(filled_, now);
  const auto most = static_cast<double>(limits_.burst);
  if (tokens_ < most && passed.count() > 0)
    tokens_ = std::min(most, tokens_ + passed.count() * static_cast<double>(limits_.creations_per_second));
  if (limits_.enforced) {
    if (const auto refused = judge(tenant, now)) {
      ++refused_[static_cast<std::size_t>(*refused)];
      return refused;
    }
  }
  const auto found = tenants_.find(tenant);
  const auto left = found == tenants_.end() ? static_cast<double>(limits_.burst) * limits_.tenant_share
                                            : tenant_tokens(found->second, now);
  add(tenant, 1);
  auto& own = tenants_[tenant];
  own.tokens = left - 1; // Below 0 what it took while there was enough for all.
  own.filled = now;
  tokens_ = std::max(0.0, tokens_ - 1);
  ++created_;
  return std::nullopt;
}

std::optional<shed_reason> buffer_admission::judge(tenant_key tenant, time_point now) {
  if (count_ >= limits_.buffers)
    return shed_reason::buffer_count;
  const auto found = tenants_.find(tenant);
  const auto own = found == tenants_.end() ? 0 : found->second.buffers;
  if (static_cast<double>(count_) >= contended_at * static_cast<double>(limits_.buffers)
      && own >= most_buffers_of_a_tenant())
    return shed_reason::tenant_share;
  if (tokens_ < 1)
    return shed_reason::creation_rate;
  // Who has none yet may have one whatever its share comes to.
  if (own > 0 && tokens_ < contended_at * static_cast<double>(limits_.burst) && tenant_tokens(found->second, now) < 1)
    return shed_reason::tenant_share;
  return std::nullopt;
}

/// What is left of the tenant's own bucket. Debts from better times are forgiven: only what it takes while the
/// node is short counts, from an empty bucket on.
double buffer_admission::tenant_tokens(const account& of, time_point now) const {
  const auto most = std::max(1.0, static_cast<double>(limits_.burst) * limits_.tenant_share);
  const auto rate = static_cast<double>(limits_.creations_per_second) * limits_.tenant_share;
  const std::chrono::duration<double> passed = now - of.filled;
  return std::min(most, std::max(0.0, of.tokens) + std::max(0.0, passed.count()) * rate);
}

std::uint64_t buffer_admission::most_buffers_of_a_tenant() const noexcept {
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(limits_.tenant_share * static_cast<double>(limits_.buffers)));
}

void buffer_admission::add(tenant_key tenant, std::uint64_t buffers) {
  auto& own = tenants_[tenant];
  own.buffers += buffers;
  count_ += buffers;
  if (own.buffers > hottest_buffers_ || tenant == hottest_) {
    hottest_ = tenant;
    hottest_buffers_ = own.buffers;
  }
}

void buffer_admission::count_existing(tenant_key tenant, std::uint64_t buffers) {
  std::lock_guard lock{mutex_};
  add(tenant, buffers);
}

void buffer_admission::released(tenant_key tenant, std::uint64_t buffers) {
  std::lock_guard lock{mutex_};
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end())
    return;
  const auto gone = std::min(buffers, found->second.buffers);
  found->second.buffers -= gone;
  count_ -= gone;
  if (tenant == hottest_)
    hottest_buffers_ = found->second.buffers;
  if (found->second.buffers == 0)
    tenants_.erase(found);
}

void buffer_admission::moved(tenant_key from, tenant_key to) {
  released(from);
  count_existing(to);
}

void buffer_admission::expect(std::uint64_t jobs) {
  std::lock_guard lock{mutex_};
  // Half of a burst on top, so that these jobs do not count as a shortage for one of their own.
  const auto most = static_cast<double>(std::min(jobs, limits_.buffers));
  tokens_ = std::max(tokens_, most + contended_at * static_cast<double>(limits_.burst));
}

std::uint64_t buffer_admission::buffers() const {
  std::lock_guard lock{mutex_};
  return count_;
}

std::uint64_t buffer_admission::refused() const {
  std::lock_guard lock{mutex_};
  return std::accumulate(refused_.begin(), refused_.end(), std::uint64_t{0});
}

buffer_admission::report buffer_admission::look() const {
  std::lock_guard lock{mutex_};
  return {count_, created_, refused_, hottest_buffers_};
}

} // namespace weir
