#include "actors/shard_state.hpp"

#include <algorithm>
#include <cstring>

namespace weir {

namespace {

constexpr std::uint64_t record_header_bytes = 64; // about; for quotas

std::uint64_t wall_ns(const environment& world) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(world.clock->wall().time_since_epoch()).count());
}

} // namespace

shard_state::shard_state(shard_settings how, environment world, std::shared_ptr<buffer_admission> admission,
                         std::shared_ptr<node_status> status)
    : settings_(how),
      world_(std::move(world)),
      admission_(std::move(admission)),
      status_(std::move(status)),
      lookup_([this](job_id) {
        return job_limits{{}, settings_.default_quota_bytes};
      }),
      memory_(how.window_batches) {}

shard_state::~shard_state() {
  for (const auto& [job, index] : slot_of_)
    admission_->released(slots_[index].limits.tenant); // whoever follows counts what is on disk
}

void shard_state::recover(const std::vector<store::job_state>& jobs, const std::vector<store::known_slice>& known,
                          time_point now) {
  const auto wall = wall_ns(world_);
  for (const auto& x : jobs) {
    job_slot slot;
    slot.job = x.job;
    slot.current = x.closed ? new_generation() : x.current;
    slot.next = slot.durable_next = x.closed ? 1 : x.next;
    slot.stored_bytes = x.buffered_bytes;
    slot.limits = lookup_(x.job);
    slot.uncut_events = static_cast<std::int64_t>(x.buffered_events);
    const auto age = wall > x.oldest_ns && x.oldest_ns != 0 ? wall - x.oldest_ns : 0;
    // A cut that was open when the process ended is finished at once.
    slot.uncut_since = x.open_cut ? time_point{} : now - std::chrono::nanoseconds{age};
    slot.used = now;
    admission_->count_existing(slot.limits.tenant);
    watch(place(std::move(slot)), now);
  }
  for (const auto& x : known) {
    memory_.begin(x.batch, {x.job});
    memory_.durable(x.batch, x.job);
  }
}

void shard_state::configure(limits_of lookup, time_point now, scope_of scope) {
  lookup_ = std::move(lookup);
  scope_ = std::move(scope);
  not_kept_ = 0;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    auto& slot = slots_[i];
    if (slot.job == job_id{})
      continue;
    const bool was_pushed = slot.limits.pushed;
    const auto tenant = slot.limits.tenant;
    slot.limits = lookup_(slot.job);
    if (!slot.limits.kept)
      ++not_kept_;
    if (slot.limits.tenant != tenant)
      admission_->moved(tenant, slot.limits.tenant);
    if (slot.limits.pushed && !was_pushed)
      watch(i, now);
  }
}

std::uint32_t shard_state::place(job_slot slot) {
  auto index = static_cast<std::uint32_t>(slots_.size());
  if (!slot.limits.kept)
    ++not_kept_;
  slot_of_.emplace(number(slot.job), vacant_.empty() ? index : vacant_.back());
  if (vacant_.empty()) {
    slots_.push_back(std::move(slot));
  } else {
    index = vacant_.back();
    vacant_.pop_back();
    slots_[index] = std::move(slot);
  }
  return index;
}

/// Nothing of the job is in memory, on disk or under way, and nobody is about to come back to its slot.
bool shard_state::at_rest(const job_slot& x) const {
  return x.pieces.empty() && x.stored_bytes == 0 && x.under_way_bytes == 0 && x.uncut_events <= 0 && !x.announced
         && !x.watched && !x.unsure;
}

std::size_t shard_state::reclaim(std::size_t most, time_point now, std::chrono::milliseconds rest) {
  std::size_t gone = 0;
  for (most = std::min(most, slots_.size()); not_kept_ > 0 && most > 0; --most) {
    reclaim_cursor_ = reclaim_cursor_ + 1 < slots_.size() ? reclaim_cursor_ + 1 : 0;
    auto& slot = slots_[reclaim_cursor_];
    if (slot.job == job_id{} || slot.limits.kept || !at_rest(slot) || now - slot.used < rest)
      continue;
    admission_->released(slot.limits.tenant);
    slot_of_.erase(number(slot.job));
    slot = job_slot{};
    slot.limits.pushed = false;
    vacant_.push_back(static_cast<std::uint32_t>(reclaim_cursor_));
    --not_kept_;
    ++gone;
  }
  return gone;
}

