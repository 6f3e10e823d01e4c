#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "messages/ids.hpp"
#include "store/gzip_member.hpp"

namespace weir {

/// What reading and sealing members needs. One per thread that assembles; shared by all objects
/// there, because it takes 0.5 MB.
struct assembly_tools {
  store::member_reader reader;
  store::member_sealer sealer;
};

enum class assembly_result : std::uint8_t {
  ok,
  out_of_order, ///< The block begins before the end of the one before, or lies outside the cut.
  wrong_member, ///< The member says that it holds other events than the index says.
  corrupt,      ///< It cannot be decoded, or holds another number of events.
};

std::string_view name_of(assembly_result result) noexcept;

/// Turns the blocks of a cut into the bytes of its object.
///
/// Members of at least 16 KiB raw that lie wholly inside the cut pass untouched. Smaller ones are
/// decoded and merged with their neighbours into members of up to 256 KiB raw, so that slow jobs
/// get well-packed files too. Of a block that lies only partly inside (after a cut was split) the
/// events inside are taken. The same cut and events always give the same events in the same order;
/// whether also the same bytes depends on how the blocks were sealed.
///
/// Streaming: `push` while `wants_block`, then `pull` until it is empty; `finish` after the last
/// block. Holds at most about 512 KiB and one block, see `held_bytes`. Not thread-safe.
class object_assembly {
 public:
  static constexpr std::size_t window_bytes = 256 * 1024;       ///< Of one `pull`, at most.
  static constexpr std::size_t untouched_raw_bytes = 16 * 1024; ///< Smaller members are merged.
  static constexpr std::size_t merged_raw_bytes =
      256 * 1024; ///< A merged member holds no more, but for one large event.

  /// With `merge_below` 0 even small members pass untouched: larger objects for a node that has no
  /// time to pack them well. Only blocks partly inside the cut are encoded anew then.
  object_assembly(job_id job, sequence_range cut, std::size_t merge_below = untouched_raw_bytes)
      : job_(job), cut_(cut), merge_below_(merge_below), next_(cut.first) {}

  /// Whether there is room for another block.
  bool wants_block() const noexcept {
    return !finished_ && next_ < cut_.end() && ready_.size() - pulled_ < window_bytes;
  }

  /// The next event to come; blocks are wanted from the one on that holds it.
  sequence next() const noexcept { return next_; }

  /// The next block in order. Blocks may be missing in between (what was set aside is a gap in the
  /// object, and visible); see `missing`. After an error the object cannot be finished.
  /// `raw_bytes` is what the store noted of the block. Members that pass untouched are not decoded:
  /// that their bytes are good is the store's checksum's word.
  assembly_result push(assembly_tools& tools, const sequence_range& block, std::uint32_t raw_bytes,
                       std::string_view member);

  /// No more blocks come.
  void finish(assembly_tools& tools);

  /// The next bytes: a full window, or what is left once finished; else empty.
  std::string pull();

  /// Everything was pulled.
  bool done() const noexcept { return finished_ && pulled_ == ready_.size(); }

  std::uint64_t events() const noexcept { return events_; }   ///< In the object so far.
  std::uint64_t missing() const noexcept { return missing_; } ///< Of the cut's events so far; complete once finished.
  std::uint64_t merged_members() const noexcept { return merged_; } ///< Members decoded and encoded anew.
  std::uint64_t passed_members() const noexcept { return passed_; }
  std::size_t held_bytes() const noexcept { return ready_.capacity() + open_.capacity(); }

 private:
  void merge(assembly_tools& tools, sequence first, std::uint64_t count, std::string_view events);
  void close_open(assembly_tools& tools);

  job_id job_;
  sequence_range cut_;
  std::size_t merge_below_;
  sequence next_;
  std::string open_; ///< Raw events to be sealed as one member.
  sequence_range open_range_;
  std::string ready_;      ///< Finished members.
  std::size_t pulled_ = 0; ///< Of `ready_`.
  bool finished_ = false;
  std::uint64_t events_ = 0, missing_ = 0, merged_ = 0, passed_ = 0;
};

} // namespace weir
