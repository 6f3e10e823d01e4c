#include "actors/shard.hpp"

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"
#include "config/config_snapshot.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using shard_self = bounded_pointer<shard_actor, shard_actor_state>;

constexpr std::size_t seals_per_step = 16;
constexpr std::size_t comparisons_per_step = 256;
constexpr std::size_t reclaims_per_step = 8'192;  // 500,000 jobs are seen every 6 s, and only after a flood
constexpr std::chrono::seconds reclaim_after{10}; // so that a job which comes and goes is not opened each time
constexpr std::size_t levels_per_step = 4'096;    // about 0.1 ms; 500,000 jobs are seen every 12 s
constexpr std::uint64_t group_bytes = 512 << 10;  // design section 4: groups of 256 KiB to 1 MiB
constexpr std::chrono::milliseconds linger_step{10};
constexpr std::chrono::milliseconds upkeep_step{100};
constexpr std::chrono::seconds recovery_patience{30};

void count_sealed(shard_metrics& metrics, const sealed_group& group) {
  std::uint64_t events = 0;
  std::uint64_t raw = 0;
  for (const auto& block : group.blocks) {
    events += block.range.count;
    raw += block.raw_bytes;
  }
  metrics.sealed_events.Increment(static_cast<double>(events));
  metrics.sealed_raw_bytes.Increment(static_cast<double>(raw));
  metrics.sealed_bytes.Increment(static_cast<double>(group.bytes));
}

void show_counts(shard_self self) {
  auto& state = self->state;
  auto& metrics = *state.parts.metrics;
  const auto counts = state.data->take_counts();
  const auto add = [](prometheus::Counter& to, std::uint64_t more) {
    if (more > 0)
      to.Increment(static_cast<double>(more));
  };
  for (std::size_t i = 0; i < seal_trigger_count; ++i)
    add(metrics.sealed_blocks[static_cast<seal_trigger>(i)], counts.sealed_blocks[i]);
  for (std::size_t i = 0; i < shed_reason_count; ++i) {
    add(metrics.shed_events[static_cast<shed_reason>(i)], counts.shed_events[i]);
    add(metrics.refused_buffers[static_cast<shed_reason>(i)], counts.refused_buffers[i]);
  }
  add(metrics.created_buffers, counts.created_buffers);
  add(metrics.repeated_events, counts.repeated_events);
  state.open_bytes->set(static_cast<double>(state.data->open_bytes()));
  state.open_blocks->set(static_cast<double>(state.data->open_blocks()));
  state.jobs->set(static_cast<double>(state.data->jobs()));
  const auto& levels = state.data->look_at_levels(levels_per_step);
  for (std::size_t i = 0; i < buffer_level_count; ++i)
    state.filling_jobs[i]->set(static_cast<double>(levels[i]));
}

/// What was under way at a writer that died is lost, and with it the proof of the numbers behind it.
bool has_lost_writer(shard_self self) {
  auto& state = self->state;
  const auto writer = state.parts.directory->writer();
  if (!state.ready || !writer || writer.actor.id() == state.writer)
    return false;
  state.set_ready(false);
  self->quit(make_error(errc::store_failed, "the store writer was replaced; the shard begins anew"));
  return true;
}

void send_sealed(shard_self self) {
  auto& state = self->state;
  auto writer = state.parts.directory->writer();
  while (writer && state.data->sealed_bytes() > 0) {
    auto edge = credit::acquire(state.parts.writer_window, std::min(state.data->sealed_bytes(), group_bytes));
    if (!edge)
      return; // goes on when a group comes back
    auto group = state.data->take_sealed(group_bytes);
    count_sealed(*state.parts.metrics, *group);
    group->from = self;
    group->edge = std::move(*edge);
    writer.tell(std::move(group));
  }
}

void announce_due(shard_self self) {
  auto& state = self->state;
  const auto buffers = state.parts.directory->buffers();
  if (!buffers)
    return; // what is due waits
  const auto now = self->clock().now();
  if (const auto id = buffers.actor.id(); id != state.announced_to) {
    if (state.announced_to != 0)
      state.data->announce_again();
    state.announced_to = id;
  }
  jobs_due due;
  state.data->take_due(now, due.jobs);
  if (!due.jobs.empty())
    buffers.tell(std::move(due));
}

