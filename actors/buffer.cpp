#include "actors/buffer.hpp"

#include <caf/all.hpp>

#include "actors/buffer_records.hpp"
#include "actors/buffer_steps.hpp"
#include "actors/guard_rails.hpp"
#include "actors/object_assembly.hpp"
#include "actors/object_name.hpp"
#include "actors/push_policy/push_scheduler.hpp"
#include "config/config_snapshot.hpp"
#include "telemetry/log.hpp"

namespace weir {

std::optional<job_settings> pushed(buffer_self self) {
  auto settings = self->state.parts.snapshot->find_job(self->state.parts.job);
  return settings && settings->entitled() ? settings : std::nullopt;
}

void want_push(buffer_self self) {
  auto& state = self->state;
  const auto settings = pushed(self);
  if (!settings) {
    rest(self); // kept, not pushed; once it is back, the shard says so
    return;
  }
  push_wanted wanted;
  wanted.job = state.parts.job;
  wanted.tenant = std::string{state.parts.snapshot->tenants.name(settings->tenant)};
  // Of the whole text: one customer's expired credential says nothing of another's at the same address.
  wanted.destination = static_cast<std::uint64_t>(push_policy::destination_key_of(settings->destination.reveal()));
  if (const auto job = state.parts.store->job(state.parts.job))
    wanted.bytes = job->buffered_bytes;
  wanted.buffer = self;
  state.wanted = true;
  state.parts.directory->pusher().tell(std::move(wanted));
}

void rest(buffer_self self) {
  auto& state = self->state;
  state.wanted = false;
  state.idle_since = self->clock().now();
  state.parts.directory->shard(state.parts.directory->shard_of(state.parts.job)).tell(backlog_taken{state.parts.job});
}

void tell_freed(buffer_self self, std::uint64_t bytes) {
  auto& state = self->state;
  if (bytes > 0)
    state.parts.directory->shard(state.parts.directory->shard_of(state.parts.job))
        .tell(space_freed{state.parts.job, bytes});
}

std::uint64_t bytes_ending_in(buffer_self self, const sequence_range& range) {
  std::uint64_t sum = 0;
  for (const auto& x : self->state.parts.store->blocks(self->state.parts.job, max_blocks_of_cut, range))
    if (x.range.end() <= range.end())
      sum += x.record_bytes;
  return sum;
}

namespace {

constexpr std::size_t blocks_of_window = 256;
constexpr std::uint64_t window_bytes = 256 << 10;
constexpr std::chrono::seconds upkeep_step{30};
constexpr std::chrono::seconds retry_after_dead_end{60};

/// What the open cut is after a record took effect; asks for the next part, or rests.
void go_on(buffer_self self) {
  auto& state = self->state;
  const auto job = state.parts.store->job(state.parts.job);
  state.open = job ? job->open_cut : std::nullopt;
  if (state.open)
    want_push(self);
  else
    rest(self);
}

/// What the object will measure, if that can be told before it is assembled.
std::optional<std::uint64_t> length_of(buffer_self self, const sequence_range& cut) {
  std::uint64_t sum = 0;
  for (const auto& x : self->state.parts.store->blocks(self->state.parts.job, max_blocks_of_cut, cut)) {
    const bool whole = x.range.first >= cut.first && x.range.end() <= cut.end();
    // `raw_bytes_at_most` may be an eighth above: only members that surely pass untouched are counted on.
    if (!whole || x.raw_bytes_at_most < 2 * object_assembly::untouched_raw_bytes)
      return std::nullopt;
    sum += x.payload_bytes;
  }
  return sum;
}

lease_ptr make_lease(buffer_self self, const proto::Cut& part, caf::error& why) {
  auto& state = self->state;
  const auto settings = pushed(self);
  if (!settings) {
    rest(self);
    why = make_error(errc::not_found, "on hold");
    return nullptr;
  }
  const auto to = parse_destination(settings->destination.reveal(), state.parts.settings.rules);
  if (!to.value) {
    why = make_error(errc::refused, to.error);
    return nullptr;
  }
  auto result = std::make_shared<lease>();
  result->job = state.parts.job;
  result->cut = range_of(part);
  result->object_name = part.object_name();
  result->url =
      upload_url(*to.value, part.object_name(), part.object_name().substr(0, 8)).reveal(); // begins with the day
  for (const auto& [name, value] : to.value->headers)
    result->headers.emplace_back(name, value.reveal());
  result->length = length_of(self, result->cut);
  return result;
}

using lease_promise = caf::typed_response_promise<lease_ptr>;

/// Whether damage took every block of the part that is next: its events are set aside and counted, and there
/// is nothing to push.
bool is_lost(buffer_self self) {
  const auto& state = self->state;
  return state.parts.store->blocks(state.parts.job, 1, range_of(next_part(*state.open))).empty();
}

void give_lease(buffer_self self, lease_promise answer);

/// Ends the part that is next without an object, and goes on with the one behind it.
void drop_lost_part(buffer_self self, lease_promise answer) {
  const auto range = range_of(next_part(*self->state.open));
  write(self, {trim_record(self->state.parts.job, range, proto::Trim::SET_ASIDE)}, answer,
        [self, answer, range]() mutable {
          auto& mine = self->state;
          log::error("cut-set-aside",
                     "job {}: all blocks of events {}-{} are damaged and set aside; no object is pushed",
                     number(mine.parts.job), range.first, range.end() - 1);
          const auto job = mine.parts.store->job(mine.parts.job);
          mine.open = job ? job->open_cut : std::nullopt;
          if (mine.open) {
            give_lease(self, std::move(answer));
            return;
          }
          rest(self);
          answer.deliver(make_error(errc::not_found, "all blocks of the cut were set aside"));
        });
}

void give_lease(buffer_self self, lease_promise answer) {
  if (is_lost(self)) {
    drop_lost_part(self, std::move(answer));
    return;
  }
  caf::error why;
  if (auto made = make_lease(self, next_part(*self->state.open), why))
    answer.deliver(std::move(made));
  else
    answer.deliver(std::move(why));
}

caf::expected<std::uint64_t> revision_of(buffer_self self, const store::block_info& block) {
  auto bytes = self->state.parts.store->read(self->state.parts.job, block.range);
  if (!bytes)
    return std::move(bytes.error());
  return bytes->meta.revision();
}

caf::expected<std::optional<cut_plan>> plan(buffer_self self) {
  auto& state = self->state;
  cut_limits limits;
  if (const auto settings = state.parts.snapshot->find_job(state.parts.job))
    limits = {settings->max_upload_records, settings->max_upload_bytes};
  const auto blocks = state.parts.store->blocks(
      state.parts.job, static_cast<std::size_t>(std::min<std::uint64_t>(limits.events, max_blocks_of_cut)));
  return plan_cut(blocks, limits, [self](const store::block_info& x) { return revision_of(self, x); });
}

void make_cut(buffer_self self, lease_promise answer) {
  auto& state = self->state;
  const auto settings = pushed(self);
  if (!settings) {
    rest(self);
    answer.deliver(make_error(errc::not_found, "on hold"));
    return;
  }
  auto planned = plan(self);
  if (!planned) {
    answer.deliver(std::move(planned.error()));
    return;
  }
  if (!*planned) {
    rest(self);
    answer.deliver(make_error(errc::not_found, "nothing to push"));
    return;
  }
  const auto& chosen = **planned;
  const auto first = state.parts.store->read(state.parts.job, chosen.first_block.range);
  const auto last = state.parts.store->read(state.parts.job, chosen.last_block.range);
  if (!first || !last) {
    // Set aside meanwhile: the next try plans around it.
    answer.deliver(make_error(errc::busy, "a block of the cut could not be read"));
    return;
  }
  proto::Cut cut;
  cut.set_generation(number(chosen.range.generation));
  cut.set_first(chosen.range.first);
  cut.set_count(chosen.range.count);
  cut.set_revision(chosen.revision);
  cut.set_destination_fingerprint(settings->destination_fingerprint);
  cut.set_object_name(object_file_name(state.parts.job, chosen.range, first->meta.received_first_ns(),
                                       last->meta.received_last_ns(), false));
  std::uint64_t raw = 0;
  for (const auto& x : state.parts.store->blocks(state.parts.job, max_blocks_of_cut, chosen.range))
    raw += x.raw_bytes_at_most;
  auto records = std::vector{cut_record(state.parts.job, cut)};
#ifdef WEIR_PLANTED_BUG_TRIM_BEFORE_COMMIT
  records.push_back(commit_record(state.parts.job, cut, 0));
#endif
  write(self, std::move(records), answer, [self, answer, cut, raw]() mutable {
    auto& mine = self->state;
    mine.open = cut;
    mine.parts.metrics->cuts.Increment();
    mine.parts.directory->shard(mine.parts.directory->shard_of(mine.parts.job))
        .tell(cut_made{mine.parts.job, cut.count(), raw});
    give_lease(self, std::move(answer));
  });
}

caf::result<lease_ptr> lease_cut(buffer_self self) {
  auto& state = self->state;
#ifdef WEIR_FAULT_BUFFER_OF_JOB // tests/fault/process_crash_test.cpp; the shipped binary has no such switch
  if (number(state.parts.job) == WEIR_FAULT_BUFFER_OF_JOB)
    throw std::logic_error("the fault that was asked for");
#endif
  if (state.writing)
    return make_error(errc::busy, "a record is under way");
  auto answer = self->make_response_promise<lease_ptr>();
  if (state.open)
    give_lease(self, answer);
  else
    make_cut(self, answer);
  return answer;
}

bool holds(const buffer_state& state, const sequence_range& cut) {
  return state.open && !state.writing && range_of(next_part(*state.open)) == cut;
}

caf::result<window_ptr> read(buffer_self self, const read_window& x) {
  auto& state = self->state;
  if (!holds(state, x.cut))
    return make_error(errc::lease_lost);
  auto window = std::make_shared<std::vector<store::block_bytes>>();
  const sequence_range rest_of_cut{x.cut.generation, x.from, x.cut.end() - x.from};
  std::uint64_t bytes = 0;
  for (const auto& block : state.parts.store->blocks(state.parts.job, blocks_of_window, rest_of_cut)) {
    if (!window->empty() && bytes + block.payload_bytes > window_bytes)
      break;
    auto read = state.parts.store->read(state.parts.job, block.range);
    if (!read) {
      if (code_of(read.error()) == errc::corrupt)
        continue; // set aside and counted by the store; its neighbours are fine
      return std::move(read.error());
    }
    bytes += read->payload.size();
    if (x.from == x.cut.first && window->empty())
      state.first_received_ns = read->meta.received_first_ns();
    window->push_back(std::move(*read));
  }
  return window;
}

using done_promise = caf::typed_response_promise<recorded>;

/// An object is committed: how long its first event took. By the wall clock, because a restart may lie between.
void note_delay(buffer_state& state) {
  const auto since = std::exchange(state.first_received_ns, 0);
  const auto settings = state.parts.snapshot->find_job(state.parts.job);
  const auto& datasets = state.parts.snapshot->datasets;
  if (since == 0 || !settings || settings->dataset >= datasets.size())
    return;
  const auto now = wall_ns(state.parts.world);
  state.parts.delays->delivered(datasets[settings->dataset].name,
                                now > since ? static_cast<double>(now - since) / 1e9 : 0.0);
}

caf::result<recorded> commit(buffer_self self, const commit_cut& x) {
  auto& state = self->state;
  if (!holds(state, x.cut))
    return make_error(errc::lease_lost);
  auto answer = self->make_response_promise<recorded>();
  const auto freed = bytes_ending_in(self, x.cut);
  write(self, {commit_record(state.parts.job, next_part(*state.open), wall_ns(state.parts.world))}, answer,
        [self, answer, freed]() mutable {
          auto& mine = self->state;
          mine.parts.metrics->commits.Increment();
          note_delay(mine);
          mine.dead_in_a_row = 0;
          mine.trouble.clear();
          tell_freed(self, freed);
          answer.deliver(recorded{});
          go_on(self);
        });
  return answer;
}

void split(buffer_self self, done_promise answer) {
  auto& state = self->state;
  auto halves = split_cut(state.parts.job, next_part(*state.open));
  auto changed = with_next_part(*state.open, {halves.front, halves.back});
  write(self, {cut_record(state.parts.job, changed)}, answer, [self, answer]() mutable {
    answer.deliver(recorded{});
    go_on(self);
  });
}

void dead_letter(buffer_self self, const refuse_cut& x, done_promise answer) {
  auto& state = self->state;
  auto records = dead_letter_records(*state.parts.store, state.parts.job, next_part(*state.open), x.status, x.reason,
                                     wall_ns(state.parts.world));
  if (!records) {
    answer.deliver(std::move(records.error()));
    return;
  }
  ++state.dead_in_a_row;
  const auto freed = bytes_ending_in(self, x.cut);
  const auto events = x.cut.count;
  write(self, std::move(*records), answer, [self, answer, freed, events]() mutable {
    log::warn("dead-letter", "job {}: {} event(s) were refused for good and set apart as dead letters",
              number(self->state.parts.job), events);
    tell_freed(self, freed);
    answer.deliver(recorded{});
    go_on(self);
  });
}

caf::result<recorded> refuse(buffer_self self, const refuse_cut& x) {
  auto& state = self->state;
  if (!holds(state, x.cut))
    return make_error(errc::lease_lost);
  auto answer = self->make_response_promise<recorded>();
  if (x.cut.count > 1) {
    split(self, answer);
  } else if (x.destination_accepts || state.dead_in_a_row < state.parts.settings.max_dead_in_a_row) {
    dead_letter(self, x, answer);
  } else {
    // It refuses everything: not these events are at fault. They wait, as for a destination that is down.
    state.trouble = x.reason;
    state.wanted = false;
    self->delayed_send(self, retry_after_dead_end, jobs_due{});
    answer.deliver(recorded{});
  }
  return answer;
}

caf::result<recorded> rename(buffer_self self, const rename_cut& x) {
  auto& state = self->state;
  if (!holds(state, x.cut))
    return make_error(errc::lease_lost);
  auto answer = self->make_response_promise<recorded>();
  auto part = next_part(*state.open);
  log::error("object-name-taken", "job {}: another object is at its destination under the name {}",
             number(state.parts.job), part.object_name());
  part.set_long_hash(true);
  part.set_object_name(renamed_object(part.object_name(), state.parts.job, x.cut, true));
  const auto changed = state.open->replaced_by().empty() ? part : with_next_part(*state.open, {part});
  write(self, {cut_record(state.parts.job, changed)}, answer, [self, answer]() mutable {
    answer.deliver(recorded{});
    go_on(self);
  });
  return answer;
}

void keep_up(buffer_self self) {
  auto& state = self->state;
  self->delayed_send(self, upkeep_step, upkeep_tick{});
  if (state.removing) {
    remove(self);
    return;
  }
  expire(self);
  expire_dead_letters(self);
  if (state.wanted) {
    want_push(self); // a pusher that was restarted has forgotten us; one that was not keeps our place
  } else if (!state.writing && !state.open
             && self->clock().now() - state.idle_since >= state.parts.settings.passivate_after) {
    state.parts.directory->buffers().tell(leaving{state.parts.job, state.heard});
  }
}

} // namespace

buffer_actor::behavior_type buffer(buffer_self self, buffer_parts parts) {
  set_guard_rails(self, "buffer");
  auto& state = self->state;
  state.parts = std::move(parts);
  if (const auto job = state.parts.store->job(state.parts.job))
    state.open = job->open_cut;
  state.idle_since = self->clock().now();
  self->send(self, upkeep_tick{}); // it may have been woken for what is too old
  // Whoever starts one has something for it; after a crash, nobody else would remind it.
  want_push(self);
  return {
      [self](const jobs_due& due) {
        if (!due.jobs.empty())
          ++self->state.heard;
        want_push(self);
      },
      [self](caf::get_atom) { return lease_cut(self); },
      [self](const read_window& x) { return read(self, x); },
      [self](const commit_cut& x) { return commit(self, x); },
      [self](const refuse_cut& x) { return refuse(self, x); },
      [self](const rename_cut& x) { return rename(self, x); },
      [self](const push_health& x) { self->state.trouble = x.error; },
      [self](const snapshot_ptr& snapshot) {
        auto& mine = self->state;
        mine.parts.snapshot = snapshot;
        if (snapshot->find_job(mine.parts.job))
          mine.removing.reset();
        if (mine.open)
          want_push(self);
      },
      [self](const remove_events& x) {
        self->state.removing = x;
        remove(self);
      },
      [self](upkeep_tick) { keep_up(self); },
  };
}

} // namespace weir
