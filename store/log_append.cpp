#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "store/byte_codec.hpp"
#include "store/checkpoint.hpp"
#include "store/log_store.hpp"
#include "store/relocation.hpp"

namespace weir::store {
namespace {

// The fence: job = segment, generation = file, first = end of the segment before this one.
record_header fence(std::uint32_t segment, std::uint16_t file, std::uint32_t end) {
  record_header x;
  x.kind = record_kind::fence;
  x.job = job_id{segment};
  x.range = {generation{file}, end, 0};
  return x;
}

bool is_full(std::error_code x) {
  return x == std::errc::no_space_on_device || x == std::error_code(EDQUOT, std::generic_category());
}

std::uint64_t wall_ns(const clock_source& clock) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(clock.wall().time_since_epoch()).count());
}

} // namespace

position log_store::here() const {
  return active_ ? position{files_.at(*active_).segment, offset_} : position{last_segment_, last_end_};
}

caf::error log_store::append(const std::vector<append_record>& group) {
  if (closed_)
    return make_error(errc::store_failed, "the store is closed");
  auto how = urgency::drain;
  if (auto error = admit(group, how))
    return error;
  outgoing_.clear();
  collect_set_aside(outgoing_);
  for (const auto& x : group) {
    record_header header;
    header.kind = x.kind;
    header.job = x.job;
    header.range = x.range;
    outgoing_.push_back({header, x.meta, x.payload ? std::string_view(*x.payload) : std::string_view{}});
  }
  appended_ = world_.clock->steady();
  return write_group(outgoing_, how, trims_.size());
}

caf::error log_store::admit(const std::vector<append_record>& group, urgency& how) {
  std::lock_guard guard(mutex_); // A read on another thread may be taking a bad block out.
  effects_.clear();
  for (const auto& x : group) {
    if (auto why = state_.check(x, effects_); !why.empty())
      return make_error(errc::refused, why);
    if (x.kind == record_kind::block || x.kind == record_kind::dead)
      how = urgency::events;
  }
  if (how == urgency::events && judge() == disk_state::refuse_appends)
    return make_error(errc::disk_full, "the disk is beyond its watermark; it drains, but takes no new events");
  return {};
}

void log_store::collect_set_aside(std::vector<outgoing>& into) {
  std::lock_guard guard(mutex_);
  trims_.clear();
  for (const auto& x : bad_) {
    proto::Trim trim;
    trim.set_generation(number(x.range.generation));
    trim.set_first(x.range.first);
    trim.set_count(x.range.count);
    trim.set_reason(x.dead ? proto::Trim::DEAD_EXPIRED : proto::Trim::SET_ASIDE);
    trims_.push_back(trim.SerializeAsString());
    record_header header;
    header.kind = record_kind::trim;
    header.job = x.job;
    header.range = x.range;
    into.push_back({header, trims_.back(), {}});
  }
}

caf::error log_store::write_group(const std::vector<outgoing>& records, urgency how, std::size_t trims) {
  std::uint64_t bytes = group_header_bytes;
  for (const auto& x : records)
    bytes += record_bytes(static_cast<std::uint32_t>(x.meta.size()), static_cast<std::uint32_t>(x.payload.size()));
  if (segment_header_bytes + record_header_bytes + bytes > settings_.segment_bytes)
    return make_error(errc::refused,
                      fmt::format("a group of {} bytes does not fit a segment of {}", bytes, settings_.segment_bytes));
  if (active_ && offset_ + bytes > settings_.segment_bytes)
    seal();
  auto fresh = !active_;
  if (fresh)
    if (auto error = roll(how))
      return error;
  auto& file = files_.at(*active_);
  std::shared_ptr<disk_file> handle;
  std::error_code error;
  {
    std::lock_guard guard(mutex_);
    error = files_.open(*active_, handle, segment_files::purpose::writing);
  }
  encoder_.begin(file.segment, fresh ? first_bytes(*active_) : std::string());
  auto durable_end = fresh ? segment_header_bytes : offset_;
  offsets_.clear();
  headers_.clear();
  if (fresh)
    encoder_.add(fence(last_segment_, last_file_, last_end_), {}, {});
  auto base = fresh ? 0 : offset_;
  for (const auto& x : records) {
    offsets_.push_back(base + encoder_.bytes());
#ifdef WEIR_PLANTED_BUG_CUT_NOT_DURABLE
    if (x.header.kind == record_kind::cut) {
      headers_.push_back(x.header);
      headers_.back().meta_bytes = static_cast<std::uint32_t>(x.meta.size());
      continue;
    }
#endif
    encoder_.add(x.header, x.meta, x.payload);
    headers_.push_back(encoder_.last());
  }
  const auto& pieces = encoder_.finish(durable_end, group_number_ + 1);
  if (!error)
    error = handle->write(base, pieces);
#ifndef WEIR_PLANTED_BUG_ACK_BEFORE_FSYNC
  if (!error)
    error = handle->sync();
#endif
  if (error) {
    fail_group();
    return make_error(errc::store_failed, error.message());
  }
  ++group_number_;
  offset_ = base + encoder_.bytes();
  tail_marked_ = false;
  written_foreground_ += how == urgency::upkeep ? 0 : encoder_.bytes();
  let_take_effect(records, trims);
  return {};
}

