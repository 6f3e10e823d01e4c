#include "actors/forwarder.hpp"

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"

namespace weir {

namespace {

using forwarder_self = bounded_pointer<forwarder_actor, forwarder_state>;

/// Every job that wanted a part of the body is refused it for now.
void shed_all(const routed_batch& routed, const config_snapshot& snapshot) {
  for (const auto& group : routed.groups)
    for (const auto& entry : snapshot.table.entries(group.entry)) {
      ticket duty{routed.origin->root.shared()};
      duty.shed(entry.job, shed_reason::no_credit, group.lines, group.scope);
    }
}

void forward(forwarder_self self, const batch_ptr& body) {
  auto& state = self->state;
  auto& metrics = *state.parts.metrics;
  metrics.bodies.Increment();
  if (state.snapshot->version == config_version{} || body->dataset >= state.snapshot->datasets.size())
    return; // no config yet: the unsettled receipt answers 503
  auto routed = std::make_shared<routed_batch>();
  routed->origin = body;
  routed->version = state.snapshot->version;
  routed->epoch = state.snapshot->epoch;
  routed->snapshot = state.snapshot;
  const auto counts = state.router->route(*body, *state.snapshot, *routed);
  metrics.received_events.Increment(static_cast<double>(counts.received));
  metrics.not_entitled_events.Increment(static_cast<double>(counts.not_entitled));
  for (std::size_t i = 0; counts.rejected > 0 && i < reject_reason_count; ++i)
    metrics.rejected_events[static_cast<reject_reason>(i)].Increment(static_cast<double>(counts.rejected_by[i]));
  if (routed->groups.empty()) {
    body->root.settle();
    return;
  }
  const auto receiver = state.parts.directory->receiver(state.parts.index % state.parts.directory->receiver_count());
  auto edge = receiver ? credit::acquire(receiver.window, body->bytes->size()) : std::nullopt;
  if (!edge) {
    metrics.no_credit_bodies.Increment();
    shed_all(*routed, *state.snapshot);
    body->root.settle();
    return;
  }
  routed->edge = std::move(*edge);
  receiver.tell(std::move(routed));
}

} // namespace

forwarder_actor::behavior_type forwarder(forwarder_self self, forwarder_parts parts) {
  set_guard_rails(self, "forwarder");
  self->state.router = std::make_unique<body_router>(parts.limits);
  self->state.parts = std::move(parts);
  self->state.snapshot = self->state.parts.judge.in_force().in_force;
  return {
      [self](const batch_ptr& body) { forward(self, body); },
      [self](const snapshot_ptr&) { self->state.snapshot = self->state.parts.judge.in_force().in_force; },
      [self](const config_offer_ptr& offer) {
        self->state.parts.judge.consider(*offer);
        self->state.snapshot = self->state.parts.judge.in_force().in_force;
      },
  };
}

} // namespace weir
