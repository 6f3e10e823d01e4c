#include "actors/object_assembly.hpp"

#include <algorithm>
#include <cstring>

namespace weir {

namespace {

/// What the gzip trailer says of the raw size (modulo 4 GiB, which no block reaches).
std::size_t raw_bytes_of(std::string_view member) noexcept {
  std::size_t size = 0;
  for (int i = 0; i < 4; ++i)
    size |= std::size_t{static_cast<std::uint8_t>(member[member.size() - 4 + i])} << 8 * i;
  return size;
}

/// `text` without its first `lines` lines.
std::string_view skip_lines(std::string_view text, std::uint64_t lines) noexcept {
  for (; lines > 0; --lines)
    text.remove_prefix(text.find('\n') + 1);
  return text;
}

} // namespace

std::string_view name_of(assembly_result result) noexcept {
  switch (result) {
    case assembly_result::ok:
      return "ok";
    case assembly_result::out_of_order:
      return "out_of_order";
    case assembly_result::wrong_member:
      return "wrong_member";
    case assembly_result::corrupt:
      return "corrupt";
  }
  return "unknown";
}

assembly_result object_assembly::push(assembly_tools& tools, const sequence_range& block, std::uint32_t raw_bytes,
                                      std::string_view member) {
  const auto from = std::max(block.first, cut_.first);
  const auto to = std::min(block.end(), cut_.end());
  if (finished_ || block.generation != cut_.generation || from >= to || from < next_)
    return assembly_result::out_of_order;
  const auto identity = store::identity_of(member);
  if (!identity || identity->job != job_ || !(identity->range == block))
    return assembly_result::wrong_member;

  if (raw_bytes_of(member) != raw_bytes)
    return assembly_result::corrupt;

  const bool whole = from == block.first && to == block.end();
  if (whole && raw_bytes >= merge_below_) {
    close_open(tools);
    ready_ += member;
    ++passed_;
  } else {
    tools.reader.open(member);
    store::decoded_member decoded;
    if (tools.reader.next(decoded) != store::member_status::ok || decoded.packed_bytes != member.size()
        || static_cast<std::uint64_t>(std::count(decoded.raw.begin(), decoded.raw.end(), '\n')) != block.count
        || decoded.raw.back() != '\n')
      return assembly_result::corrupt;
    auto events = skip_lines(decoded.raw, from - block.first);
    events.remove_suffix(skip_lines(events, to - from).size());
    merge(tools, from, to - from, events);
    ++merged_;
  }
  missing_ += from - next_;
  events_ += to - from;
  next_ = to;
  return assembly_result::ok;
}

void object_assembly::merge(assembly_tools& tools, sequence first, std::uint64_t count, std::string_view events) {
  // A member holds one unbroken run, so a gap ends it.
  if (open_range_.count > 0 && (open_range_.end() != first || open_.size() + events.size() > merged_raw_bytes))
    close_open(tools);
  if (open_range_.count == 0)
    open_range_ = {cut_.generation, first, 0};
  open_ += events;
  open_range_.count += count;
}

void object_assembly::close_open(assembly_tools& tools) {
  if (open_range_.count == 0)
    return;
  ready_ += tools.sealer.seal_well({job_, open_range_}, open_);
  open_.clear();
  open_range_ = {};
}

void object_assembly::finish(assembly_tools& tools) {
  if (finished_)
    return;
  close_open(tools);
  missing_ += cut_.end() - next_;
  next_ = cut_.end();
  finished_ = true;
}

std::string object_assembly::pull() {
  const auto left = ready_.size() - pulled_;
  if (left == 0 || (left < window_bytes && !finished_))
    return {};
  const auto size = std::min(left, window_bytes);
  std::string window;
  if (pulled_ == 0 && size == ready_.size()) {
    window.swap(ready_);
    return window;
  }
  window = ready_.substr(pulled_, size);
  pulled_ += size;
  // Move the rest down once it is the smaller part, so that no byte is moved more than once.
  if (pulled_ == ready_.size() || pulled_ >= ready_.size() / 2) {
    ready_.erase(0, pulled_);
    pulled_ = 0;
  }
  return window;
}

} // namespace weir
