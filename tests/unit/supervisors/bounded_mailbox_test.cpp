#include "actors/bounded_mailbox.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <caf/typed_actor.hpp>

#include "actors/guard_rails.hpp"
#include "messages/credit.hpp"
#include "messages/receipt.hpp"
#include "tests/support/deterministic_system.hpp"

using namespace std::chrono_literals;

namespace weir::test {

/// Sets a flag when the last copy is destroyed, as a ticket would.
struct duty {
  std::shared_ptr<int> held;
};
struct work {
  int number = 0;
};
/// What messages with events carry: the credit they were paid with and the duty to settle.
struct paid_work {
  credit paid;
  ticket duty;
};
using paid_work_ptr = std::shared_ptr<paid_work>;
struct tick {};
struct later {};
struct boom {};

} // namespace weir::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::duty)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::paid_work_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::later)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::boom)

namespace weir::test {

namespace {

using worker_actor = caf::typed_actor<caf::replies_to<work>::with<int>, caf::reacts_to<duty>, caf::reacts_to<tick>,
                                      caf::reacts_to<later>, caf::reacts_to<boom>>;

struct worker_state {
  static constexpr const char* name = "worker";
  static constexpr std::uint64_t mailbox_limit = 3;
  int handled = 0;
  int ticks = 0;
};

worker_actor::behavior_type worker(bounded_pointer<worker_actor, worker_state> self, int last_tick) {
  set_guard_rails(self, "worker");
  return {
      [self](work x) {
        ++self->state.handled;
        return x.number;
      },
      [self](const duty&) { ++self->state.handled; },
      [self, last_tick](tick) {
        if (++self->state.ticks < last_tick)
          self->delayed_send(self, 1s, tick{});
      },
      [self](later) {
        for (int i = 0; i < 10; ++i)
          self->send(self, tick{});
      },
      [](boom) { throw std::runtime_error("boom"); },
  };
}

template <class Interface, class State>
bounded_actor<Interface, State>& inside(const Interface& handle) {
  return dynamic_cast<bounded_actor<Interface, State>&>(*caf::actor_cast<caf::abstract_actor*>(handle));
}

struct worker_fixture : deterministic_system {
  worker_actor actor = system.spawn(worker, 10);
  bounded_actor<worker_actor, worker_state>& in = inside<worker_actor, worker_state>(actor);
  worker_fixture() { run(); }
  ~worker_fixture() { kill(actor); }
};

} // namespace

TEST_CASE_FIXTURE(worker_fixture, "a full mailbox destroys plain messages at once, and takes again once drained") {
  auto held = std::make_shared<int>(0);
  for (int i = 0; i < 10; ++i)
    caf::anon_send(actor, duty{held});
  CHECK_EQ(in.backstop().depth(), 3);
  CHECK_EQ(in.backstop().refused(), 7);
  CHECK_EQ(held.use_count(), 4); // what was refused holds nothing any more
  run();
  CHECK_EQ(in.state.handled, 3);
  CHECK_EQ(in.backstop().depth(), 0);
  CHECK_EQ(held.use_count(), 1);
  caf::anon_send(actor, duty{held});
  run();
  CHECK_EQ(in.state.handled, 4);
}

TEST_CASE_FIXTURE(worker_fixture, "a request to a full mailbox is answered busy without waiting for its turn") {
  for (int i = 0; i < 3; ++i)
    caf::anon_send(actor, work{i});
  auto request = self->request(actor, caf::infinite, work{7});
  caf::error answer;
  request.receive([](int) { FAIL("was accepted"); }, [&](caf::error& x) { answer = x; });
  CHECK_EQ(code_of(answer), errc::busy);
  CHECK_EQ(in.state.handled, 0);
  run();
  CHECK_EQ(*ask<int>(actor, work{8}), 8);
}

TEST_CASE_FIXTURE(worker_fixture, "own timers pass a full mailbox") {
  caf::anon_send(actor, later{});
  run();
  CHECK_EQ(in.backstop().refused(), 0);
  CHECK_EQ(in.state.ticks, 10);
  CHECK_EQ(in.backstop().depth(), 0);
}

TEST_CASE_FIXTURE(worker_fixture, "urgent messages use a reserve of their own, which ends too") {
  for (int i = 0; i < 5; ++i)
    caf::anon_send(actor, work{i});
  for (std::uint64_t i = 0; i < mailbox_gauge::urgent_reserve + 5; ++i)
    caf::anon_send<caf::message_priority::high>(actor, work{0});
  CHECK_EQ(in.backstop().depth(), 3 + mailbox_gauge::urgent_reserve);
  CHECK_EQ(in.backstop().refused(), 2 + 5);
  run();
  CHECK_EQ(in.backstop().depth(), 0);
}

TEST_CASE_FIXTURE(worker_fixture, "exit and down messages pass a full mailbox") {
  for (int i = 0; i < 3; ++i)
    caf::anon_send(actor, work{i});
  caf::anon_send(caf::actor_cast<caf::actor>(actor), caf::down_msg{actor.address(), caf::exit_reason::kill});
  CHECK_EQ(in.backstop().refused(), 0);
  self->monitor(actor);
  caf::anon_send<caf::message_priority::high>(caf::actor_cast<caf::actor>(actor),
                                              caf::exit_msg{actor.address(), caf::exit_reason::kill});
  run();
  bool down = false;
  self->receive([&](const caf::down_msg&) { down = true; });
  CHECK(down);
}

TEST_CASE_FIXTURE(worker_fixture, "messages nobody handles give their slots back") {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3; ++i)
      caf::anon_send(caf::actor_cast<caf::actor>(actor), std::string{"what?"});
    CHECK_EQ(in.backstop().depth(), 3);
    run();
    CHECK_EQ(in.backstop().depth(), 0);
  }
  CHECK_EQ(in.backstop().refused(), 0);
}

