#pragma once

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

 private:
  std::shared_ptr<credit_window> total_;
  double share_;
  std::mutex mutex_;
  config_version version_{}; // tenants' numbers belong to one snapshot
  std::unordered_map<tenant_index, std::shared_ptr<credit_window>> windows_;
};

} // namespace weir
