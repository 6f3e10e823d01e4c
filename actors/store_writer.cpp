#include "actors/store_writer.hpp"

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using writer_self = bounded_pointer<store_writer_actor, store_writer_state>;
using item = store_writer_state::item;

constexpr std::chrono::milliseconds upkeep_step{20};
constexpr std::uint64_t small_record_bytes = 256; // about, for cuts and commits

std::uint64_t bytes_of(const item& x) {
  if (const auto* sealed = std::get_if<sealed_group_ptr>(&x))
    return (*sealed)->bytes;
  if (const auto* records = std::get_if<store_writer_state::records>(&x)) {
    std::uint64_t sum = 0;
    for (const auto& record : records->group->records)
      sum += small_record_bytes + record.meta.size() + (record.payload ? record.payload->size() : 0);
    return sum;
  }
  if (const auto* account = std::get_if<body_account_ptr>(&x))
    return small_record_bytes + (*account)->meta.size();
  return 0;
}

bool is_void(const store_writer_state& state, const sealed_group& group) {
  const auto found = state.void_epochs.find(group.from.id());
  return found != state.void_epochs.end() && group.epoch <= found->second;
}

/// What takes effect together: the items of one group, and their records in order.
struct open_group {
  std::vector<item> items;
  std::vector<std::size_t> ends; // of each item's records
  std::vector<store::append_record> records;
  std::uint64_t bytes = 0; // on disk, about
};

void add_records(item& x, std::vector<store::append_record>& records) {
  if (auto* sealed = std::get_if<sealed_group_ptr>(&x)) {
    for (auto& block : (*sealed)->blocks)
      records.push_back(std::move(*block.record));
  } else if (auto* group = std::get_if<store_writer_state::records>(&x)) {
    for (auto& record : group->group->records)
      records.push_back(std::move(record));
  } else if (auto* account = std::get_if<body_account_ptr>(&x)) {
    store::append_record record;
    record.kind = (*account)->batch ? store::record_kind::batch_done : store::record_kind::ledger;
    record.meta = std::move((*account)->meta);
    records.push_back(std::move(record));
  }
}

void give_back(const sealed_group_ptr& group, bool durable, bool disk_full) {
  group->durable = durable;
  group->disk_full = disk_full;
  auto shard = std::exchange(group->from, nullptr);
  caf::anon_send(shard, group);
}

open_group take_group(writer_self self) {
  auto& state = self->state;
  open_group group;
  while (!state.queue.empty()) {
    auto& next = state.queue.front();
    const auto size = bytes_of(next);
    if (!group.items.empty() && group.bytes + size > state.parts.group_bytes)
      break;
    state.queued_bytes -= size;
    if (auto* sealed = std::get_if<sealed_group_ptr>(&next); sealed && is_void(state, **sealed)) {
      give_back(*sealed, false, false);
      state.queue.pop_front();
      continue;
    }
    group.bytes += size;
    add_records(next, group.records);
    group.items.push_back(std::move(next));
    group.ends.push_back(group.records.size());
    state.queue.pop_front();
  }
  return group;
}

/// Tells those concerned what became of one item.
void settle(store_writer_state& state, item& x, const caf::error& why, batches_done& done) {
  const bool durable = !why;
  if (auto* sealed = std::get_if<sealed_group_ptr>(&x)) {
    if (!durable)
      state.void_epochs[(*sealed)->from.id()] = std::max(state.void_epochs[(*sealed)->from.id()], (*sealed)->epoch);
    give_back(*sealed, durable, code_of(why) == errc::disk_full);
  } else if (auto* records = std::get_if<store_writer_state::records>(&x)) {
    if (durable)
      records->answer.deliver(recorded{});
    else
      records->answer.deliver(caf::error{why});
  } else if (auto* account = std::get_if<body_account_ptr>(&x)) {
    if (durable && (*account)->batch)
      done.batches.push_back((*account)->batch);
    (*account)->settle(durable);
  } else if (auto* mark = std::get_if<store_writer_state::drain_mark>(&x)) {
    mark->answer.deliver(drained{});
  }
}

void count(store_metrics& metrics, const open_group& group, const caf::error& why, std::chrono::duration<double> took) {
  if (!why) {
    metrics.groups.Increment();
    metrics.records.Increment(static_cast<double>(group.records.size()));
    metrics.group_bytes.Observe(static_cast<double>(group.bytes));
    metrics.sync_seconds.Observe(took.count());
  } else if (code_of(why) == errc::disk_full) {
    metrics.refused_appends.Increment();
  } else {
    metrics.sync_errors.Increment();
  }
}

