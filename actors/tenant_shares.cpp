#include "actors/tenant_shares.hpp"

#include <limits>

namespace weir {

bool tenant_shares::admit(config_version version, tenant_index tenant, std::uint64_t bytes, credit& held) {
  const auto granted = total_->granted().bytes;
  if (total_->used().bytes < granted / 2)
    return true;
  std::shared_ptr<credit_window> window;
  {
    std::lock_guard lock{mutex_};
    if (version != version_) {
      windows_.clear();
      version_ = version;
    }
    auto& entry = windows_[tenant];
    if (!entry) {
      const auto most = static_cast<std::uint64_t>(share_ * static_cast<double>(granted));
      entry = std::make_shared<credit_window>(credit_window::limits{most, std::numeric_limits<std::uint64_t>::max()});
    }
    window = entry;
  }
  auto taken = credit::acquire(window, bytes);
  if (!taken)
    return false;
  held = std::move(*taken);
  return true;
}

} // namespace weir
