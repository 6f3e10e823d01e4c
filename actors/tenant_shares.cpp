#include "actors/tenant_shares.hpp"

#include <limits>

namespace weir {

namespace {

constexpr auto any_number = std::numeric_limits<std::uint64_t>::max();

} // namespace

std::uint64_t tenant_shares::most_bytes_of_a_tenant() const {
  return static_cast<std::uint64_t>(share_ * static_cast<double>(total_->granted().bytes));
}

std::uint64_t tenant_shares::highest_use() const {
  std::lock_guard lock{mutex_};
  return hottest_ ? hottest_->used().bytes : 0;
}

tenant_shares::windows& tenant_shares::windows_of(config_version version) {
  if (version == before_version_)
    return before_;
  if (version != version_) {
    before_version_ = version_;
    before_ = std::move(windows_);
    windows_.clear();
    version_ = version;
  }
  return windows_;
}

bool tenant_shares::admit(config_version version, tenant_index tenant, std::uint64_t bytes, credit& held) {
  const auto granted = total_->granted().bytes;
  if (total_->used().bytes < granted / 2)
    return true;
  const auto most = most_bytes_of_a_tenant();
  std::lock_guard lock{mutex_};
  auto& window = windows_of(version)[tenant];
  if (!window)
    window = std::make_shared<credit_window>(credit_window::limits{most, any_number});
  else if (window->granted().bytes != most)
    window->grant({most, any_number}); // the whole was shrunk, or given back
  auto taken = credit::acquire(window, bytes);
  if (!taken) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  if (!hottest_ || window->used().bytes >= hottest_->used().bytes)
    hottest_ = window;
  held = std::move(*taken);
  return true;
}

} // namespace weir
