#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "messages/ids.hpp"
#include "store/chunk_pool.hpp"

namespace weir::store {

/// All jobs the log knows, found by id: 26 bytes a job in slots that never move, and a hash from id
/// to slot that is kept 70–88 % full (4.6–5.7 bytes a job). Jobs are never removed: their sequences
/// stay proven. Not thread-safe.
class job_table {
 public:
  using slot = std::uint32_t;

  struct __attribute__((packed)) entry {
    std::uint64_t job;
    std::uint64_t generation; ///< Of new events.
    std::uint32_t next_low;   ///< Next sequence, 47 bits; the topmost bit of `next_high`: generation ended.
    std::uint16_t next_high;
    chunk_pool::handle blocks; ///< Last chunk of its ring of chunks, or none.

    std::uint64_t next() const { return next_low | (std::uint64_t{next_high & 0x7fffu} << 32); }
    bool closed() const { return (next_high & 0x8000u) != 0; }
    void set_next(std::uint64_t next, bool closed) {
      next_low = static_cast<std::uint32_t>(next);
      next_high = static_cast<std::uint16_t>(((next >> 32) & 0x7fff) | (closed ? 0x8000u : 0u));
    }
  };
  static_assert(sizeof(entry) == 26);
  static constexpr std::uint64_t most_sequence = (std::uint64_t{1} << 47) - 1;

  std::size_t size() const { return size_; }
  entry& at(slot x) { return pages_[x / page_slots][x % page_slots]; }
  const entry& at(slot x) const { return pages_[x / page_slots][x % page_slots]; }

  std::optional<slot> find(job_id job) const;
  /// New ones get the next slot: slots are in the order in which jobs were first seen.
  slot find_or_add(job_id job);

  std::uint64_t bytes() const {
    return pages_.size() * page_slots * sizeof(entry) + buckets_.capacity() * sizeof(slot);
  }

 private:
  static constexpr std::size_t page_slots = 1024;
  static constexpr slot empty = ~slot{0};

  std::size_t bucket_of(std::uint64_t job) const;
  void rehash(std::size_t buckets);

  std::vector<std::unique_ptr<entry[]>> pages_;
  std::vector<slot> buckets_;
  std::size_t size_ = 0;
};

} // namespace weir::store