void shard_state::take(const slice_batch_ptr& slices, time_point now) {
  const auto& origin = *slices->origin;
  const bool named = static_cast<bool>(origin.id);
  const bool known = named && memory_.knows(origin.id);
  // A repeat that was under way while the first try ended: its source did not see the stored answer yet.
  if (named && !known && is_done_ && is_done_(origin.id)) {
    for (auto& x : slices->slices) {
      counts_.repeated_events += x.lines;
      x.duty.repeated(x.job, x.lines);
    }
    return;
  }
  std::vector<job_id> begun;
  if (named)
    begun.reserve(slices->slices.size());
  const bool disk_refuses =
      status_->disk.load(std::memory_order_relaxed) >= static_cast<std::uint8_t>(store::disk_state::refuse_appends);
  crowded_ = open_bytes_ > settings_.open_bytes;
  for (auto& x : slices->slices) {
    if (known && settle_if_known(*slices, x))
      continue;
    std::optional<shed_reason> refused;
    std::uint32_t slot = no_slot;
    if (disk_refuses)
      refused = shed_reason::disk_full;
    else
      slot = find_or_open(x.job, now, refused);
    if (!refused) {
      const auto& job = slots_[slot];
      // Raw bytes shrink at least threefold, but nobody can promise it: they count whole until sealed.
      if (job.stored_bytes + job.under_way_bytes + job.open_bytes + x.bytes > job.limits.quota_bytes)
        refused = shed_reason::job_quota;
    }
    if (refused) {
      shed(x, *refused);
      continue;
    }
    if (named)
      begun.push_back(x.job);
    add(slot, slices, x, now);
  }
  if (named && !begun.empty())
    memory_.begin(origin.id, std::move(begun));
}

void shard_state::shed(slice& x, shed_reason reason) {
  counts_.shed_events[static_cast<std::size_t>(reason)] += x.lines;
  x.duty.shed(x.job, reason, x.lines, x.scope);
}

const buffer_levels& shard_state::look_at_levels(std::size_t most) {
  for (; most > 0 && level_cursor_ < slots_.size(); --most, ++level_cursor_) {
    const auto& job = slots_[level_cursor_];
    const auto held = static_cast<double>(job.stored_bytes + job.under_way_bytes + job.open_bytes);
    for (std::size_t i = 0; i < buffer_level_count; ++i)
      levels_[i] += held > share_of(static_cast<buffer_level>(i)) * static_cast<double>(job.limits.quota_bytes);
  }
  if (level_cursor_ >= slots_.size()) {
    levels_last_ = std::exchange(levels_, {});
    level_cursor_ = 0;
  }
  return levels_last_;
}

bool shard_state::settle_if_known(const slice_batch& batch, slice& x) {
  switch (memory_.of(batch.origin->id, x.job)) {
    case batch_memory::knowledge::unknown:
      return false;
    case batch_memory::knowledge::durable:
      counts_.repeated_events += x.lines;
      x.duty.repeated(x.job, x.lines);
      return true;
    case batch_memory::knowledge::under_way:
      // The first try may still fail: neither promise it nor store it twice.
      shed(x, shed_reason::no_credit);
      return true;
  }
  return false;
}

std::optional<shed_reason> shard_state::short_of() const {
  if (status_->disk.load(std::memory_order_relaxed) >= static_cast<std::uint8_t>(store::disk_state::refuse_new_buffers))
    return shed_reason::disk_full;
  // The first step of the ladder: who is there already goes on as before.
  if (crowded_ || status_->memory.load(std::memory_order_relaxed) >= node_status::memory_step::seal_early)
    return shed_reason::memory;
  return std::nullopt;
}

std::uint32_t shard_state::find_or_open(job_id job, time_point now, std::optional<shed_reason>& refused) {
  const auto found = slot_of_.find(number(job));
  if (found != slot_of_.end())
    return found->second;
  job_slot slot;
  slot.job = job;
  slot.limits = lookup_(job);
  refused = short_of();
  if (!refused)
    refused = admission_->admit(slot.limits.tenant, now);
  if (refused) {
    ++counts_.refused_buffers[static_cast<std::size_t>(*refused)];
    return no_slot;
  }
  ++counts_.created_buffers;
  slot.used = now;
  const auto before = known_ ? known_(job) : std::nullopt;
  if (before && !before->closed) {
    slot.current = before->current;
    slot.next = slot.durable_next = before->next;
    slot.stored_bytes = before->buffered_bytes;
  } else {
    slot.current = new_generation();
  }
  return place(std::move(slot));
}