/// Events that no cut has taken.
std::uint64_t uncut(const store::job_state& job) {
  if (!job.open_cut)
    return job.buffered_events;
  const auto& cut = *job.open_cut;
  std::uint64_t taken = cut.replaced_by().empty() ? cut.count() : 0;
  for (const auto& part : cut.replaced_by())
    taken += part.count();
  return job.buffered_events - std::min(taken, job.buffered_events);
}

void compare_with_store(shard_self self, std::size_t most) {
  auto& state = self->state;
  for (const auto job : state.data->take_unsure(most)) {
    const auto known = state.parts.store->job(job);
    const auto events = known ? uncut(*known) : 0;
    state.data->compare(job, events, known ? known->buffered_bytes : 0, self->clock().now());
  }
}

void answer_drain(shard_self self) {
  auto& state = self->state;
  if (!state.draining.pending())
    return;
  if (state.data->anything_open() || state.data->sealed_bytes() > 0 || state.data->groups_under_way() > 0)
    return;
  state.data->hasten();
  announce_due(self);
  state.draining.deliver(drained{});
}

/// Seals what should wait no longer and hands it on; keeps the timer running while anything is open.
void move_on(shard_self self) {
  auto& state = self->state;
  if (has_lost_writer(self))
    return;
  // When nothing else is coming, waiting for company is of no use: seal at once.
  const bool alone = state.parts.on_the_way->used().messages == 0 && self->mailbox().size() <= 1;
  const bool more = state.data->seal_waiting(self->clock().now(), alone || state.draining.pending(), seals_per_step);
  send_sealed(self);
  if (more) {
    self->send(self, linger_tick{});
  } else if (state.data->anything_open() && !state.ticking) {
    state.ticking = true;
    self->delayed_send(self, linger_step, linger_tick{});
  }
  answer_drain(self);
}

void take_slices(shard_self self, const slice_batch_ptr& slices) {
  auto& state = self->state;
  if (!state.ready) {
    std::uint64_t events = 0;
    for (auto& x : slices->slices) {
      events += x.lines;
      x.duty.shed(x.job, shed_reason::no_credit, x.lines, x.scope);
    }
    state.parts.metrics->shed_events[shed_reason::no_credit].Increment(static_cast<double>(events));
    return;
  }
  state.data->take(slices, self->clock().now());
  move_on(self);
}

tenant_key key_of(std::string_view tenant) {
  return std::hash<std::string_view>{}(tenant) | 1; // never 0, which is nobody's
}

void configure(shard_self self, const snapshot_ptr& snapshot) {
  auto& state = self->state;
  state.snapshot = snapshot;
  const auto fallback = state.parts.settings.default_quota_bytes;
  const auto of_hold = state.parts.settings.hold_bytes;
  state.data->configure(
      [snapshot, fallback, of_hold](job_id job) {
        job_limits limits;
        limits.quota_bytes = fallback;
        const auto settings = snapshot->find_job(job);
        // A job that vanished is on hold: its events stay, more come up to a bound, and none are pushed.
        limits.pushed = settings && settings->entitled();
        limits.kept = settings && !settings->on_hold();
        if (settings) {
          limits.tenant = key_of(snapshot->tenants.name(settings->tenant));
          limits.revision = settings->revision;
          limits.quota_bytes =
              settings->on_hold() ? std::min(settings->max_buffer_bytes, of_hold) : settings->max_buffer_bytes;
          limits.interval = settings->max_upload_interval;
          limits.max_events = settings->max_upload_records;
          limits.max_bytes = settings->max_upload_bytes;
        }
        return limits;
      },
      self->clock().now(),
      [snapshot](job_id job) {
        const auto settings = snapshot->find_job(job);
        const auto scope = settings ? settings->scope : std::string_view{};
        return std::string{scope.substr(scope.find('/') + 1)};
      });
  announce_due(self);
}