TEST_CASE_FIXTURE(worker_fixture, "what waits in a dying actor's mailbox is destroyed, and requests are answered") {
  auto held = std::make_shared<int>(0);
  caf::anon_send(actor, boom{});
  caf::anon_send(actor, duty{held});
  auto request = self->request(actor, caf::infinite, work{7});
  run();
  caf::error answer;
  request.receive([](int) { FAIL("was answered"); }, [&](caf::error& x) { answer = x; });
  CHECK_EQ(answer, caf::sec::request_receiver_down);
  CHECK_EQ(held.use_count(), 1);
  CHECK_EQ(in.backstop().depth(), 0);
  for (int i = 0; i < 10; ++i)
    caf::anon_send(actor, duty{held});
  CHECK_EQ(held.use_count(), 1);
  CHECK_EQ(in.backstop().depth(), 0);
}

namespace {

struct payee_state {
  static constexpr const char* name = "payee";
  static constexpr std::uint64_t mailbox_limit = 2;
};

caf::behavior payee(bounded_event_actor<payee_state>* self, bool settles) {
  set_guard_rails(self, "payee");
  return {[settles](const paid_work_ptr& x) {
    if (!settles)
      throw std::runtime_error("in the middle of it");
    x->duty.durable(1);
  }};
}

caf::behavior deaf(bounded_event_actor<payee_state>* self, int) {
  set_guard_rails(self, "deaf");
  return {[](tick) {}};
}

} // namespace

TEST_CASE_FIXTURE(deterministic_system,
                  "however a message is destroyed, its credit flows back and its unsettled events fail their receipt") {
  auto window = std::make_shared<credit_window>(credit_window::limits{1000, 10});
  int done = 0;
  int failed = 0;
  const auto pay = [&](const caf::actor& whom) {
    auto taken = credit::acquire(window, 100);
    REQUIRE(taken);
    auto body = std::make_shared<receipt>([&](receipt& x) {
      ++done;
      failed += x.outcome().failed;
    });
    caf::anon_send(whom, std::make_shared<paid_work>(paid_work{std::move(*taken), ticket{body}}));
  };
  SUBCASE("handled") {
    auto actor = owned(system.spawn(payee, true));
    pay(actor);
    CHECK_EQ(window->used().bytes, 100);
    run();
    CHECK_EQ(done, 1);
    CHECK_EQ(failed, 0);
  }
  SUBCASE("refused by a full mailbox") {
    auto actor = owned(system.spawn(payee, true));
    for (int i = 0; i < 5; ++i)
      pay(actor);
    CHECK_EQ(failed, 3);
    CHECK_EQ(window->used().bytes, 200);
    run();
    CHECK_EQ(done, 5);
    CHECK_EQ(failed, 3);
  }
  SUBCASE("in the hands, and in the mailbox, of an actor that dies by an exception") {
    auto actor = owned(system.spawn(payee, false));
    pay(actor);
    pay(actor);
    run();
    CHECK_EQ(failed, 2);
  }
  SUBCASE("sent to an actor that is dead") {
    auto actor = owned(system.spawn(payee, true));
    kill(actor);
    pay(actor);
    CHECK_EQ(failed, 1);
  }
  SUBCASE("not understood") {
    auto actor = owned(system.spawn(deaf, 0));
    pay(actor);
    run();
    CHECK_EQ(failed, 1);
  }
  CHECK_EQ(window->used().bytes, 0);
  CHECK_EQ(window->used().messages, 0);
}

namespace {

struct skipper_state {
  static constexpr const char* name = "skipper";
  static constexpr std::uint64_t mailbox_limit = 4;
};

caf::behavior skipper(bounded_event_actor<skipper_state>* self, int* handled) {
  self->set_default_handler(caf::skip);
  return {[self, handled](tick) { self->become([handled](const work&) { ++*handled; }); }};
}

mailbox_summary summary_of(const std::string& role) {
  for (auto& x : mailbox_gauge::summarize())
    if (x.role == role)
      return x;
  return {};
}

} // namespace