std::string log_store::first_bytes(std::uint16_t file) const {
  segment_header header;
  header.segment = files_.at(file).segment;
  header.previous = last_segment_;
  header.previous_end = last_end_;
  header.previous_file = last_file_;
  header.store = identity_;
  header.created_ns = wall_ns(*world_.clock);
  std::string bytes(segment_header_bytes, '\0');
  encode(header, bytes.data());
  return bytes;
}

void log_store::let_take_effect(const std::vector<outgoing>& records, std::size_t trims) {
  std::lock_guard guard(mutex_);
  auto& file = files_.at(*active_);
  file.end = offset_;
  ++totals_.groups;
  totals_.written_bytes += encoder_.bytes();
  for (std::size_t i = 0; i < records.size(); ++i) {
    record_view view{headers_[i], records[i].meta, {file.segment, offsets_[i]}, *active_};
    // `check` parsed every meta before, so this cannot fail here.
    state_.apply(view);
    building_.add(offsets_[i], headers_[i], records[i].meta, state_.arrival_seconds());
  }
  // The first ones were the trims of blocks that reads had found bad meanwhile.
  for (std::size_t i = 0; i < trims; ++i) {
    if (!bad_[i].dead)
      state_.remove_load(bad_[i].place, {file.segment, offsets_[i]});
  }
  bad_.erase(bad_.begin(), bad_.begin() + static_cast<std::ptrdiff_t>(trims));
}

// Nothing of the group counts. What was synced stays; the rest of the file is never trusted, and the
// next segment's fence says so.
void log_store::fail_group() {
  {
    std::lock_guard guard(mutex_);
    ++totals_.failed_groups;
    files_.close_all();
  }
  seal();
}

void log_store::seal() {
  if (!active_)
    return;
  std::lock_guard guard(mutex_);
  auto number = *active_;
  auto& file = files_.at(number);
  active_.reset();
  if (offset_ == 0) {
    // Not even its first group became durable: the file is free again; its id is not used twice.
    file.segment = 0;
    file.end = 0;
    state_.assign(number, 0);
    building_.clear();
    return;
  }
  file.sealed = true;
  file.end = offset_;
  last_segment_ = file.segment;
  last_file_ = number;
  last_end_ = offset_;
  sidecars_.push_back({number, file.segment, offset_, std::move(building_)});
  building_ = {};
}

caf::error log_store::roll(urgency how) {
  std::lock_guard guard(mutex_);
  auto spare = files_.count_free();
  auto keep = how == urgency::events ? settings_.spare_segments : how == urgency::upkeep ? 1u : 0u;
  auto chosen = spare > keep ? files_.first_free() : std::nullopt;
  if (!chosen && may_grow()) {
    std::uint16_t made = 0;
    auto error = files_.create(made);
    if (!error)
      chosen = made;
    else if (is_full(error))
      cannot_grow_ = true;
    else if (how == urgency::events)
      return make_error(errc::store_failed, error.message());
  }
  if (!chosen && how == urgency::events)
    return make_error(errc::disk_full, "no segment is free but those kept for draining");
  if (!chosen)
    chosen = how == urgency::upkeep && spare <= keep ? std::nullopt : files_.first_free();
  if (!chosen)
    return make_error(errc::store_failed, "no segment is free");
  auto& file = files_.at(*chosen);
  file.segment = next_segment_++;
  file.end = 0;
  file.sealed = false;
  file.has_sidecar = false;
  state_.assign(*chosen, file.segment);
  active_ = chosen;
  offset_ = 0;
  building_.clear();
  return {};
}

} // namespace weir::store
