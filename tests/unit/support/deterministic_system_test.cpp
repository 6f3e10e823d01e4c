#include "tests/support/deterministic_system.hpp"

#include <string>

#include <doctest/doctest.h>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

using namespace std::chrono_literals;
using weir::deterministic_system;

namespace {

struct poke {
  int by = 0;
};
struct tick {};

using counter_actor =
    caf::typed_actor<caf::reacts_to<poke>, caf::reacts_to<tick>, caf::replies_to<caf::get_atom>::with<int>,
                     caf::replies_to<caf::put_atom>::with<caf::unit_t>>;
struct counter_state {
  int count = 0;
};

/// Counts pokes, and ticks every second; refuses to put.
counter_actor::behavior_type counter(counter_actor::stateful_pointer<counter_state> self, int start) {
  self->state.count = start;
  self->delayed_send(self, 1s, tick{});
  return {
      [self](const poke& x) { self->state.count += x.by; },
      [self](tick) {
        ++self->state.count;
        self->delayed_send(self, 1s, tick{});
      },
      [self](caf::get_atom) { return self->state.count; },
      [self](caf::put_atom) -> caf::result<caf::unit_t> {
        if (self->state.count > 0)
          return caf::unit;
        return weir::make_error(weir::errc::busy, "later");
      },
  };
}

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(poke)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tick)

TEST_CASE_FIXTURE(deterministic_system, "time passes only when told to, for actors and for the clock alike") {
  auto counting = owned(system.spawn(counter, 0));
  auto before = clock->steady();
  CHECK_EQ(*ask<int>(counting, caf::get_atom::value), 0);
  advance(999ms);
  CHECK_EQ(*ask<int>(counting, caf::get_atom::value), 0);
  advance(1ms);
  CHECK_EQ(*ask<int>(counting, caf::get_atom::value), 1);
  advance(1h);
  CHECK_EQ(*ask<int>(counting, caf::get_atom::value), 3601);
  CHECK((clock->steady() - before == 1h + 1s));
}

TEST_CASE_FIXTURE(deterministic_system, "an answer without a value is an order that was carried out or refused") {
  auto counting = owned(system.spawn(counter, 0));
  auto refused = order(counting, caf::put_atom::value);
  CHECK_EQ(weir::code_of(refused), weir::errc::busy);
  CHECK_EQ(system.render(refused), "busy(\"later\")");
  tell(counting, poke{2});
  CHECK_FALSE(order(counting, caf::put_atom::value));
  CHECK_EQ(*ask<int>(counting, caf::get_atom::value), 2);
}

TEST_CASE_FIXTURE(deterministic_system, "a question that nobody answers does not stop the test") {
  auto silent = owned(
      system.spawn([](caf::event_based_actor* me,
                      int) -> caf::behavior { return {[me](caf::get_atom) { return me->make_response_promise(); }}; },
                   0));
  auto answer = ask_later<int>(silent, caf::get_atom::value);
  advance(1min);
  CHECK_FALSE(answer.answered());
  CHECK_EQ(answer.get().error(), caf::error{caf::sec::request_timeout});
}

TEST_CASE_FIXTURE(deterministic_system, "a killed actor is gone at once, whatever waits in its mailbox") {
  auto counting = owned(system.spawn(counter, 0));
  for (int i = 0; i < 100; ++i)
    caf::anon_send(counting, poke{1});
  CHECK_FALSE(ended(counting));
  kill(counting);
  CHECK(ended(counting));
  CHECK_EQ(ask<int>(counting, caf::get_atom::value).error(), caf::error{caf::sec::request_receiver_down});
}

TEST_CASE("the order of ready actors follows from the seed, and differs between seeds") {
  auto order_of = [](std::uint64_t seed) {
    std::string seen;
    deterministic_system world;
    world.shuffle(seed);
    for (auto name : {'a', 'b', 'c', 'd', 'e', 'f'}) {
      auto actor = world.owned(
          world.system.spawn([&seen, name](caf::event_based_actor*,
                                           int) -> caf::behavior { return {[&seen, name](tick) { seen += name; }}; },
                             0));
      caf::anon_send(actor, tick{});
    }
    world.run();
    return seen;
  };
  CHECK_EQ(order_of(1), order_of(1));
  CHECK_EQ(order_of(2), order_of(2));
  CHECK((order_of(1) != order_of(2) || order_of(1) != order_of(3)));
}
