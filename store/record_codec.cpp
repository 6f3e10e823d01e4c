#include "store/record_codec.hpp"

#include <array>
#include <cstring>

#include "store/checksum.hpp"

namespace weir::store {
namespace {

constexpr char segment_magic[8] = {'W', 'E', 'I', 'R', 'S', 'E', 'G', '\n'};
constexpr std::uint32_t group_magic = 0x50524757; // "WGRP"
constexpr std::uint8_t relocated_flag = 1;

std::string_view zeros(std::size_t count) {
  static constexpr std::array<char, 8> bytes{};
  return {bytes.data(), count};
}

bool is_kind(std::uint8_t x) {
  return x >= static_cast<std::uint8_t>(record_kind::block) && x <= static_cast<std::uint8_t>(record_kind::retained);
}

} // namespace

// Segment header: 0 magic, 8 checksum of all from 12 on, 12 version, 16 segment, 20 previous,
// 24 previous end, 28 previous file, 32 store, 40 created, 48 zeros.
void encode(const segment_header& x, char* to) {
  std::memset(to, 0, segment_header_bytes);
  std::memcpy(to, segment_magic, sizeof(segment_magic));
  store_le(to + 12, x.version);
  store_le(to + 16, x.segment);
  store_le(to + 20, x.previous);
  store_le(to + 24, x.previous_end);
  store_le(to + 28, x.previous_file);
  store_le(to + 32, x.store);
  store_le(to + 40, x.created_ns);
  store_le(to + 8, crc32c({to + 12, segment_header_bytes - 12}));
}

std::optional<segment_header> decode_segment(std::string_view from) {
  if (from.size() < segment_header_bytes || std::memcmp(from.data(), segment_magic, sizeof(segment_magic)) != 0
      || load_le<std::uint32_t>(from.data() + 8) != crc32c(from.substr(12, segment_header_bytes - 12)))
    return std::nullopt;
  segment_header x;
  x.version = load_le<std::uint32_t>(from.data() + 12);
  x.segment = load_le<std::uint32_t>(from.data() + 16);
  x.previous = load_le<std::uint32_t>(from.data() + 20);
  x.previous_end = load_le<std::uint32_t>(from.data() + 24);
  x.previous_file = load_le<std::uint32_t>(from.data() + 28);
  x.store = load_le<std::uint64_t>(from.data() + 32);
  x.created_ns = load_le<std::uint64_t>(from.data() + 40);
  return x;
}

record_codec::record_codec(std::uint64_t store) {
  char identity[8];
  store_le(identity, store);
  seed_ = crc32c({identity, sizeof(identity)});
}

// Group header: 0 checksum of all from 4 on, 4 magic, 8 segment, 12 body bytes, 16 records,
// 20 durable end, 24 number.
void record_codec::encode(const group_header& x, char* to) const {
  store_le(to + 4, group_magic);
  store_le(to + 8, x.segment);
  store_le(to + 12, x.body_bytes);
  store_le(to + 16, x.records);
  store_le(to + 20, x.durable_end);
  store_le(to + 24, x.number);
  store_le(to, crc32c({to + 4, group_header_bytes - 4}, seed_));
}

std::optional<group_header> record_codec::decode_group(std::string_view from, std::uint32_t segment) const {
  if (from.size() < group_header_bytes)
    return std::nullopt;
  auto* p = from.data();
  // Cheap tests first: looking for a group behind damage tries every eighth byte.
  if (load_le<std::uint32_t>(p + 4) != group_magic || load_le<std::uint32_t>(p + 8) != segment
      || load_le<std::uint32_t>(p) != crc32c(from.substr(4, group_header_bytes - 4), seed_))
    return std::nullopt;
  group_header x;
  x.segment = segment;
  x.body_bytes = load_le<std::uint32_t>(p + 12);
  x.records = load_le<std::uint32_t>(p + 16);
  x.durable_end = load_le<std::uint32_t>(p + 20);
  x.number = load_le<std::uint64_t>(p + 24);
  return x;
}

// Record header: 0 checksum of all from 4 on, 4 checksum of meta and payload, 8 segment, 12 kind,
// 13 meta bytes (24 bit), 16 flags, 17 payload bytes (24 bit), 20 count, 24 job, 32 generation,
// 40 first.
void record_codec::encode(const record_header& x, char* to) const {
  store_le(to + 4, x.body_checksum);
  store_le(to + 8, x.segment);
  store_le(to + 12, static_cast<std::uint32_t>(x.kind) | (x.meta_bytes << 8));
  store_le(to + 16, static_cast<std::uint32_t>(x.relocated ? relocated_flag : 0) | (x.payload_bytes << 8));
  store_le(to + 20, static_cast<std::uint32_t>(x.range.count));
  store_le(to + 24, number(x.job));
  store_le(to + 32, number(x.range.generation));
  store_le(to + 40, x.range.first);
  store_le(to, crc32c({to + 4, record_header_bytes - 4}, seed_));
}

std::optional<record_header> record_codec::decode_record(std::string_view from, std::uint32_t segment) const {
  if (from.size() < record_header_bytes)
    return std::nullopt;
  auto* p = from.data();
  auto kind_and_meta = load_le<std::uint32_t>(p + 12);
  auto flags_and_payload = load_le<std::uint32_t>(p + 16);
  if (load_le<std::uint32_t>(p + 8) != segment || !is_kind(static_cast<std::uint8_t>(kind_and_meta))
      || load_le<std::uint32_t>(p) != crc32c(from.substr(4, record_header_bytes - 4), seed_))
    return std::nullopt;
  record_header x;
  x.kind = static_cast<record_kind>(kind_and_meta & 0xff);
  x.meta_bytes = kind_and_meta >> 8;
  x.relocated = (flags_and_payload & relocated_flag) != 0;
  x.payload_bytes = flags_and_payload >> 8;
  x.segment = segment;
  x.body_checksum = load_le<std::uint32_t>(p + 4);
  x.range.count = load_le<std::uint32_t>(p + 20);
  x.job = job_id{load_le<std::uint64_t>(p + 24)};
  x.range.generation = generation{load_le<std::uint64_t>(p + 32)};
  x.range.first = load_le<std::uint64_t>(p + 40);
  return x;
}

std::uint32_t record_codec::body_checksum(std::string_view meta, std::string_view payload) const {
  return crc32c(payload, crc32c(meta, seed_));
}

void group_encoder::begin(std::uint32_t segment, std::string_view prefix) {
  buffer_.assign(prefix);
  buffer_.append(group_header_bytes, '\0');
  pieces_.clear();
  run_from_ = 0;
  segment_ = segment;
  group_offset_ = static_cast<std::uint32_t>(prefix.size());
  bytes_ = group_offset_ + group_header_bytes;
  records_ = 0;
}

void group_encoder::add(record_header header, std::string_view meta, std::string_view payload) {
  header.segment = segment_;
  header.meta_bytes = static_cast<std::uint32_t>(meta.size());
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  header.body_checksum = codec_.body_checksum(meta, payload);
  char encoded[record_header_bytes];
  codec_.encode(header, encoded);
  buffer_.append(encoded, sizeof(encoded));
  buffer_.append(meta);
  buffer_.append(zeros(round_up_8(meta.size()) - meta.size()));
  if (payload.size() < copy_below) {
    buffer_.append(payload);
  } else {
    close_run();
    pieces_.push_back({0, 0, payload});
  }
  buffer_.append(zeros(round_up_8(payload.size()) - payload.size()));
  bytes_ += record_bytes(header);
  ++records_;
  last_ = header;
}

void group_encoder::close_run() {
  if (buffer_.size() > run_from_)
    pieces_.push_back({run_from_, buffer_.size() - run_from_, {}});
  run_from_ = buffer_.size();
}

const std::vector<std::string_view>& group_encoder::finish(std::uint32_t durable_end, std::uint64_t number) {
  close_run();
  group_header header;
  header.segment = segment_;
  header.body_bytes = bytes_ - group_offset_ - group_header_bytes;
  header.records = records_;
  header.durable_end = durable_end;
  header.number = number;
  codec_.encode(header, buffer_.data() + group_offset_);
  views_.clear();
  for (const auto& x : pieces_)
    views_.push_back(x.outside.data() ? x.outside : std::string_view(buffer_).substr(x.from, x.size));
  return views_;
}

} // namespace weir::store