void recover(shard_self self) {
  auto& state = self->state;
  const auto& parts = state.parts;
  std::vector<store::job_state> mine;
  for (auto& job : parts.store->jobs())
    if (parts.directory->shard_of(job.job) == parts.index)
      mine.push_back(std::move(job));
  std::vector<store::known_slice> known;
  for (const auto& x : parts.store->known_slices())
    if (parts.directory->shard_of(x.job) == parts.index)
      known.push_back(x);
  state.data->recover(mine, known, self->clock().now());
  state.data->ask_what_is_known([store = parts.store](job_id job) { return store->job(job); });
  state.data->ask_whether_done([store = parts.store](const batch_id& id) { return store->done(id).has_value(); });
  state.set_ready(true);
  announce_due(self);
}

/// What a predecessor left at the writer comes first; only then does the store tell the truth.
void begin(shard_self self) {
  auto& state = self->state;
  auto writer = state.parts.directory->writer();
  if (!writer) {
    self->delayed_send(self, upkeep_step, linger_tick{});
    return;
  }
  state.beginning = true;
  state.writer = writer.actor.id();
  self->request(writer.actor, recovery_patience, drain{})
      .then([self](drained) { recover(self); },
            [self](const caf::error& why) {
              log::warn("shard-not-recovered", "shard {} could not drain the store writer and tries again: {}",
                        self->state.parts.index, self->system().render(why));
              self->state.beginning = false;
              self->delayed_send(self, upkeep_step, linger_tick{});
            });
}

} // namespace

shard_actor::behavior_type shard(shard_self self, shard_parts parts) {
  set_guard_rails(self, "shard");
  auto& state = self->state;
  state.data = std::make_unique<shard_state>(parts.settings, parts.world, parts.admission, parts.status);
  state.parts = std::move(parts);
  state.open_bytes.emplace(state.parts.metrics->open_bytes);
  state.open_blocks.emplace(state.parts.metrics->open_blocks);
  state.jobs.emplace(state.parts.metrics->jobs);
  for (std::size_t i = 0; i < buffer_level_count; ++i)
    state.filling_jobs[i].emplace(state.parts.metrics->filling_jobs[static_cast<buffer_level>(i)]);
  begin(self);
  self->delayed_send(self, upkeep_step, upkeep_tick{});
  return {
      [self](const slice_batch_ptr& slices) { take_slices(self, slices); },
      [self](const sealed_group_ptr& group) {
        self->state.data->returned(*group, self->clock().now());
        if (group->durable)
          self->state.parts.metrics->durable_seconds.Observe(
              std::chrono::duration<double>(self->clock().now() - group->since).count());
        group->edge.release();
        if (self->state.data->groups_under_way() == 0)
          compare_with_store(self, comparisons_per_step);
        announce_due(self);
        move_on(self);
      },
      [self](const snapshot_ptr& snapshot) { configure(self, snapshot); },
      [self](const batches_done& done) { self->state.data->forget(done); },
      [self](const cut_made& cut) { self->state.data->apply(cut, self->clock().now()); },
      [self](const space_freed& freed) { self->state.data->apply(freed); },
      [self](const backlog_taken& taken) {
        self->state.data->apply(taken, self->clock().now());
        compare_with_store(self, 1);
        announce_due(self);
      },
      [self](drain) -> caf::result<drained> {
        self->state.draining = self->make_response_promise<drained>();
        auto answer = self->state.draining;
        move_on(self);
        return answer;
      },
      [self](linger_tick) {
        self->state.ticking = false;
        if (self->state.ready)
          move_on(self);
        else if (!self->state.beginning)
          begin(self);
      },
      [self](upkeep_tick) {
        auto& mine = self->state;
        if (has_lost_writer(self))
          return;
        if (mine.ready && mine.data->groups_under_way() == 0)
          compare_with_store(self, comparisons_per_step);
        announce_due(self);
        if (mine.ready)
          mine.data->reclaim(reclaims_per_step, self->clock().now(), reclaim_after);
        show_counts(self);
        self->delayed_send(self, upkeep_step, upkeep_tick{});
      },
  };
}

} // namespace weir
