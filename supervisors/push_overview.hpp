#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "actors/push_policy/push_scheduler.hpp"

namespace weir {

/// What the pusher last said of destinations in trouble, for the control endpoint: written by the
/// pusher once a second, read without asking it.
class push_overview {
 public:
  void update(std::vector<push_policy::destination_report> troubled) {
    std::lock_guard lock{mutex_};
    troubled_.swap(troubled);
  }
  std::vector<push_policy::destination_report> troubled() const {
    std::lock_guard lock{mutex_};
    return troubled_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<push_policy::destination_report> troubled_;
};

} // namespace weir
