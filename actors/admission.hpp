#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "messages/receipt.hpp"

namespace weir {

/// Who opens a buffer, over all versions of the config: a hash of the tenant's name. 0: nobody knows.
using tenant_key = std::uint64_t;

/// Who may open a new buffer: by count and by rate, for the whole node and for each tenant. Existing buffers
/// are never refused, and waking one is not a creation. What only a shard knows (open bytes, disk, memory) it
/// asks itself. Shared by the shards; thread-safe, asked once per new buffer.
///
/// A tenant's share binds only while the node is short of what is shared: as long as half of the buffers, or
/// of the bucket, is free, nobody's use is another's loss. So one tenant may take half of what there is and
/// is then the first to be refused.
class buffer_admission {
 public:
  struct limits {
    std::uint64_t buffers = 1'000'000;          ///< `limits.buffers`
    std::uint64_t creations_per_second = 1'000; ///< `limits.buffer_creation_rate`
    std::uint64_t burst = 1'000;                ///< Of the bucket: a second of it.
    double tenant_share = 0.25;                 ///< `limits.tenant_buffers_share`, of the count and of the rate.
    bool enforced = true; ///< False only where a drill switched this guard off: counted, never refused.
  };
  using time_point = std::chrono::steady_clock::time_point;

  /// What admission came to since the start, and where it stands. For the overload board.
  struct report {
    std::uint64_t buffers = 0;
    std::uint64_t created = 0;
    std::array<std::uint64_t, shed_reason_count> refused{};
    std::uint64_t most_of_a_tenant = 0; ///< Buffers of the tenant that last had the most.
  };

  explicit buffer_admission(limits given) : limits_(given), tokens_(static_cast<double>(given.burst)) {}

  /// Nothing if the buffer may be opened (it is counted then), else why not: `buffer_count`, `creation_rate`,
  /// or `tenant_share` for either of both.
  std::optional<shed_reason> admit(tenant_key tenant, time_point now);
  /// Counts buffers that recovery found; never refused.
  void count_existing(tenant_key tenant, std::uint64_t buffers = 1);
  /// So many are gone, or their owner is.
  void released(tenant_key tenant, std::uint64_t buffers = 1);
  /// The job belongs to another tenant now.
  void moved(tenant_key from, tenant_key to);

  /// At the start only: a bucket that is enough for so many buffers at once, whoever's they are: the jobs of the
  /// config that was last known good. No more than may exist.
  void expect(std::uint64_t jobs);

  std::uint64_t buffers() const;
  std::uint64_t refused() const; ///< In all.
  report look() const;
  const limits& in_force() const noexcept { return limits_; }
  std::uint64_t most_buffers_of_a_tenant() const noexcept;

 private:
  struct account {
    std::uint64_t buffers = 0;
    double tokens = 0; ///< Of its share of the creation rate.
    time_point filled{};
  };

  std::optional<shed_reason> judge(tenant_key tenant, time_point now);
  double tenant_tokens(const account& of, time_point now) const;
  void add(tenant_key tenant, std::uint64_t buffers);

  mutable std::mutex mutex_;
  const limits limits_;
  double tokens_;
  time_point filled_{};
  std::uint64_t count_ = 0;
  std::uint64_t created_ = 0;
  std::array<std::uint64_t, shed_reason_count> refused_{};
  std::unordered_map<tenant_key, account> tenants_; // of those that have a buffer
  tenant_key hottest_ = 0;
  std::uint64_t hottest_buffers_ = 0;
};

} // namespace weir
