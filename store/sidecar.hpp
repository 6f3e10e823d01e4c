#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/record_codec.hpp"

namespace weir::store {

/// The index of one sealed segment: every record's header and meta, without the payloads, so that a
/// start reads a hundredth of the log. Built while the segment is written. See docs/store-format.md.
class sidecar_builder {
 public:
  void clear() {
    body_.clear();
    records_ = 0;
  }
  void add(std::uint32_t offset, const record_header& header, std::string_view meta, std::uint32_t arrival_seconds);
  /// Header for what was added; goes before `body`.
  std::string header(std::uint64_t store, std::uint32_t segment, std::uint16_t file, std::uint32_t end) const;
  const std::string& body() const { return body_; }

 private:
  std::string body_;
  std::uint32_t records_ = 0;
};

struct sidecar_record {
  std::uint32_t offset = 0;
  std::uint32_t arrival_seconds = 0;
  record_header header;
  std::string_view meta;
};

/// Reads a sidecar. Untrusted: nothing is believed before its checksum is.
class sidecar_reader {
 public:
  /// None if it is damaged, of another store or segment. `bytes` must outlive the reader.
  static std::optional<sidecar_reader> open(std::string_view bytes, std::uint64_t store, std::uint32_t segment);

  std::uint16_t file() const { return file_; }
  std::uint32_t end() const { return end_; } ///< Where the segment's durable groups end.
  /// In the order of offsets; none at the end.
  std::optional<sidecar_record> next();

 private:
  std::string_view rest_;
  std::uint32_t segment_ = 0, end_ = 0;
  std::uint16_t file_ = 0;
};

} // namespace weir::store
