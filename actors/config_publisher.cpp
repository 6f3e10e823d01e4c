#include "actors/config_publisher.hpp"

#include <algorithm>

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using publisher_self = bounded_pointer<config_publisher_actor, config_publisher_state>;

constexpr std::chrono::milliseconds step{100}; // A tenth of the second within which a change is seen.
/// A flood of change notices costs one reading in this time, like no change at all.
constexpr std::chrono::milliseconds between_readings{500};
constexpr std::chrono::hours between_traffic{1};

publication_moment now_of(publisher_self self) {
  return {self->state.parts.clock->steady(), self->state.parts.clock->wall()};
}

void hand_out(publisher_self self, const publication_effect& effect) {
  auto& state = self->state;
  auto offer = std::make_shared<config_offer>();
  offer->snapshot = effect.snapshot;
  offer->approved = effect.approved;
  offer->explained = effect.explained;
  offer->answer = [to = config_publisher_actor{self}, role = effect.role, index = effect.index,
                   attempt = effect.attempt](config_answer answer) {
    caf::anon_send(to, role_answered{role, index, attempt, std::move(answer)});
  };
  const bool there = effect.role == offered_role::receiver
                         ? state.parts.targets->offer_to_receiver(effect.index, std::move(offer))
                         : state.parts.targets->offer_to_forwarder(effect.index, std::move(offer));
  if (!there)
    state.publication->not_there(effect.role, effect.index, effect.attempt);
}

void do_effects(publisher_self self) {
  auto& state = self->state;
  auto& targets = *state.parts.targets;
  for (const auto& effect : state.publication->take_effects())
    switch (effect.what) {
      case publication_effect::kind::offer:
        hand_out(self, effect);
        break;
      case publication_effect::kind::apply_to_buffers:
        targets.apply_to_buffers(effect.snapshot);
        break;
      case publication_effect::kind::apply_to_intake:
        targets.apply_to_intake(effect.snapshot);
        break;
      case publication_effect::kind::keep_last_known_good:
        state.publication->kept_last_known_good(targets.keep_last_known_good(effect.snapshot), now_of(self));
        break;
    }
  if (state.publication->wants_reading())
    state.next_reading = now_of(self).steady;
  state.parts.desk->show(state.publication->view(now_of(self)));
}

void read_source(publisher_self self) {
  auto& state = self->state;
  const auto now = now_of(self);
  if (now.steady < state.next_reading)
    return;
  state.last_reading = now.steady;
  state.next_reading = now.steady + state.parts.settings.publication.interval;
  state.publication->roles_have(state.parts.targets->receiver_versions(), state.parts.targets->forwarder_versions());
  auto reading = state.parts.source();
  state.publication->regenerated(std::move(reading), now_of(self));
}

void tick(publisher_self self) {
  auto& state = self->state;
  const auto now = now_of(self);
  if (now.steady >= state.next_traffic) {
    state.next_traffic = now.steady + between_traffic;
    state.publication->traffic(state.parts.targets->traffic(), now);
  }
  read_source(self);
  state.publication->tick(state.parts.targets->health(), now_of(self));
  do_effects(self);
  self->delayed_send(self, step, publisher_tick{});
}

/// Has everything ready, or says why it cannot work.
caf::error begin(publisher_self self) {
  auto& state = self->state;
  const auto now = now_of(self);
  auto opened = config_history::open(state.parts.history_file, state.parts.limits, now.wall);
  if (!opened.set_aside.empty()) {
    state.parts.metrics->history_failures.Increment();
    log::error("config-history-damaged",
               "the config's history was damaged and is set aside as {}; what is in force is "
               "not touched, but versions, audit trail and approvals of before are only there",
               opened.set_aside);
  }
  if (!opened.history) {
    state.parts.metrics->history_failures.Increment();
    log::error("config-history-failed", "nothing is published, because there is no history to write: {}",
               opened.problem);
    return make_error(errc::store_failed, opened.problem);
  }
  state.history = std::move(opened.history);
  state.publication = std::make_unique<config_publication>(state.parts.settings, *state.history, *state.parts.metrics,
                                                           state.parts.targets->in_force(), now);
  state.publication->roles_have(state.parts.targets->receiver_versions(), state.parts.targets->forwarder_versions());
  state.publication->take_over(now);
  state.next_reading = state.next_traffic = now.steady;
  return caf::none;
}

} // namespace

config_publisher_actor::behavior_type config_publisher(publisher_self self, config_publisher_parts parts) {
  set_guard_rails(self, "config_publisher");
  self->state.parts = std::move(parts);
  self->state.parts.settings.signer = self->state.parts.signer.get();
  if (auto why = begin(self)) {
    self->quit(std::move(why));
    return config_publisher_actor::behavior_type::make_empty_behavior();
  }
  self->send(self, publisher_tick{});
  return {
      [self](source_changed) {
        auto& state = self->state;
        state.next_reading =
            std::min(state.next_reading, std::max(now_of(self).steady, state.last_reading + between_readings));
      },
      [self](const config_order_ptr& order) {
        auto result = self->state.publication->order(order->command, now_of(self));
        do_effects(self);
        if (order->answer)
          order->answer(std::move(result));
      },
      [self](const config_question_ptr& question) { question->ask(*self->state.publication, *self->state.history); },
      [self](const role_answered& x) {
        self->state.publication->answered(x.role, x.index, x.attempt, x.answer);
        self->state.publication->tick(self->state.parts.targets->health(), now_of(self));
        do_effects(self);
      },
      [self](publisher_tick) { tick(self); },
  };
}

} // namespace weir
