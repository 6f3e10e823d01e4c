#include <algorithm>
#include <cstring>

#include "store/checkpoint.hpp"
#include "store/checkpoint_format.hpp"
#include "store/checksum.hpp"

namespace weir::store {
namespace {

using namespace checkpoint_format;

bool load_dead(job_id job, byte_reader& from, log_state& into) {
  auto& letters = into.dead[job];
  auto count = from.varint();
  for (std::uint64_t i = 0; i < count && from.ok(); ++i) {
    dead_letter x;
    x.range.generation = generation{from.u64()};
    x.range.first = from.varint();
    x.range.count = from.varint();
    x.place.file = static_cast<std::uint16_t>(from.varint());
    x.place.offset = static_cast<std::uint32_t>(from.varint());
    x.place.meta_bytes = static_cast<std::uint32_t>(from.varint());
    x.place.payload_bytes = static_cast<std::uint32_t>(from.varint());
    if (from.ok())
      letters.push_back(x);
  }
  return from.ok();
}

std::unique_ptr<checkpoint_image::job_marks> load_marks(byte_reader& from) {
  auto result = std::make_unique<checkpoint_image::job_marks>();
  auto marks = from.varint();
  for (std::uint64_t i = 0; i < marks && from.ok(); ++i) {
    auto of = generation{from.u64()};
    result->marks.push_back({of, from.varint()});
  }
  auto holes = from.varint();
  for (std::uint64_t i = 0; i < holes && from.ok(); ++i) {
    sequence_range x;
    x.generation = generation{from.u64()};
    x.first = from.varint();
    x.count = from.varint();
    result->holes.push_back(x);
  }
  return result;
}

bool load_job(byte_reader& from, log_state& into, checkpoint_image& image) {
  auto job = job_id{from.varint()};
  auto of = from.u64();
  auto next = from.varint();
  auto flags = from.u8();
  if (!from.ok())
    return false;
  auto slot = into.index.jobs().find_or_add(job);
  auto& entry = into.index.jobs().at(slot);
  entry.generation = of;
  entry.set_next(next, (flags & job_closed) != 0);
  if (of != 0)
    ++into.buffers;
  into.accounts.load_job(slot, from);
  image.marks.resize(slot + std::size_t{1});
  if (flags & job_has_blocks)
    image.marks[slot] = load_marks(from);
  if (flags & job_has_cut) {
    auto bytes = from.text();
    if (!into.cuts[job].ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      return false;
  }
  if ((flags & job_has_dead) && !load_dead(job, from, into))
    return false;
  return from.ok();
}

bool load_damages(byte_reader& from, log_state& into) {
  auto total = from.varint();
  while (from.ok() && !from.at_end()) {
    damage x;
    x.at = position::unpack(from.u64());
    x.job = job_id{from.varint()};
    x.range.generation = generation{from.u64()};
    x.range.first = from.varint();
    x.range.count = from.varint();
    x.reason = std::string(from.text());
    if (from.ok())
      into.remember(std::move(x));
  }
  into.damaged = total;
  return from.ok();
}

bool load_end(byte_reader& from, std::uint32_t parts, checkpoint_image& image) {
  if (from.u32() != parts)
    return false;
  image.active_segment = from.u32();
  image.next_segment = from.u32();
  image.group_number = from.u64();
  while (from.ok() && !from.at_end()) {
    checkpoint_image::segment x;
    x.segment = from.u32();
    x.file = static_cast<std::uint16_t>(from.u32());
    x.end = from.u32();
    auto flags = from.u8();
    x.sealed = (flags & 1) != 0;
    x.live = (flags & 2) != 0;
    x.needed = (flags & 4) == 0;
    image.segments.push_back(x);
  }
  return from.ok();
}

bool load_part(std::uint32_t kind, position at, byte_reader& from, std::uint32_t parts, log_state& into,
               checkpoint_image& image) {
  switch (kind) {
    case part_jobs:
      while (from.ok() && !from.at_end())
        if (!load_job(from, into, image))
          return false;
      image.jobs.push_back({static_cast<job_table::slot>(into.index.jobs().size()), at});
      return true;
    case part_senders:
      image.senders_at = at;
      while (from.ok() && !from.at_end())
        into.accounts.load_sender(from);
      return from.ok();
    case part_senders_more:
      while (from.ok() && !from.at_end())
        into.accounts.load_sender_more(from);
      return from.ok();
    case part_done:
      while (from.ok() && !from.at_end())
        into.window.load_done(from);
      return from.ok();
    case part_known:
      image.window_at = at;
      into.window.load_known(from);
      return from.ok();
    case part_damages:
      return load_damages(from, into);
    case part_end:
      return load_end(from, parts, image);
    default:
      return true; // A later build's part: this one can do without it, or the version says so.
  }
}

} // namespace

position checkpoint_image::job_at(job_table::slot job) const {
  auto part =
      std::upper_bound(jobs.begin(), jobs.end(), job, [](job_table::slot x, const job_part& y) { return x < y.end; });
  return part == jobs.end() ? position{} : part->at;
}

std::optional<checkpoint_image> load_checkpoint(std::string_view bytes, log_state& state) {
  checkpoint_image image;
  image.bytes = bytes.size();
  if (bytes.size() < header_bytes || std::memcmp(bytes.data(), magic, sizeof(magic)) != 0)
    return std::nullopt;
  byte_reader head(bytes.substr(sizeof(magic), header_bytes - sizeof(magic)));
  if (head.u32() != crc32c(bytes.substr(sizeof(magic) + 4, header_bytes - sizeof(magic) - 4)))
    return std::nullopt;
  if (!is_readable_format(head.u32()))
    return std::nullopt;
  image.identity = head.u64();
  image.number = head.u32();
  image.covers = position::unpack(head.u64());
  bytes.remove_prefix(header_bytes);
  for (std::uint32_t parts = 0;; ++parts) {
    if (bytes.size() < part_header_bytes)
      return std::nullopt;
    byte_reader part(bytes.substr(0, part_header_bytes));
    auto checksum = part.u32();
    auto kind = part.u32();
    auto size = part.u32();
    auto at = position::unpack(part.u64());
    if (size > bytes.size() - part_header_bytes || crc32c(bytes.substr(4, part_header_bytes - 4 + size)) != checksum)
      return std::nullopt;
    byte_reader body(bytes.substr(part_header_bytes, size));
    if (!load_part(kind, at, body, parts, state, image))
      return std::nullopt;
    if (kind == part_end)
      return image;
    bytes.remove_prefix(part_header_bytes + size);
  }
}

} // namespace weir::store