void shard_state::add(std::uint32_t index, const slice_batch_ptr& from, slice& x, time_point now) {
  const auto* lines = from->lines.data() + x.first_line;
  auto& slot = slots_[index];
  const auto most_events = slot.limits.max_events == 0
                               ? settings_.block_events
                               : std::min<std::uint64_t>(settings_.block_events, slot.limits.max_events);
  const auto most_bytes =
      slot.limits.max_bytes == 0 ? settings_.block_bytes : std::min(settings_.block_bytes, slot.limits.max_bytes);
  // Of a named body a job has either all events on disk or none: that is what a repeat relies on. So a
  // slice lies in one block, or, if it is larger, in blocks that become durable together.
  const bool whole = static_cast<bool>(from->origin->id);
  if (whole && slot.open_events > 0
      && (slot.open_events + x.lines > most_events || slot.open_bytes + x.bytes > most_bytes))
    seal(index, seal_trigger::size);
  const auto first_block = sealed_.size();
  std::uint32_t done = 0;
  while (done < x.lines) {
    if (slot.pieces.empty()) {
      slot.opened_at = now;
      ++open_blocks_;
      waiting_.emplace_back(now, index);
    }
    const auto first = done;
    std::uint64_t bytes = 0;
    while (done < x.lines && slot.open_events + (done - first) < most_events
           && (slot.open_bytes + bytes < most_bytes || (slot.open_events == 0 && done == first))) {
      bytes += lines[done].size + 1;
      ++done;
    }
    if (done > first) {
      // Each piece settles its own part; the slice's ticket goes with the last one.
      auto duty = done == x.lines ? std::move(x.duty) : ticket{x.duty.shared()};
      slot.pieces.push_back({from, x.first_line + first, done - first, std::move(duty)});
      slot.open_bytes += bytes;
      slot.open_events += done - first;
      open_bytes_ += bytes;
    }
    if (slot.open_bytes >= most_bytes || slot.open_events >= most_events)
      seal(index, seal_trigger::size);
  }
  if (!whole || sealed_.size() == first_block)
    return;
  if (!slot.pieces.empty())
    seal(index, seal_trigger::size);
  for (auto i = first_block; i + 1 < sealed_.size(); ++i)
    sealed_[i].with_next = true;
}

void shard_state::seal(std::uint32_t index, seal_trigger why) {
  auto& slot = slots_[index];
  const auto since = slot.opened_at;
  ++counts_.sealed_blocks[static_cast<std::size_t>(why)];
  --open_blocks_;
  sealed_block block;
  proto::BlockMeta meta;
  pieces_.clear();
  std::uint64_t first_ns = ~0ull;
  std::uint64_t last_ns = 0;
  for (auto& x : slot.pieces) {
    const auto* bytes = x.from->bytes->data();
    for (std::uint32_t i = 0; i < x.lines; ++i) {
      const auto& at = x.from->lines[x.first_line + i];
      pieces_.emplace_back(bytes + at.offset, at.size);
    }
    const auto& origin = *x.from->origin;
    first_ns = std::min(first_ns, origin.received_ns);
    last_ns = std::max(last_ns, origin.received_ns);
    if (origin.id && (block.shares.empty() || block.shares.back().batch != origin.id)) {
      auto* batch = meta.add_batches();
      batch->set_high(origin.id.high);
      batch->set_low(origin.id.low);
    }
    block.shares.push_back({std::move(x.duty), x.lines, origin.id});
  }
  auto record = std::make_shared<store::append_record>();
  record->kind = store::record_kind::block;
  record->job = slot.job;
  record->range = {slot.current, slot.next, slot.open_events};
  record->payload = std::make_shared<const std::string>(sealer_.seal({slot.job, record->range}, pieces_));
  meta.set_received_first_ns(first_ns);
  meta.set_received_last_ns(last_ns);
  meta.set_raw_bytes(static_cast<std::uint32_t>(slot.open_bytes));
  meta.set_revision(number(slot.limits.revision));
  meta.SerializeToString(&record->meta);
  block.job = slot.job;
  block.range = record->range;
  block.raw_bytes = slot.open_bytes;
  block.disk_bytes = record_header_bytes + record->meta.size() + record->payload->size();
  block.record = std::move(record);

  slot.next += slot.open_events;
  slot.under_way_bytes += block.disk_bytes;
  open_bytes_ -= slot.open_bytes;
  sealed_bytes_ += block.disk_bytes;
  slot.pieces.clear();
  slot.open_bytes = 0;
  slot.open_events = 0;
  slot.opened_at = {};
  sealed_.push_back({std::move(block), since, false});
}

