#include "actors/receiver.hpp"

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"

namespace weir {

namespace {

using receiver_self = bounded_pointer<receiver_actor, receiver_state>;

/// How many events that were.
std::uint64_t shed_all(slice_batch& slices) {
  std::uint64_t events = 0;
  for (auto& x : slices.slices) {
    events += x.lines;
    x.duty.shed(x.job, shed_reason::no_credit, x.lines, x.scope);
  }
  return events;
}

std::uint64_t bytes_of(const slice_batch& slices) {
  std::uint64_t sum = 0;
  for (const auto& x : slices.slices)
    sum += x.bytes;
  return sum;
}

void receive(receiver_self self, const routed_batch_ptr& routed) {
  auto& state = self->state;
  if (state.snapshot->version == config_version{})
    return; // no config yet: the unsettled receipt answers 503
  auto sorted = state.sorter->split(*routed, state.snapshot, state.leaving);
  auto& metrics = *state.parts.metrics;
  metrics.bodies.Increment();
  metrics.slices.Increment(static_cast<double>(sorted.slices));
  metrics.offered_events.Increment(static_cast<double>(sorted.offered));
  if (sorted.shed_share > 0)
    metrics.shed_events[shed_reason::tenant_share].Increment(static_cast<double>(sorted.shed_share));
  if (sorted.shed_memory > 0)
    metrics.shed_events[shed_reason::memory].Increment(static_cast<double>(sorted.shed_memory));
  if (sorted.not_entitled > 0) {
    metrics.not_entitled_events.Increment(static_cast<double>(sorted.not_entitled));
    // The forwarder counted them as offered: take that back (the sums are modulo 2^64).
    auto& receipt = routed->origin->root.of();
    receipt.count({{}, ledger_entry::kind::not_entitled, 0, sorted.not_entitled});
    receipt.count({{}, ledger_entry::kind::offered, 0, 0 - sorted.not_entitled});
  }
  auto& body = *routed->origin;
  // The shards have everything that is to come of this body: whoever waits for company may stop.
  // Before they are told, so that the last of them finds it so.
  body.on_the_way.release();
  for (auto& [index, slices] : sorted.batches) {
    const auto shard = state.parts.directory->shard(index);
    auto edge = shard ? credit::acquire(shard.window, bytes_of(*slices)) : std::nullopt;
    if (!edge) {
      metrics.shed_events[shed_reason::no_credit].Increment(static_cast<double>(shed_all(*slices)));
      continue;
    }
    slices->edge = std::move(*edge);
    shard.tell(std::move(slices));
  }
  body.root.settle();
}

void take_what_is_in_force(receiver_self self) {
  auto mine = self->state.parts.judge.in_force();
  self->state.snapshot = std::move(mine.in_force);
  self->state.leaving = std::move(mine.leaving);
}

} // namespace

receiver_actor::behavior_type receiver(receiver_self self, receiver_parts parts) {
  set_guard_rails(self, "receiver");
  auto directory = parts.directory;
  self->state.sorter = std::make_unique<demultiplexer>(
      directory->shard_count(), [directory](job_id job) { return directory->shard_of(job); }, parts.memory,
      parts.shares);
  self->state.parts = std::move(parts);
  take_what_is_in_force(self);
  return {
      [self](const routed_batch_ptr& routed) { receive(self, routed); },
      [self](const snapshot_ptr&) { take_what_is_in_force(self); },
      [self](const config_offer_ptr& offer) {
        self->state.parts.judge.consider(*offer);
        take_what_is_in_force(self);
      },
  };
}

} // namespace weir
