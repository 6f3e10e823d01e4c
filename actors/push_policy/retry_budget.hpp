#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "actors/push_policy/backoff.hpp"

namespace weir::push_policy {

struct retry_budget_settings {
  double share = 0.10;        ///< Of the first tries of the window (fault catalogue, rule 15).
  std::uint32_t minimum = 10; ///< A window; so that a quiet node does not wait for want of first tries.
  std::chrono::seconds window{60};
};

/// How many retries the whole node may make: a share of its first tries of the last minute, in
/// tenths of the window. Retries beyond it would be what keeps an overload going.
class retry_budget {
 public:
  explicit retry_budget(const retry_budget_settings& settings) : settings_(settings) {}

  void count_first(time_point now);
  /// Takes one retry if one is left.
  bool try_take(time_point now);
  /// What could be taken now.
  std::uint64_t left(time_point now);

 private:
  static constexpr std::size_t parts = 10;
  struct part {
    std::uint64_t firsts = 0;
    std::uint64_t retries = 0;
  };
  void advance(time_point now);

  retry_budget_settings settings_;
  std::array<part, parts> ring_{};
  std::int64_t at_ = 0; ///< Number of the current part since the clock's epoch.
  std::uint64_t firsts_ = 0;
  std::uint64_t retries_ = 0;
};

} // namespace weir::push_policy