bool shard_state::seal_waiting(time_point now, bool all, std::size_t most) {
  const bool seal_early = status_->memory.load(std::memory_order_relaxed) >= node_status::memory_step::seal_early;
  std::size_t sealed = 0;
  while (!waiting_.empty()) {
    const auto [opened_at, index] = waiting_.front();
    const bool still_open = !slots_[index].pieces.empty() && slots_[index].opened_at == opened_at;
    if (still_open) {
      const bool early = seal_early || open_bytes_ > settings_.open_bytes;
      const bool waited = opened_at + settings_.linger <= now;
      if (!all && !early && !waited)
        return false;
      if (sealed == most)
        return true;
      seal(index, waited ? seal_trigger::linger : early ? seal_trigger::memory : seal_trigger::idle);
      ++sealed;
    }
    waiting_.pop_front();
  }
  return false;
}

sealed_group_ptr shard_state::take_sealed(std::uint64_t most_bytes) {
  if (sealed_.empty())
    return nullptr;
  auto group = std::make_shared<sealed_group>();
  group->epoch = epoch_;
  group->since = sealed_.front().since;
  bool with_next = false;
  do {
    with_next = sealed_.front().with_next;
    group->since = std::min(group->since, sealed_.front().since);
    group->bytes += sealed_.front().block.disk_bytes;
    group->blocks.push_back(std::move(sealed_.front().block));
    sealed_.pop_front();
  } while (!sealed_.empty() && (with_next || group->bytes + sealed_.front().block.disk_bytes <= most_bytes));
  sealed_bytes_ -= group->bytes;
  ++groups_under_way_;
  return group;
}

void shard_state::returned(sealed_group& group, time_point now) {
  --groups_under_way_;
  // Sequences behind a failed block must not be used: everything numbered since is void, and the
  // writer refuses what it still has of this epoch. The events' senders hear of the failure.
  if (!group.durable && group.epoch == epoch_)
    roll_back();
  for (auto& block : group.blocks)
    settle(block, group, now);
}

void shard_state::roll_back() {
  ++epoch_;
  for (auto& slot : slots_)
    slot.next = slot.durable_next;
  // Sealed but not handed out yet: numbered wrongly now. Their receipts fail with them.
  for (auto& [block, since, with_next] : sealed_) {
    slots_[slot_of_.at(number(block.job))].under_way_bytes -= block.disk_bytes;
    for (auto& share : block.shares)
      if (share.batch)
        memory_.failed(share.batch, block.job);
  }
  sealed_.clear();
  sealed_bytes_ = 0;
}

void shard_state::settle(sealed_block& block, const sealed_group& group, time_point now) {
  const auto index = slot_of_.at(number(block.job));
  auto& slot = slots_[index];
  slot.under_way_bytes -= block.disk_bytes;
  for (auto& share : block.shares) {
    if (group.durable) {
      share.duty.durable(share.events);
      if (share.batch)
        memory_.durable(share.batch, block.job);
      continue;
    }
    if (share.batch)
      memory_.failed(share.batch, block.job);
    if (group.disk_full) {
      counts_.shed_events[static_cast<std::size_t>(shed_reason::disk_full)] += share.events;
      share.duty.shed(block.job, shed_reason::disk_full, share.events, scope_ ? scope_(block.job) : std::string{});
    } else
      share.duty = ticket{}; // unsettled: the body fails
  }
  if (!group.durable)
    return;
  slot.durable_next = std::max(slot.durable_next, block.range.end());
  slot.stored_bytes += block.disk_bytes;
  if (slot.uncut_events <= 0)
    slot.uncut_since = now;
  slot.uncut_events += static_cast<std::int64_t>(block.range.count);
  slot.uncut_bytes += static_cast<std::int64_t>(block.raw_bytes);
  watch(index, now);
}

