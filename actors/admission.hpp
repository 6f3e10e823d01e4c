#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "messages/receipt.hpp"

namespace weir {

/// Who may open a new buffer: by count and by rate, for the whole node. Existing buffers are never
/// refused, and waking one is not a creation. Shared by the shards; thread-safe, asked once per new
/// buffer.
class buffer_admission {
 public:
  struct limits {
    std::uint64_t buffers = 1'000'000;          ///< `limits.buffers`
    std::uint64_t creations_per_second = 1'000; ///< `limits.buffer_creation_rate`
    std::uint64_t burst = 1'000;                ///< Starts at the jobs of the last-known-good config, if more.
  };
  using time_point = std::chrono::steady_clock::time_point;

  explicit buffer_admission(limits given) : limits_(given), tokens_(static_cast<double>(given.burst)) {}

  /// Nothing if the buffer may be opened (it is counted then), else why not.
  std::optional<shed_reason> admit(time_point now);
  /// Counts buffers that recovery found; never refused.
  void count_existing(std::uint64_t buffers);
  /// So many are gone, or their owner is.
  void released(std::uint64_t buffers);

  /// A full bucket for at least so many buffers: the jobs of a config that was accepted whole.
  void expect(std::uint64_t jobs);

  std::uint64_t buffers() const;
  std::uint64_t refused() const;

 private:
  mutable std::mutex mutex_;
  limits limits_;
  double tokens_;
  time_point filled_{};
  std::uint64_t count_ = 0;
  std::uint64_t refused_ = 0;
};

} // namespace weir