caf::error append(writer_self self, const std::vector<store::append_record>& records, const open_group& group) {
  auto& state = self->state;
  if (records.empty())
    return caf::none;
  const auto began = self->clock().now();
  auto why = state.parts.store->append(records);
  count(*state.parts.metrics, group, why, self->clock().now() - began);
  if (why)
    log::error("group-not-durable", "{} records were not made durable: {}; their senders are told so", records.size(),
               self->system().render(why));
  return why;
}

/// One item at a time, after the store turned the whole group away without writing anything: what is
/// at fault fails alone, and on a full disk commits and trims still pass.
void append_one_by_one(writer_self self, open_group& group, batches_done& done) {
  auto& state = self->state;
  std::size_t first = 0;
  for (std::size_t i = 0; i < group.items.size(); ++i) {
    const auto* sealed = std::get_if<sealed_group_ptr>(&group.items[i]);
    const std::vector<store::append_record> own{std::make_move_iterator(group.records.begin() + first),
                                                std::make_move_iterator(group.records.begin() + group.ends[i])};
    first = group.ends[i];
    // Behind a block that failed, its shard's later ones are numbered wrongly.
    const auto why =
        sealed && is_void(state, **sealed) ? make_error(errc::store_failed, "void") : append(self, own, group);
    settle(state, group.items[i], why, done);
  }
}

void commit(writer_self self) {
  auto& state = self->state;
  state.commit_due = false;
  while (!state.queue.empty()) {
    auto group = take_group(self);
    batches_done done;
    const auto why = append(self, group.records, group);
    if (group.items.size() > 1 && (code_of(why) == errc::refused || code_of(why) == errc::disk_full))
      append_one_by_one(self, group, done);
    else
      for (auto& x : group.items)
        settle(state, x, why, done);
    if (!done.batches.empty())
      for (std::size_t i = 0; i < state.parts.directory->shard_count(); ++i)
        state.parts.directory->shard(i).tell(done);
    // Between groups, take in what came meanwhile: it forms the next one.
    if (self->mailbox().size() > 1)
      break;
  }
  if (!state.queue.empty()) {
    state.commit_due = true;
    self->send(self, commit_tick{});
  }
}

void enqueue(writer_self self, item x) {
  auto& state = self->state;
  state.queued_bytes += bytes_of(x);
  state.queue.push_back(std::move(x));
  if (state.queued_bytes >= state.parts.eager_bytes) {
    if (!state.commit_due)
      self->send(self, commit_tick{});
    state.commit_due = true;
  } else if (!state.commit_due) {
    state.commit_due = true;
    self->delayed_send(self, state.parts.group_wait, commit_tick{});
  }
}

void keep_up(writer_self self) {
  auto& state = self->state;
  const bool more = state.parts.store->maintain();
  const auto used = state.parts.store->used();
  const auto disk = state.disk(static_cast<std::uint8_t>(used.state), self->clock().now());
  state.parts.status->disk.store(disk);
  auto& metrics = *state.parts.metrics;
  count_up_to(metrics.written_bytes[write_purpose::append], static_cast<double>(used.written_bytes));
  count_up_to(metrics.written_bytes[write_purpose::relocation], static_cast<double>(used.relocated_bytes));
  count_up_to(metrics.set_aside_records, static_cast<double>(used.set_aside_records));
  metrics.segments[segment_use::free].Set(static_cast<double>(used.free_segments));
  metrics.segments[segment_use::live].Set(static_cast<double>(used.segments - used.free_segments));
  metrics.buffered_bytes.Set(static_cast<double>(used.live_bytes));
  metrics.disk_available_bytes.Set(static_cast<double>(used.disk_available));
  metrics.disk_total_bytes.Set(static_cast<double>(used.disk_total));
  metrics.queued_bytes.Set(static_cast<double>(state.queued_bytes));
  if (more)
    self->send(self, upkeep_tick{});
  else
    self->delayed_send(self, upkeep_step, upkeep_tick{});
}

} // namespace

store_writer_actor::behavior_type store_writer(writer_self self, store_writer_parts parts) {
  set_guard_rails(self, "store_writer");
  self->state.parts = std::move(parts);
  self->send(self, upkeep_tick{});
  return {
      [self](const sealed_group_ptr& group) { enqueue(self, group); },
      [self](const record_group_ptr& group) -> caf::result<recorded> {
        auto answer = self->make_response_promise<recorded>();
        enqueue(self, store_writer_state::records{group, answer});
        return answer;
      },
      [self](const body_account_ptr& account) { enqueue(self, account); },
      [self](drain) -> caf::result<drained> {
        auto answer = self->make_response_promise<drained>();
        enqueue(self, store_writer_state::drain_mark{answer});
        return answer;
      },
      [self](commit_tick) { commit(self); },
      [self](upkeep_tick) { keep_up(self); },
  };
}

} // namespace weir
