#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/ids.hpp"
#include "store/byte_codec.hpp"
#include "store/store.hpp"

/// The bytes of segments: docs/store-format.md in code. Everything read here is untrusted: lengths
/// are checked against what is there before they are used.
namespace weir::store {

/// What this build writes. It reads this and the one before (of which there is none yet).
constexpr std::uint32_t format_version = 1;
constexpr bool is_readable_format(std::uint32_t version) noexcept {
  return version == format_version || (format_version > 1 && version == format_version - 1);
}

constexpr std::uint32_t segment_header_bytes = 64;
constexpr std::uint32_t group_header_bytes = 32;
constexpr std::uint32_t record_header_bytes = 48;
constexpr std::uint32_t most_record_part_bytes = (1u << 24) - 1;       ///< Of meta or payload: 24 bits in the header.
constexpr std::uint32_t most_block_meta_bytes = 8u * ((1u << 16) - 1); ///< What the index can hold.
constexpr std::uint32_t most_block_events = (1u << 24) - 1;            ///< What the index can hold.
constexpr std::uint64_t most_segment_bytes = 128ull << 20;             ///< 24 bits of 8 bytes in the index.

/// First bytes of a segment file.
struct segment_header {
  std::uint32_t version = format_version;
  std::uint32_t segment = 0;
  std::uint32_t previous = 0;      ///< Id of the segment before it; 0 = none.
  std::uint32_t previous_end = 0;  ///< Where that one ends for good.
  std::uint32_t previous_file = 0; ///< File number of that one.
  std::uint64_t store = 0;         ///< Identity of the store, random.
  std::uint64_t created_ns = 0;    ///< Wall clock.
};

struct group_header {
  std::uint32_t segment = 0;
  std::uint32_t body_bytes = 0; ///< Of all records, padding included.
  std::uint32_t records = 0;
  std::uint32_t durable_end = 0; ///< Everything of this segment before this offset is durable.
  std::uint64_t number = 0;      ///< Grows by one with each group of the store's life.
};

struct record_header {
  record_kind kind{};
  bool relocated = false; ///< A copy: its events were accounted for by the first one.
  std::uint32_t segment = 0;
  std::uint32_t meta_bytes = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t body_checksum = 0;
  job_id job{};
  sequence_range range; ///< Count below 2^32.
};

/// Where meta, payload and the next record begin, relative to the header: each on 8 bytes.
constexpr std::uint32_t payload_offset(std::uint32_t meta_bytes) noexcept {
  return record_header_bytes + static_cast<std::uint32_t>(round_up_8(meta_bytes));
}
constexpr std::uint32_t record_bytes(std::uint32_t meta_bytes, std::uint32_t payload_bytes) noexcept {
  return payload_offset(meta_bytes) + static_cast<std::uint32_t>(round_up_8(payload_bytes));
}
inline std::uint32_t record_bytes(const record_header& x) noexcept {
  return record_bytes(x.meta_bytes, x.payload_bytes);
}

/// Encodes and decodes for one store. Its checksums begin with the store's identity, which nobody
/// outside knows, so that bytes of another store, or a payload that imitates a record, never pass.
class record_codec {
 public:
  explicit record_codec(std::uint64_t store);

  void encode(const group_header& x, char* to) const;
  /// None unless it is whole and of `segment`.
  std::optional<group_header> decode_group(std::string_view from, std::uint32_t segment) const;

  void encode(const record_header& x, char* to) const;
  /// Judges the header alone, not what follows it.
  std::optional<record_header> decode_record(std::string_view from, std::uint32_t segment) const;

  std::uint32_t body_checksum(std::string_view meta, std::string_view payload) const;

 private:
  std::uint32_t seed_;
};

/// Segment headers name their store, so they are read without knowing it.
void encode(const segment_header& x, char* to);
std::optional<segment_header> decode_segment(std::string_view from);

/// Puts a group together for one gathered write. Small payloads are copied next to their headers,
/// large ones are referred to. Buffers are kept from group to group.
class group_encoder {
 public:
  static constexpr std::size_t copy_below = 4096; ///< A copy is cheaper than one more piece of a write.

  explicit group_encoder(const record_codec& codec) : codec_(codec) {}

  /// Begins a group; `prefix` goes before it (a segment header, or nothing).
  void begin(std::uint32_t segment, std::string_view prefix);
  /// `header.segment` and `body_checksum` are filled in. `payload` must live until the write.
  void add(record_header header, std::string_view meta, std::string_view payload);
  /// Completes the group header. The pieces are valid until the next `begin`.
  const std::vector<std::string_view>& finish(std::uint32_t durable_end, std::uint64_t number);

  /// Header as added last, complete.
  const record_header& last() const noexcept { return last_; }
  std::uint32_t group_offset() const noexcept { return group_offset_; } ///< Of the group header in the write.
  std::uint32_t bytes() const noexcept { return bytes_; }               ///< Of the whole write so far.

 private:
  void close_run();

  struct piece {
    std::size_t from = 0, size = 0; ///< In `buffer_`, unless `outside` is set.
    std::string_view outside;
  };
  const record_codec& codec_;
  std::string buffer_;
  std::vector<piece> pieces_;
  std::vector<std::string_view> views_;
  std::size_t run_from_ = 0;
  std::uint32_t segment_ = 0, group_offset_ = 0, bytes_ = 0, records_ = 0;
  record_header last_;
};

} // namespace weir::store
