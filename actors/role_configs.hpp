#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "config/config_snapshot.hpp"

namespace weir {

/// The roles that judge a config before they work by it.
enum class judging_role : std::uint8_t { forwarder, receiver };
constexpr std::size_t judging_role_count = 2;
std::string_view name_of(judging_role role) noexcept;

/// What each forwarder and each receiver of a node has in force, so that one that is restarted begins with what it had
/// accepted and not with what it has yet to judge. Roles write their own row; their starter and the control side read.
/// Thread-safe; a call is a short lock and a copy of pointers.
class role_configs {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  struct row {
    config_snapshot_ptr in_force; ///< Never null.
    /// What was in force an hour before, or up to two hours: changes are judged against it, too, so that many small
    /// ones do not add up to a large one. Two snapshots are kept in its place at most.
    config_snapshot_ptr an_hour_ago;
    std::uint64_t explained_since_hour_ago = 0; ///< Changes since then that audit rows explained.
    /// Of a receiver: what `in_force` replaced, until that is in force everywhere. Else null.
    config_snapshot_ptr leaving;
  };

  /// Everybody begins with `first`; it may be empty (version 0), never null.
  role_configs(std::size_t forwarders, std::size_t receivers, config_snapshot_ptr first, time_point now);

  row of(judging_role role, std::size_t i, time_point now) const;
  struct adoption {
    config_snapshot_ptr snapshot;
    bool removes = false;        ///< What it replaces still counts until `settle`.
    bool by_approval = false;    ///< An operator looked at it: from now on it is the measure of later changes.
    std::uint64_t explained = 0; ///< `config_offer::explained`
  };
  /// The role accepted it.
  void adopt(judging_role role, std::size_t i, adoption accepted, time_point now);
  /// The version is in force everywhere: nothing is leaving any more.
  void settle(config_version version);

  std::vector<config_version> versions(judging_role role) const;

 private:
  struct memory {
    row now;
    config_snapshot_ptr next_hour; // becomes `an_hour_ago` an hour after `taken`
    std::uint64_t explained_since_taken = 0;
    time_point taken;
  };

  static void age(memory& x, time_point now);

  mutable std::mutex mutex_;
  mutable std::vector<memory> rows_[judging_role_count];
};

} // namespace weir
