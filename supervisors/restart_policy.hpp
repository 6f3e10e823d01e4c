#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "messages/environment.hpp"

namespace weir {

/// How often something may be restarted, and how long to wait before. The defaults stop a crash
/// loop after about three seconds and five tries (OTP's own default, one in 5 s, is meant for
/// restarts without a delay).
struct restart_limits {
  std::uint32_t max_restarts = 5; ///< Within `period`; one more, and the budget is spent.
  std::chrono::milliseconds period{60'000};
  std::chrono::milliseconds backoff_min{100}; ///< Bound of the first delay; doubles with each further one.
  std::chrono::milliseconds backoff_max{10'000};
};

/// What is wrong with the limits, or nothing. The delays of `max_restarts` restarts must fit into
/// `period`: otherwise a child that crashes at once would never spend its budget.
std::optional<std::string> problem_of(const restart_limits& limits);

/// The restart budget of one child or of one supervisor. Pure: time and chance are passed in.
///
/// Delays have full jitter (uniform between zero and the bound), so that what died together does
/// not come back together. The bound starts anew once nothing crashed for a whole period.
class restart_policy {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit restart_policy(restart_limits limits) : limits_(limits) {}

  /// Something crashed. The delay before its restart, or nothing: the budget is spent.
  std::optional<std::chrono::milliseconds> crashed(time_point now, random_source& random);
  /// A fresh budget.
  void reset() { crashes_.clear(); }

 private:
  restart_limits limits_;
  std::deque<time_point> crashes_; ///< Within the period; at most `max_restarts`.
};

} // namespace weir
