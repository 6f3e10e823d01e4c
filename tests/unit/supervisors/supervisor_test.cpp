#include "tests/unit/supervisors/supervisor_fixture.hpp"

namespace weir::test {

// -- one_for_one --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(supervisor_fixture, "one_for_one restarts the child that crashed and leaves its siblings alone") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  CHECK_EQ(take_history(), strings{"+a", "+b", "+c"});
  fail("b");
  CHECK_EQ(state("b"), child_state::restarting);
  CHECK_EQ(state("a"), child_state::running);
  advance(200ms);
  CHECK_EQ(take_history(), strings{"-b", "+b"});
  const auto b = status("b");
  CHECK_EQ(b.state, child_state::running);
  CHECK_EQ(b.restarts, 1);
  CHECK_NE(b.reason.find("thrown"), std::string::npos);
  CHECK_EQ(status("a").restarts, 0);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a restart waits for its delay and not a moment less") {
  struct highest final : random_source {
    std::uint64_t next() override { return 100; } // the first bound itself
  };
  world.random = std::make_shared<highest>();
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  fail("a");
  advance(99ms, 1ms);
  CHECK_EQ(state("a"), child_state::restarting);
  advance(1ms, 1ms);
  CHECK_EQ(state("a"), child_state::running);
}

TEST_CASE_FIXTURE(
    supervisor_fixture,
    "permanent children come back after a normal end too, transient ones only after a crash, temporary ones never") {
  begin(spec(
      strategy::one_for_one, when_exhausted::escalate,
      {child("p"), child("t", restart::transient), child("u", restart::transient), child("x", restart::temporary)}));
  for (auto id : {"p", "t"})
    caf::anon_send(made[id], leave_now{});
  for (auto id : {"u", "x"})
    fail(id);
  advance(200ms);
  CHECK_EQ(state("p"), child_state::running);
  CHECK_EQ(status("p").restarts, 1);
  CHECK_EQ(state("t"), child_state::stopped);
  CHECK_EQ(state("u"), child_state::running);
  CHECK_EQ(state("x"), child_state::stopped);
  CHECK_FALSE(status("x").reason.empty());
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "a supervisor past its intensity stops all children, last first, and ends with an error") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  for (int i = 0; i < 3; ++i) {
    fail(i % 2 ? "a" : "b"); // the budget is a common one
    advance(1s);
    CHECK_FALSE(end());
  }
  take_history();
  fail("b", "the last straw");
  CHECK_EQ(take_history(), strings{"-b", "-c", "-a"});
  const auto reason = end();
  REQUIRE(reason);
  CHECK_NE(system.render(*reason).find("gave up after 3 restarts"), std::string::npos);
}

TEST_CASE_FIXTURE(supervisor_fixture, "crashes further apart than the period never exhaust a supervisor") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  for (int i = 0; i < 10; ++i) {
    fail("a");
    advance(21s, 1s);
  }
  CHECK_EQ(state("a"), child_state::running);
  CHECK_EQ(status("a").restarts, 10);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a parent sees an exhausted supervisor as a crash and starts it anew") {
  int begun = 0;
  child_spec inner{"inner",
                   [&]() -> caf::expected<caf::actor> {
                     ++begun;
                     auto inside = spec(strategy::one_for_one, when_exhausted::escalate, {child("a")});
                     inside.name = "inner";
                     return caf::actor_cast<caf::actor>(system.spawn(supervisor, inside, world));
                   },
                   restart::permanent, 10s};
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {inner, child("b")}));
  for (int i = 0; i < 4; ++i) {
    fail("a");
    advance(1s);
  }
  CHECK_EQ(begun, 2);
  CHECK_EQ(status("inner").restarts, 1);
  CHECK_NE(status("inner").reason.find("gave up"), std::string::npos);
  CHECK_EQ(status("b").restarts, 0);
  CHECK_FALSE(end());
}

// -- failures to start --------------------------------------------------------------------------

TEST_CASE_FIXTURE(supervisor_fixture, "a child that cannot start counts as crashed, in whatever way it fails") {
  for (auto how : {"error", "throw", "null", "init", "dead before it is watched"}) {
    CAPTURE(how);
    trouble["a"] = how;
    begin(spec(strategy::one_for_one, when_exhausted::park, {child("a", restart::transient), child("b")}));
    advance(10s);
    CHECK_EQ(state("a"), child_state::parked);
    CHECK_EQ(state("b"), child_state::running);
    CHECK_EQ(status("a").restarts, 3);
    CHECK_FALSE(status("a").reason.empty());
    trouble["a"].clear();
    CHECK_FALSE(order(top, unpark_child{"a"}));
    CHECK_EQ(state("a"), child_state::running);
    ask_to_exit();
    end();
  }
}

