#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/environment.hpp"
#include "store/record_codec.hpp"

namespace weir::store {

/// A record found by a scan; its bytes passed their checksum.
struct scanned_record {
  record_header header;
  std::uint32_t offset = 0;
  std::string_view meta;
  std::string_view payload;
};

/// Bytes of a durable group that are bad. The header is there if it alone is good.
struct scanned_damage {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
  std::optional<record_header> header;
  std::string reason;
  bool holds_records = true; ///< False for a group header, whose records are found without it.
};

struct scan_result {
  std::uint32_t end = 0;        ///< Where the durable groups end.
  std::uint64_t torn_bytes = 0; ///< Of a group behind the end that began to be written.
  std::uint64_t groups = 0;
  std::uint64_t last_group = 0; ///< Number of the last good group header.
};

/// Finds the records of one segment and what is bad among them.
///
/// A group that is bad in any byte is torn if nothing proves that it was durable: neither `known_end`
/// (from the fence of the next segment) nor a later group, whose header says up to where all was
/// durable when it was written. A torn group ends the segment, and nothing behind it is looked at.
/// A bad group that was durable is damage: its good records count, the others are reported.
class segment_scan {
 public:
  using on_record = std::function<void(const scanned_record&)>;
  using on_damage = std::function<void(const scanned_damage&)>;

  segment_scan(const record_codec& codec, std::uint32_t segment, std::string_view bytes)
      : codec_(codec), segment_(segment), bytes_(bytes) {}

  /// Reports in the order of offsets.
  scan_result run(std::optional<std::uint32_t> known_end, const on_record& record, const on_damage& damage) const;

 private:
  bool whole(std::uint32_t offset, const group_header& group) const;
  void emit(std::uint32_t offset, const group_header& group, const on_record& record) const;
  std::optional<std::uint32_t> next_group(std::uint32_t after, std::uint32_t limit) const;
  void salvage(std::uint32_t from, std::uint32_t to, const on_record& record, const on_damage& damage) const;
  std::optional<record_header> header_at(std::uint32_t offset, std::uint32_t limit) const;
  bool body_is_good(std::uint32_t offset, const record_header& header) const;
  scanned_record record_at(std::uint32_t offset, const record_header& header) const;

  const record_codec& codec_;
  std::uint32_t segment_;
  std::string_view bytes_;
};

/// Reads a file whole, at most `limit` bytes.
std::error_code read_whole(disk_file& file, std::uint64_t limit, std::string& into);

} // namespace weir::store
