#include <caf/all.hpp>

#include "actors/buffer_records.hpp"
#include "actors/buffer_steps.hpp"
#include "telemetry/log.hpp"

// How events end without delivery: by age, or because their job is gone.

namespace weir {

namespace {

/// Of a record for which nobody waits: if it fails, the next tick tries again.
struct nobody {
  void deliver(const caf::error&) const {}
};

/// Ends events without delivery; `then` once that is durable.
template <class Then>
void end_undelivered(buffer_self self, const sequence_range& range, proto::Trim::Reason reason, Then then) {
  auto& state = self->state;
  const auto freed = bytes_ending_in(self, range);
  // What the open cut held, the shard has counted off already.
  const auto of_cut = state.open && generation{state.open->generation()} == range.generation
                          ? std::min(range.end(), state.open->first() + state.open->count()) - range.first
                          : 0;
  write(self, {trim_record(state.parts.job, range, reason)}, nobody{}, [self, range, freed, of_cut, then]() mutable {
    auto& mine = self->state;
    mine.parts.directory->shard(mine.parts.directory->shard_of(mine.parts.job))
        .tell(cut_made{mine.parts.job, range.count - std::min(of_cut, range.count), 0});
    tell_freed(self, freed);
    const auto job = mine.parts.store->job(mine.parts.job);
    mine.open = job ? job->open_cut : std::nullopt;
    then();
    if (!mine.wanted)
      rest(self);
  });
}

void remove_dead_letters(buffer_self self) {
  auto letters = all_dead_letters(*self->state.parts.store, self->state.parts.job);
  write(self, std::move(letters.records), nobody{}, [self, bytes = letters.bytes]() mutable {
    tell_freed(self, bytes);
    remove(self);
  });
}

void tell_removed(buffer_self self) {
  auto& state = self->state;
  const auto events = std::exchange(state.removed_events, 0);
  if (events > 0 && state.removing->deleted)
    log::info("job-removed", "job {}: {} undelivered events were removed with the job, which its owner deleted",
              number(state.parts.job), events);
  else if (events > 0)
    log::error("job-removed", "job {}: {} undelivered events expired: the job did not come back from its hold",
               number(state.parts.job), events);
}

} // namespace

void expire(buffer_self self) {
  auto& state = self->state;
  const auto now = careful_wall_ns(state.parts.world, state.parts.began) / 1'000'000'000;
  const auto max_age = static_cast<std::uint64_t>(state.parts.settings.max_age.count());
  if (state.writing || now < max_age)
    return;
  const auto expired = expired_range(*state.parts.store, state.parts.job, state.open, now - max_age);
  if (!expired)
    return;
  end_undelivered(self, *expired, proto::Trim::EXPIRED, [self, events = expired->count] {
    auto& mine = self->state;
    log::error("events-expired", "job {}: {} events expired undelivered after {} s", number(mine.parts.job), events,
               mine.parts.settings.max_age.count());
    mine.parts.metrics->expired_events.Increment(static_cast<double>(events));
  });
}

void expire_dead_letters(buffer_self self) {
  auto& state = self->state;
  const auto now = careful_wall_ns(state.parts.world, state.parts.began);
  const auto age = static_cast<std::uint64_t>(std::chrono::nanoseconds{state.parts.settings.dead_letter_age}.count());
  if (state.writing || now < age)
    return;
  auto expired = expired_dead_letters(*state.parts.store, state.parts.job, now - age);
  if (expired.records.empty())
    return;
  const auto letters = expired.records.size();
  write(self, std::move(expired.records), nobody{}, [self, letters, bytes = expired.bytes]() mutable {
    log::warn("dead-letters-expired", "job {}: {} dead letters were removed after {} s", number(self->state.parts.job),
              letters, self->state.parts.settings.dead_letter_age.count());
    self->state.parts.metrics->expired_dead_letters.Increment(static_cast<double>(letters));
    tell_freed(self, bytes);
  });
}

void remove(buffer_self self) {
  auto& state = self->state;
  if (!state.removing || state.writing)
    return; // taken back, or goes on with the next tick
  const bool deleted = state.removing->deleted;
  if (const auto next = expired_range(*state.parts.store, state.parts.job, state.open, of_any_age)) {
    end_undelivered(self, *next, deleted ? proto::Trim::DELETED : proto::Trim::EXPIRED,
                    [self, deleted, events = next->count] {
                      auto& mine = self->state;
                      mine.removed_events += events;
                      (deleted ? mine.parts.metrics->deleted_events : mine.parts.metrics->expired_events)
                          .Increment(static_cast<double>(events));
                      remove(self);
                    });
  } else if (deleted && !state.parts.store->dead_letters(state.parts.job, 1).empty()) {
    remove_dead_letters(self);
  } else {
    tell_removed(self);
    state.parts.directory->buffers().tell(leaving{state.parts.job, state.heard});
  }
}

} // namespace weir
