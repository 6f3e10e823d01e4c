#include "store/log_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/checkpoint.hpp"
#include "store/recovery.hpp"
#include "store/relocation.hpp"

namespace weir::store {

log_store::log_store(settings how, environment world, recovered&& from)
    : settings_(std::move(how)),
      world_(std::move(world)),
      identity_(from.identity),
      report_(from.report),
      lock_(std::move(from.lock)),
      codec_(from.identity),
      encoder_(codec_),
      state_(std::move(from.state)),
      files_(std::move(from.files)),
      last_segment_(from.last_segment),
      last_file_(from.last_file),
      last_end_(from.last_end),
      next_segment_(from.next_segment),
      group_number_(from.group_number),
      checkpoint_number_(from.checkpoint_number),
      checkpoint_latest_(from.loaded_checkpoint),
      checkpoints_(std::move(from.old_checkpoints)),
      checkpoint_covers_(from.checkpoint_covers),
      previous_covers_(from.previous_covers),
      checkpoint_bytes_(from.checkpoint_bytes),
      relocation_(std::make_unique<relocation>(*this)) {
  for (auto& x : from.sidecars)
    sidecars_.push_back({x.file, x.segment, x.end, std::move(x.content)});
}

log_store::~log_store() = default;

std::vector<job_state> log_store::jobs() const {
  std::lock_guard guard(mutex_);
  std::vector<job_state> result;
  result.reserve(state_.buffers);
  for (job_table::slot x = 0; x < state_.index.jobs().size(); ++x)
    if (state_.has_buffer(x))
      result.push_back(state_.state_of(x));
  return result;
}

std::optional<job_state> log_store::job(job_id id) const {
  std::lock_guard guard(mutex_);
  auto slot = state_.index.jobs().find(id);
  if (!slot || !state_.has_buffer(*slot))
    return std::nullopt;
  return state_.state_of(*slot);
}

std::vector<job_glance> log_store::walk(std::uint64_t& from, std::size_t most) const {
  std::vector<job_glance> result;
  std::lock_guard guard(mutex_);
  const auto size = state_.index.jobs().size();
  const auto end = std::min<std::uint64_t>(size, from + most);
  for (; from < end; ++from)
    if (const auto x = state_.glance_at(static_cast<job_table::slot>(from)))
      result.push_back(*x);
  if (from >= size)
    from = 0;
  return result;
}

std::vector<known_slice> log_store::known_slices() const {
  std::lock_guard guard(mutex_);
  return state_.window.known();
}

std::optional<done_batch> log_store::done(const batch_id& id) const {
  std::lock_guard guard(mutex_);
  return state_.window.done(id);
}

std::vector<block_info> log_store::blocks(job_id id, std::size_t limit, std::optional<sequence_range> within) const {
  std::vector<block_info> result;
  std::lock_guard guard(mutex_);
  auto slot = state_.index.jobs().find(id);
  if (!slot || limit == 0)
    return result;
  state_.index.visit(*slot, [&](const indexed_block& x) {
    auto wanted = !x.set_aside
                  && (!within
                      || (x.range.generation == within->generation && x.range.end() > within->first
                          && x.range.first < within->end()));
    if (wanted)
      result.push_back({x.range, x.place.payload_bytes, x.place.bytes(), x.raw_bytes_at_most, x.arrival_seconds});
    return result.size() < limit;
  });
  return result;
}

std::vector<block_info> log_store::dead_letters(job_id id, std::size_t limit) const {
  std::vector<block_info> result;
  std::lock_guard guard(mutex_);
  auto letters = state_.dead.find(id);
  if (letters == state_.dead.end())
    return result;
  for (const auto& x : letters->second) {
    if (result.size() == limit)
      break;
    result.push_back({x.range, x.place.payload_bytes, x.place.bytes()});
  }
  return result;
}

caf::expected<block_bytes> log_store::read(job_id id, const sequence_range& range, bool dead) const {
  auto result = read_once(id, range, dead);
  // `busy` is for us: the block was moved while its old place was read, which says nothing about it.
  while (!result && code_of(result.error()) == errc::busy)
    result = read_once(id, range, dead);
  return result;
}

caf::expected<block_bytes> log_store::read_once(job_id id, const sequence_range& range, bool dead) const {
  block_place place;
  std::uint32_t segment = 0;
  std::shared_ptr<disk_file> handle;
  {
    std::lock_guard guard(mutex_);
    if (dead) {
      auto* letter = state_.find_dead(id, range);
      if (!letter)
        return make_error(errc::not_found, "no such dead letter");
      place = letter->place;
    } else {
      auto slot = state_.index.jobs().find(id);
      auto block = slot ? state_.index.find(*slot, range) : std::nullopt;
      if (!block || block->set_aside)
        return make_error(errc::not_found, "no such block");
      place = block->place;
    }
    segment = files_.at(place.file).segment;
    if (auto error = files_.open(place.file, handle))
      return make_error(errc::store_failed, error.message());
    ++files_.at(place.file).pins;
  }
  auto result = read_at(id, range, dead, place, segment, *handle);
  std::lock_guard guard(mutex_);
  --files_.at(place.file).pins;
  return result;
}

caf::expected<block_bytes> log_store::read_at(job_id id, const sequence_range& range, bool dead,
                                              const block_place& place, std::uint32_t segment, disk_file& file) const {
  block_bytes result;
  // The payload is read into its final string; header and meta go to a buffer of their own.
  auto before = record_header_bytes + place.meta_bytes;
  std::string head(before, '\0');
  std::size_t got = 0;
  if (auto error = file.read(place.offset, head.data(), head.size(), got))
    return make_error(errc::store_failed, error.message());
  auto header = got == head.size() ? codec_.decode_record(head, segment) : std::nullopt;
  if (!header || header->job != id || !(header->range == range) || payload_offset(header->meta_bytes) != before
      || header->payload_bytes != place.payload_bytes) {
    auto bad = found_bad(id, range, dead, place, "record header fails its checksum");
    return make_error(bad ? errc::corrupt : errc::busy, "record header");
  }
  result.payload.resize(place.payload_bytes);
  if (auto error = file.read(place.offset + before, result.payload.data(), result.payload.size(), got))
    return make_error(errc::store_failed, error.message());
  auto meta = std::string_view(head).substr(record_header_bytes, header->meta_bytes);
  if (got != result.payload.size() || codec_.body_checksum(meta, result.payload) != header->body_checksum
      || !result.meta.ParseFromArray(meta.data(), static_cast<int>(meta.size()))) {
    auto bad = found_bad(id, range, dead, place, "record body fails its checksum");
    return make_error(bad ? errc::corrupt : errc::busy, "record body");
  }
  result.range = range;
  return result;
}

// Out of the index at once, so that no commit that comes before its trim is durable counts its events
// as delivered; the trim itself goes out with the next group.
bool log_store::found_bad(job_id id, const sequence_range& range, bool dead, const block_place& place,
                          const char* why) const {
  std::lock_guard guard(mutex_);
  for (const auto& x : bad_)
    if (x.job == id && x.range == range && x.dead == dead)
      return true;
  if (dead) {
    auto* letter = state_.find_dead(id, range);
    if (letter && !(letter->place == place))
      return false;
    if (letter) {
      state_.remember({{files_.at(place.file).segment, place.offset}, id, range, why});
      bad_.push_back({id, range, true, place});
    }
    return true;
  }
  auto slot = state_.index.jobs().find(id);
  auto block = slot ? state_.index.find(*slot, range) : std::nullopt;
  if (block && !block->set_aside && !(block->place == place))
    return false;
  if (auto taken = state_.set_aside(id, range, why))
    bad_.push_back({id, range, false, taken->place});
  return true;
}

usage log_store::used() const {
  std::lock_guard guard(mutex_);
  auto x = totals_;
  x.state = judge();
  x.segments = files_.count();
  x.free_segments = files_.count_free();
  x.segment_bytes = settings_.segment_bytes;
  for (const auto& load : state_.load)
    x.live_bytes += load.bytes;
  x.index_bytes = state_.index.bytes();
  x.buffers = state_.buffers;
  x.blocks = state_.index.blocks();
  x.set_aside_records = state_.damaged;
  return x;
}

std::uint64_t log_store::unbalanced_accounts(std::size_t most) {
  std::lock_guard guard(mutex_);
  return state_.accounts.check_balance(most);
}

// In steps of under a millisecond: the writer waits for this lock, and a million jobs are copied in a second.
// Each account is of one moment; so is the sum of those that balance.
ledger_totals log_store::ledger() const {
  constexpr job_table::slot jobs_a_step = 4'096;
  ledger_totals result;
  for (job_table::slot next = 0;;) {
    std::lock_guard guard(mutex_);
    next = state_.accounts.collect(state_.index.jobs(), next, jobs_a_step, result);
    if (next < state_.index.jobs().size())
      continue;
    state_.accounts.collect_senders(result);
    for (const auto& [job, cut] : state_.cuts) {
      const auto account = result.jobs.find(job);
      if (account == result.jobs.end())
        continue;
      std::uint64_t events = cut.replaced_by().empty() ? cut.count() : 0;
      for (const auto& part : cut.replaced_by())
        events += part.count();
      account->second.leased = std::min(events, account->second.buffered);
    }
    return result;
  }
}

} // namespace weir::store
