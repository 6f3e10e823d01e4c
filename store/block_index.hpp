#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "messages/ids.hpp"
#include "store/chunk_pool.hpp"
#include "store/job_table.hpp"

namespace weir::store {

/// Where a record is and how long its parts are.
struct block_place {
  std::uint16_t file = 0;
  std::uint32_t offset = 0;
  std::uint32_t meta_bytes = 0; ///< Rounded up to 8.
  std::uint32_t payload_bytes = 0;

  std::uint32_t bytes() const noexcept; ///< Of the whole record.
  friend bool operator==(const block_place& a, const block_place& b) noexcept {
    return a.file == b.file && a.offset == b.offset;
  }
};

/// One block as the index has it.
struct indexed_block {
  sequence_range range;
  block_place place;
  std::uint32_t arrival_seconds = 0;   ///< Of its first event, wall clock since 1970; up to 63 s early.
  std::uint32_t raw_bytes_at_most = 0; ///< Of its events, rounded up by at most an eighth.
  std::uint32_t gone = 0;              ///< Events at its front that are trimmed already.
  bool set_aside = false;              ///< Its bytes are bad; kept only until its neighbours are trimmed.

  std::uint64_t live_events() const noexcept { return set_aside ? 0 : range.count - gone; }
};

/// Which blocks are buffered, per job in the order of their generations and sequences.
///
/// A job's blocks are runs of contiguous sequences in chunks of up to 133 blocks: 15 bytes a block
/// and 40 bytes a chunk. Not thread-safe. docs/store-format.md, "Index", has the layout.
class block_index {
 public:
  using slot = job_table::slot;

  block_index();

  job_table& jobs() { return jobs_; }
  const job_table& jobs() const { return jobs_; }
  std::uint64_t blocks() const { return blocks_; }
  std::uint64_t bytes() const { return jobs_.bytes() + chunks_.bytes(); }

  /// Adds a block behind all others of its job.
  void append(slot job, const indexed_block& x);

  /// Calls `visit(const indexed_block&)` from the oldest on while it returns true. Set-aside ones too.
  template <class F>
  void visit(slot job, F&& visit) const;

  /// The block that is exactly `range`.
  std::optional<indexed_block> find(slot job, const sequence_range& range) const;

  /// Points the block at its copy. Where it was, or none if there is no such live block any more.
  std::optional<block_place> move(slot job, const sequence_range& range, const block_place& to);

  /// Marks the block's bytes as bad. The block as it was, or none if there is no such live block.
  std::optional<indexed_block> set_aside(slot job, const sequence_range& range);

  /// Takes the events of `of` before `end` away: what was removed in whole goes to `removed` with the
  /// events it still had, a block reached into stays with `gone` grown. Returns the events taken away.
  std::uint64_t trim(slot job, generation of, sequence end, std::vector<indexed_block>& removed);

  /// First event of a generation that is still there; none if it has no live block.
  std::optional<sequence> first_live(slot job, generation of) const;

  /// Generation and end of the last block; count is 0. None without blocks.
  std::optional<sequence_range> behind_all(slot job) const;

  /// Replaces all blocks of a job. They must be in order.
  void rebuild(slot job, const std::vector<indexed_block>& all);

 private:
  struct chunk;
  struct block;

  chunk& at(chunk_pool::handle x) const;
  static block* blocks_of(chunk& x);
  static indexed_block expand(const chunk& c, const block& b, sequence first, bool front);
  static void pack(block& to, const block_place& place, std::uint32_t count);
  bool fits_behind(const chunk& tail, const indexed_block& x) const;
  chunk_pool::handle make_chunk(std::size_t size_class, const indexed_block& first);
  chunk_pool::handle grow(slot job, chunk_pool::handle tail);
  void unlink(slot job, chunk_pool::handle previous, chunk_pool::handle x);
  template <class F>
  bool visit_chunk(chunk& c, F&& visit) const;
  void drop_front(chunk& c) const;

  job_table jobs_;
  chunk_pool chunks_;
  std::uint64_t blocks_ = 0;
};

// -- layout ------------------------------------------------------------------------------------

/// 15 bytes. `file` 0xffff: set aside.
struct __attribute__((packed)) block_index::block {
  std::uint64_t place;          ///< file 16, offset / 8 24, record bytes / 8 21, padding of the payload 3 bits
  std::uint32_t count_and_meta; ///< count 24 bits, meta / 8 (rounded up) low 8 bits
  std::uint8_t meta_high;       ///< meta / 8, high 8 bits
  std::uint8_t delay;           ///< Arrival behind the chunk's `base_seconds`, in units of 64 s, rounded down.
  std::uint8_t raw;             ///< Raw bytes as a tiny floating-point number, see block_index.cpp.

  std::uint16_t file() const { return static_cast<std::uint16_t>(place >> 48); }
  std::uint32_t count() const { return count_and_meta >> 8; }
};

struct block_index::chunk {
  std::uint64_t generation;
  std::uint64_t first;     ///< Sequence of the front block's first event.
  chunk_pool::handle next; ///< Ring: the last chunk's next is the first.
  std::uint32_t base_seconds;
  std::uint32_t gone;      ///< Events of the front block that are trimmed.
  std::uint32_t events;    ///< Of all blocks here, so that the run's end is known without a walk.
  std::uint8_t begin, end; ///< Blocks in use.
};

inline block_index::chunk& block_index::at(chunk_pool::handle x) const {
  return *reinterpret_cast<chunk*>(chunks_.at(x));
}
inline block_index::block* block_index::blocks_of(chunk& x) {
  return reinterpret_cast<block*>(reinterpret_cast<char*>(&x) + sizeof(chunk));
}

template <class F>
bool block_index::visit_chunk(chunk& c, F&& visit) const {
  auto first = c.first;
  for (auto i = c.begin; i < c.end; ++i) {
    auto& b = blocks_of(c)[i];
    if (!visit(expand(c, b, first, i == c.begin), b))
      return false;
    first += b.count();
  }
  return true;
}

template <class F>
void block_index::visit(slot job, F&& visit) const {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return;
  auto x = tail;
  do {
    x = at(x).next;
    if (!visit_chunk(at(x), [&](const indexed_block& b, block&) { return visit(b); }))
      return;
  } while (x != tail);
}

} // namespace weir::store
