#include "store/segment_scan.hpp"

#include <algorithm>

namespace weir::store {

std::error_code read_whole(disk_file& file, std::uint64_t limit, std::string& into) {
  std::uint64_t size = 0;
  if (auto error = file.size(size))
    return error;
  into.resize(static_cast<std::size_t>(std::min(size, limit)));
  std::size_t got = 0;
  if (auto error = file.read(0, into.data(), into.size(), got))
    return error;
  into.resize(got);
  return {};
}

std::optional<record_header> segment_scan::header_at(std::uint32_t offset, std::uint32_t limit) const {
  if (limit - offset < record_header_bytes)
    return std::nullopt;
  auto header = codec_.decode_record(bytes_.substr(offset, record_header_bytes), segment_);
  if (header && record_bytes(*header) > limit - offset)
    return std::nullopt;
  return header;
}

scanned_record segment_scan::record_at(std::uint32_t offset, const record_header& header) const {
  return {header, offset, bytes_.substr(offset + record_header_bytes, header.meta_bytes),
          bytes_.substr(offset + payload_offset(header.meta_bytes), header.payload_bytes)};
}

bool segment_scan::body_is_good(std::uint32_t offset, const record_header& header) const {
  auto x = record_at(offset, header);
  return codec_.body_checksum(x.meta, x.payload) == header.body_checksum;
}

bool segment_scan::whole(std::uint32_t offset, const group_header& group) const {
  auto at = offset + group_header_bytes;
  if (group.durable_end != offset || group.body_bytes > bytes_.size() - at)
    return false;
  auto limit = at + group.body_bytes;
  std::uint32_t records = 0;
  for (; at < limit; ++records) {
    auto header = header_at(at, limit);
    if (!header || !body_is_good(at, *header))
      return false;
    at += record_bytes(*header);
  }
  return records == group.records;
}

void segment_scan::emit(std::uint32_t offset, const group_header& group, const on_record& record) const {
  auto at = offset + group_header_bytes;
  for (std::uint32_t i = 0; i < group.records; ++i) {
    auto header = header_at(at, offset + group_header_bytes + group.body_bytes);
    record(record_at(at, *header));
    at += record_bytes(*header);
  }
}

std::optional<std::uint32_t> segment_scan::next_group(std::uint32_t after, std::uint32_t limit) const {
  for (auto at = after; at <= limit && limit - at >= group_header_bytes; at += 8) {
    auto group = codec_.decode_group(bytes_.substr(at, group_header_bytes), segment_);
    if (group && group->durable_end == at)
      return at;
  }
  return std::nullopt;
}

void segment_scan::salvage(std::uint32_t from, std::uint32_t to, const on_record& record,
                           const on_damage& damage) const {
  std::uint32_t bad_from = 0, bad_to = 0;
  auto report_gap = [&] {
    if (bad_to > bad_from)
      damage({bad_from, bad_to - bad_from, std::nullopt, "record header fails its checksum", true});
    bad_from = bad_to = 0;
  };
  for (auto at = from; at < to;) {
    auto header = header_at(at, to);
    if (!header) {
      if (bad_to == 0)
        bad_from = at;
      at += std::min<std::uint32_t>(8, to - at);
      bad_to = at;
      continue;
    }
    report_gap();
    if (body_is_good(at, *header))
      record(record_at(at, *header));
    else
      damage({at, record_bytes(*header), header, "record body fails its checksum", true});
    at += record_bytes(*header);
  }
  report_gap();
}

scan_result segment_scan::run(std::optional<std::uint32_t> known_end, const on_record& record,
                              const on_damage& damage) const {
  scan_result result;
  auto size = static_cast<std::uint32_t>(bytes_.size());
  auto limit = known_end ? std::min(*known_end, size) : size;
  auto at = std::min(segment_header_bytes, limit);
  while (at < limit) {
    auto group = codec_.decode_group(bytes_.substr(at, std::min(group_header_bytes, limit - at)), segment_);
    if (group && whole(at, *group) && at + group_header_bytes + group->body_bytes <= limit) {
      emit(at, *group, record);
      at += group_header_bytes + group->body_bytes;
      ++result.groups;
      result.last_group = group->number;
      continue;
    }
    // Bad. Was it durable? A group behind it, or the known end, says so.
    auto bounded = group && group->durable_end == at && group->body_bytes <= limit - at - group_header_bytes;
    auto behind = bounded ? at + group_header_bytes + group->body_bytes : 0;
    if (!bounded || (behind < limit && !codec_.decode_group(bytes_.substr(behind, group_header_bytes), segment_))) {
      auto found = next_group(at + 8, limit);
      behind = found ? *found : limit;
      if (!found && !known_end)
        break;
    } else if (behind == limit && !known_end) {
      break;
    }
    if (!group)
      damage({at, group_header_bytes, std::nullopt, "group header fails its checksum", false});
    salvage(at + group_header_bytes, behind, record, damage);
    ++result.groups;
    if (group)
      result.last_group = group->number;
    at = behind;
  }
  result.end = at;
  if (known_end && *known_end > size)
    damage({size, *known_end - size, std::nullopt, "the file is shorter than what was durable", true});
  auto group = at < size ? codec_.decode_group(bytes_.substr(at, std::min(group_header_bytes, size - at)), segment_)
                         : std::nullopt;
  if (group)
    result.torn_bytes = std::min<std::uint64_t>(group_header_bytes + std::uint64_t{group->body_bytes}, size - at);
  return result;
}

} // namespace weir::store