bool shard_state::is_due(const job_slot& job, time_point now) const {
  if (job.uncut_events <= 0 || !job.limits.pushed)
    return false;
  const auto& limits = job.limits;
  return now - limits.interval >= job.uncut_since
         || (limits.max_events != 0 && job.uncut_events >= static_cast<std::int64_t>(limits.max_events))
         || (limits.max_bytes != 0 && job.uncut_bytes >= static_cast<std::int64_t>(limits.max_bytes));
}

void shard_state::watch(std::uint32_t index, time_point now) {
  auto& slot = slots_[index];
  if (slot.announced || slot.uncut_events <= 0 || !slot.limits.pushed)
    return;
  if (is_due(slot, now)) {
    slot.announced = true;
    slot.watched = false;
    due_now_.push_back(index);
  } else if (!slot.watched) {
    slot.watched = true;
    wheel_.enter(index, slot.uncut_since + slot.limits.interval);
  }
}

void shard_state::hasten() {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    slots_[i].uncut_since = {};
    watch(i, time_point::max()); // of a vacant one nothing is uncut
  }
}

void shard_state::take_due(time_point now, std::vector<job_id>& due) {
  std::vector<std::uint32_t> timed;
  wheel_.take_due(now, timed);
  for (auto index : timed) {
    slots_[index].watched = false;
    watch(index, now);
  }
  for (auto index : due_now_)
    due.push_back(slots_[index].job);
  due_now_.clear();
}

void shard_state::forget(const batches_done& done) {
  for (const auto& batch : done.batches)
    memory_.done(batch);
}

void shard_state::apply(const cut_made& cut, time_point now) {
  const auto found = slot_of_.find(number(cut.job));
  if (found == slot_of_.end())
    return;
  auto& slot = slots_[found->second];
  slot.uncut_events -= static_cast<std::int64_t>(cut.events);
  slot.uncut_bytes = std::max<std::int64_t>(0, slot.uncut_bytes - static_cast<std::int64_t>(cut.bytes));
  slot.uncut_since = slot.used = now;
}

void shard_state::apply(const space_freed& freed) {
  const auto found = slot_of_.find(number(freed.job));
  if (found != slot_of_.end())
    slots_[found->second].stored_bytes -= std::min(freed.bytes, slots_[found->second].stored_bytes);
}

void shard_state::apply(const backlog_taken& taken, time_point now) {
  const auto found = slot_of_.find(number(taken.job));
  if (found == slot_of_.end())
    return;
  slots_[found->second].announced = false;
  watch(found->second, now);
  doubt(found->second);
}

void shard_state::doubt(std::uint32_t index) {
  if (!std::exchange(slots_[index].unsure, true))
    unsure_.push_back(slots_[index].job);
}

std::vector<job_id> shard_state::take_unsure(std::size_t most) {
  std::vector<job_id> taken;
  while (!unsure_.empty() && taken.size() < most) {
    taken.push_back(unsure_.back()); // the one that came last first: it is the one that was asked about
    unsure_.pop_back();
    slots_[slot_of_.at(number(taken.back()))].unsure = false;
  }
  return taken;
}

void shard_state::announce_again() {
  due_now_.clear();
  for (std::uint32_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].announced)
      due_now_.push_back(i);
}

void shard_state::compare(job_id job, std::uint64_t uncut_events, std::uint64_t stored_bytes, time_point now) {
  const auto found = slot_of_.find(number(job));
  if (found == slot_of_.end())
    return;
  auto& slot = slots_[found->second];
  if (groups_under_way_ == 0) {
    if (slot.uncut_events <= 0 && uncut_events > 0)
      slot.uncut_since = now;
    slot.uncut_events = static_cast<std::int64_t>(uncut_events);
    slot.stored_bytes = stored_bytes;
  } else {
    doubt(found->second);
    // Nothing that is on disk waits, whatever was counted; what is under way counts when it is back.
    if (uncut_events == 0)
      slot.uncut_events = std::min<std::int64_t>(slot.uncut_events, 0);
  }
  watch(found->second, now);
}

generation shard_state::new_generation() {
  const auto seconds = wall_ns(world_) / 1'000'000'000;
  return generation{(seconds << 32) | (world_.random->next() & 0xffffffffu)};
}

} // namespace weir
