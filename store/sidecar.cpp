#include "store/sidecar.hpp"

#include <cstring>

#include "store/byte_codec.hpp"
#include "store/checksum.hpp"

namespace weir::store {
namespace {

constexpr char magic[8] = {'W', 'E', 'I', 'R', 'I', 'D', 'X', '\n'};
constexpr std::uint32_t header_bytes = 56;
constexpr std::uint32_t fixed_bytes = 48;

} // namespace

// Header: 0 magic, 8 checksum of all from 12 on, 12 version, 16 store, 24 segment, 28 file, 32 end,
// 36 records, 40 body bytes, 48 checksum of the body, 52 zeros.
std::string sidecar_builder::header(std::uint64_t store, std::uint32_t segment, std::uint16_t file,
                                    std::uint32_t end) const {
  std::string x(header_bytes, '\0');
  std::memcpy(x.data(), magic, sizeof(magic));
  store_le(x.data() + 12, format_version);
  store_le(x.data() + 16, store);
  store_le(x.data() + 24, segment);
  store_le(x.data() + 28, std::uint32_t{file});
  store_le(x.data() + 32, end);
  store_le(x.data() + 36, records_);
  store_le(x.data() + 40, std::uint64_t{body_.size()});
  store_le(x.data() + 48, crc32c(body_));
  store_le(x.data() + 8, crc32c(std::string_view(x).substr(12)));
  return x;
}

// Record: 0 offset, 4 arrival, 8 kind and meta bytes, 12 flags and payload bytes, 16 count, 20 body
// checksum, 24 job, 32 generation, 40 first, 48 meta.
void sidecar_builder::add(std::uint32_t offset, const record_header& header, std::string_view meta,
                          std::uint32_t arrival_seconds) {
  char fixed[fixed_bytes];
  store_le(fixed, offset);
  store_le(fixed + 4, arrival_seconds);
  store_le(fixed + 8, static_cast<std::uint32_t>(header.kind) | (header.meta_bytes << 8));
  store_le(fixed + 12, static_cast<std::uint32_t>(header.relocated ? 1 : 0) | (header.payload_bytes << 8));
  store_le(fixed + 16, static_cast<std::uint32_t>(header.range.count));
  store_le(fixed + 20, header.body_checksum);
  store_le(fixed + 24, number(header.job));
  store_le(fixed + 32, number(header.range.generation));
  store_le(fixed + 40, header.range.first);
  body_.append(fixed, sizeof(fixed));
  body_.append(meta);
  ++records_;
}

std::optional<sidecar_reader> sidecar_reader::open(std::string_view bytes, std::uint64_t store, std::uint32_t segment) {
  if (bytes.size() < header_bytes || std::memcmp(bytes.data(), magic, sizeof(magic)) != 0)
    return std::nullopt;
  auto* p = bytes.data();
  auto body = bytes.substr(header_bytes);
  if (load_le<std::uint32_t>(p + 8) != crc32c(bytes.substr(12, header_bytes - 12))
      || !is_readable_format(load_le<std::uint32_t>(p + 12)) || load_le<std::uint64_t>(p + 16) != store
      || load_le<std::uint32_t>(p + 24) != segment || load_le<std::uint64_t>(p + 40) != body.size()
      || load_le<std::uint32_t>(p + 48) != crc32c(body))
    return std::nullopt;
  sidecar_reader x;
  x.rest_ = body;
  x.segment_ = segment;
  x.file_ = static_cast<std::uint16_t>(load_le<std::uint32_t>(p + 28));
  x.end_ = load_le<std::uint32_t>(p + 32);
  return x;
}

std::optional<sidecar_record> sidecar_reader::next() {
  if (rest_.size() < fixed_bytes)
    return std::nullopt;
  auto* p = rest_.data();
  sidecar_record x;
  x.offset = load_le<std::uint32_t>(p);
  x.arrival_seconds = load_le<std::uint32_t>(p + 4);
  auto kind_and_meta = load_le<std::uint32_t>(p + 8);
  auto flags_and_payload = load_le<std::uint32_t>(p + 12);
  x.header.kind = static_cast<record_kind>(kind_and_meta & 0xff);
  x.header.meta_bytes = kind_and_meta >> 8;
  x.header.relocated = (flags_and_payload & 1) != 0;
  x.header.payload_bytes = flags_and_payload >> 8;
  x.header.segment = segment_;
  x.header.body_checksum = load_le<std::uint32_t>(p + 20);
  x.header.job = job_id{load_le<std::uint64_t>(p + 24)};
  x.header.range = {generation{load_le<std::uint64_t>(p + 32)}, load_le<std::uint64_t>(p + 40),
                    load_le<std::uint32_t>(p + 16)};
  if (x.header.meta_bytes > rest_.size() - fixed_bytes)
    return std::nullopt;
  x.meta = rest_.substr(fixed_bytes, x.header.meta_bytes);
  rest_.remove_prefix(fixed_bytes + x.header.meta_bytes);
  return x;
}

} // namespace weir::store