TEST_CASE_FIXTURE(deterministic_system, "a skipped message keeps its slot until it is handled") {
  int handled = 0;
  auto actor = system.spawn(skipper, &handled);
  auto& in = dynamic_cast<bounded_event_actor<skipper_state>&>(*caf::actor_cast<caf::abstract_actor*>(actor));
  run();
  caf::anon_send(actor, work{1}, 1);
  caf::anon_send(actor, work{1});
  caf::anon_send(actor, work{2});
  run();
  CHECK_EQ(in.backstop().depth(), 3);
  caf::anon_send(actor, tick{});
  run();
  CHECK_EQ(handled, 2);
  CHECK_EQ(in.backstop().depth(), 1); // (work, int) still waits
  kill(actor);
}

TEST_CASE_FIXTURE(deterministic_system,
                  "metrics see the mailboxes of a role together, and forget the dead but not their refusals") {
  const auto refused_before = summary_of("worker").refused;
  auto one = system.spawn(worker, 10);
  auto two = system.spawn(worker, 10);
  run();
  for (int i = 0; i < 5; ++i)
    caf::anon_send(one, work{i});
  caf::anon_send(two, work{1});
  auto sum = summary_of("worker");
  CHECK_EQ(sum.mailboxes, 2);
  CHECK_EQ(sum.depth, 4);
  CHECK_EQ(sum.deepest, 3);
  CHECK_EQ(sum.limit, 3);
  CHECK_EQ(sum.fullest, doctest::Approx(1.0));
  CHECK_EQ(sum.refused, refused_before + 2);
  kill(one);
  kill(two);
  sum = summary_of("worker");
  CHECK_EQ(sum.mailboxes, 0);
  CHECK_EQ(sum.depth, 0);
  CHECK_EQ(sum.refused, refused_before + 2);
}

namespace {

struct counter_state {
  static constexpr const char* name = "counter";
  static constexpr std::uint64_t mailbox_limit = 64;
};
using counter_actor = caf::typed_actor<caf::reacts_to<duty>, caf::replies_to<work>::with<int>>;

counter_actor::behavior_type counter(bounded_pointer<counter_actor, counter_state> self,
                                     std::shared_ptr<std::atomic<std::uint64_t>> handled,
                                     std::shared_ptr<std::atomic<std::uint64_t>> deepest) {
  auto note = [=] {
    const auto depth = self->backstop().depth();
    if (depth > deepest->load())
      deepest->store(depth);
    handled->fetch_add(1);
  };
  return {[=](const duty&) { note(); },
          [=](work x) {
            note();
            return x.number;
          }};
}

} // namespace

TEST_CASE(
    "under senders on many threads no message is both refused and handled, none is forgotten, and the bound holds") {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 2);
  config.set("scheduler.max-throughput", 50);
  caf::actor_system system{config};
  auto handled = std::make_shared<std::atomic<std::uint64_t>>(0);
  auto deepest = std::make_shared<std::atomic<std::uint64_t>>(0);
  auto actor = system.spawn(counter, handled, deepest);
  auto& gauge = inside<counter_actor, counter_state>(actor).backstop();
  auto held = std::make_shared<int>(0);
  constexpr std::uint64_t senders = 4;
  constexpr std::uint64_t each = 20'000;
  std::atomic<std::uint64_t> busy{0};
  std::atomic<std::uint64_t> answered{0};
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < senders; ++i)
    threads.emplace_back([&] {
      caf::scoped_actor self{system};
      for (std::uint64_t n = 0; n < each; ++n) {
        caf::anon_send(actor, duty{held});
        if (n % 100 == 0)
          self->request(actor, 60s, work{1})
              .receive([&](int) { ++answered; }, [&](caf::error& x) { busy += code_of(x) == errc::busy; });
      }
    });
  for (auto& thread : threads)
    thread.join();
  caf::scoped_actor self{system};
  // Everything admitted before this answer was handled before it.
  bool last = false;
  while (!last)
    self->request(actor, 60s, work{1}).receive([&](int) { last = true; }, [&](caf::error&) { ++busy; });
  CHECK_EQ(handled->load() + gauge.refused(), senders * each + answered + 1 + busy);
  // A sender about to be refused is counted for an instant.
  CHECK_LE(deepest->load(), counter_state::mailbox_limit + senders);
  CHECK_EQ(gauge.depth(), 0);
  CHECK_EQ(held.use_count(), 1);
  MESSAGE("handled " << handled->load() << ", refused " << gauge.refused());
  self->send_exit(actor, caf::exit_reason::user_shutdown);
}

} // namespace weir::test
