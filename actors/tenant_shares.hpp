#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "config/forwarding_table.hpp"
#include "messages/credit.hpp"
#include "messages/ids.hpp"

namespace weir {

/// How much of the in-flight memory one tenant may hold, so that a hot one cannot take it all from
/// the others. Enforced only while memory is contended: as long as half of it is free, nobody's use
/// is another's loss. Thread-safe; asked once per slice.
class tenant_shares {
 public:
  /// `share` of `total`'s bytes for each tenant; `limits.tenant_share`.
  tenant_shares(std::shared_ptr<credit_window> total, double share) : total_(std::move(total)), share_(share) {}

  /// False if the tenant's share is used up. While memory is contended, `held` pays for the bytes.
  bool admit(config_version version, tenant_index tenant, std::uint64_t bytes, credit& held);

  // For the overload board.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); } ///< Slices, so far.
  std::uint64_t most_bytes_of_a_tenant() const; ///< What a tenant may hold now.
  std::uint64_t highest_use() const;            ///< Bytes of the tenant that last held the most.

 private:
  using windows = std::unordered_map<tenant_index, std::shared_ptr<credit_window>>;

  windows& windows_of(config_version version);

  std::shared_ptr<credit_window> total_;
  double share_;
  mutable std::mutex mutex_;
  // Tenants' numbers belong to one snapshot; while a config is rolled out, there are two.
  config_version version_{}, before_version_{};
  windows windows_, before_;
  std::shared_ptr<credit_window> hottest_; // guarded by mutex_
  std::atomic<std::uint64_t> refused_{0};
};

} // namespace weir