// -- parking ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(supervisor_fixture,
                  "a child past its own budget is parked with its reason, and nobody else notices") {
  begin(spec(strategy::one_for_one, when_exhausted::park));
  for (auto id : {"1", "2", "3"})
    CHECK_FALSE(order(top, start_child{child(id, restart::transient)}));
  take_history();
  for (int i = 0; i < 3; ++i) {
    fail("1");
    advance(1s);
  }
  CHECK_EQ(state("1"), child_state::running);
  fail("1");
  advance(1h, 1min);
  CHECK_EQ(state("1"), child_state::parked);
  CHECK_NE(status("1").reason.find("thrown"), std::string::npos);
  CHECK_FALSE(end());
  for (auto id : {"2", "3"}) {
    CHECK_EQ(state(id), child_state::running);
    CHECK_EQ(status(id).restarts, 0);
  }
  CHECK_EQ(transitions.back(), "1:running>parked");
  // Budgets are separate: all of them may be parked, and the supervisor stays.
  for (auto id : {"2", "3"})
    for (int i = 0; i < 4; ++i) {
      fail(id);
      advance(1s);
    }
  CHECK_EQ(state("3"), child_state::parked);
  CHECK_FALSE(end());
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "an operator unparks a child with a fresh budget; other children cannot be unparked") {
  begin(spec(strategy::one_for_one, when_exhausted::park, {child("1"), child("2")}));
  for (int i = 0; i < 4; ++i) {
    fail("1");
    advance(1s);
  }
  REQUIRE_EQ(state("1"), child_state::parked);
  CHECK_EQ(code_of(order(top, unpark_child{"2"})), errc::refused);
  CHECK_EQ(code_of(order(top, unpark_child{"9"})), errc::not_found);
  CHECK_FALSE(order(top, unpark_child{"1"}));
  CHECK_EQ(state("1"), child_state::running);
  for (int i = 0; i < 3; ++i) {
    fail("1");
    advance(1s);
    CHECK_EQ(state("1"), child_state::running);
  }
  fail("1");
  CHECK_EQ(state("1"), child_state::parked);
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "a new revision replaces a running child once that has stopped, and unparks a parked one") {
  begin(spec(strategy::one_for_one, when_exhausted::park));
  CHECK_FALSE(order(top, start_child{child("1")}));
  CHECK_FALSE(order(top, start_child{child("1")}));
  CHECK_EQ(take_history(), strings{"+1", "-1", "+1"});
  for (int i = 0; i < 4; ++i) {
    fail("1");
    advance(1s);
  }
  REQUIRE_EQ(state("1"), child_state::parked);
  CHECK_FALSE(order(top, start_child{child("1")}));
  CHECK_EQ(state("1"), child_state::running);
  CHECK_EQ(status("1").restarts, 0);
  fail("1");
  REQUIRE_EQ(state("1"), child_state::restarting);
  CHECK_FALSE(order(top, start_child{child("1")})); // does not wait for the old one's delay
  CHECK_EQ(state("1"), child_state::running);
  take_history();
  advance(10s);
  CHECK_EQ(take_history(), strings{}); // nor does that delay start it twice
  CHECK_EQ(code_of(order(top, start_child{child_spec{"", making("x")}})), errc::refused);
  CHECK_EQ(code_of(order(top, start_child{child_spec{"x", nullptr}})), errc::refused);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a stopped child is forgotten, and the answer comes when it is down") {
  begin(spec(strategy::one_for_one, when_exhausted::park, {child("1"), child("2"), child("3")}));
  caf::anon_send(made["1"], ignore_exits{});
  run();
  auto answer = self->request(top, caf::infinite, stop_child{"1"});
  run();
  CHECK_EQ(state("1"), child_state::stopping);
  advance(4990ms);
  CHECK_EQ(state("1"), child_state::stopping);
  advance(20ms);
  bool down = false;
  answer.receive([&](order_done) { down = true; }, [](caf::error&) {});
  CHECK(down);
  CHECK_FALSE(known("1"));
  CHECK_FALSE(order(top, stop_child{"2"}));
  CHECK_FALSE(known("2"));
  fail("3");
  CHECK_FALSE(order(top, stop_child{"3"})); // while it waits for its restart
  take_history();
  advance(10s);
  CHECK_EQ(take_history(), strings{});
  CHECK_EQ(code_of(order(top, stop_child{"1"})), errc::not_found);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a child that comes and goes leaves nothing behind") {
  begin(spec(strategy::one_for_one, when_exhausted::park));
  for (int i = 0; i < 100; ++i) {
    const auto id = std::to_string(i);
    CHECK_FALSE(order(top, start_child{child(id, restart::transient)}));
    caf::anon_send(made[id], leave_now{});
    run();
  }
  CHECK(ask<children_status>(top, list_children{})->children.empty());
}

} // namespace weir::test
