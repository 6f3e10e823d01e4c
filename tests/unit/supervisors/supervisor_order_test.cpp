#include "supervisors/supervision_board.hpp"
#include "tests/unit/supervisors/supervisor_fixture.hpp"

namespace weir::test {

// -- rest_for_one -------------------------------------------------------------------------------

TEST_CASE_FIXTURE(supervisor_fixture,
                  "rest_for_one restarts the crashed child and those after it, which stop first, last one first") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c"), child("d")}));
  take_history();
  fail("b");
  advance(200ms);
  CHECK_EQ(take_history(), strings{"-b", "-d", "-c", "+b", "+c", "+d"});
  CHECK_EQ(status("a").restarts, 0);
  CHECK_EQ(status("c").restarts, 1);
  fail("d");
  advance(300ms);
  CHECK_EQ(take_history(), strings{"-d", "+d"});
}

TEST_CASE_FIXTURE(supervisor_fixture, "rest_for_one starts nothing before what it stops is down") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  caf::anon_send(made["c"], ignore_exits{});
  run();
  take_history();
  fail("a");
  advance(4s);
  CHECK_EQ(take_history(), strings{"-a"});
  CHECK_EQ(state("c"), child_state::stopping);
  CHECK_EQ(state("b"), child_state::running); // it stops after c
  advance(2s);
  CHECK_EQ(take_history(), strings{"-c", "-b", "+a", "+b", "+c"});
}

TEST_CASE_FIXTURE(supervisor_fixture, "a second crash further up while rest_for_one restarts begins from there") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c"), child("d")}));
  caf::anon_send(made["d"], ignore_exits{});
  run();
  take_history();
  fail("c");
  fail("a");
  advance(10s);
  CHECK_EQ(take_history(), strings{"-c", "-a", "-d", "-b", "+a", "+b", "+c", "+d"});
  for (auto id : {"a", "b", "c", "d"})
    CHECK_EQ(state(id), child_state::running);
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "a crash further down while rest_for_one restarts changes nothing: all begin at the first") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c"), child("d")}));
  caf::anon_send(made["d"], ignore_exits{});
  run();
  take_history();
  fail("a");
  fail("c");
  advance(10s);
  CHECK_EQ(take_history(), strings{"-a", "-c", "-d", "-b", "+a", "+b", "+c", "+d"});
}

TEST_CASE_FIXTURE(supervisor_fixture, "a restart whose delay ends while one further up waits does not go ahead of it") {
  struct always final : random_source {
    std::uint64_t next() override { return 50; }
  };
  world.random = std::make_shared<always>();
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c"), child("d")}));
  take_history();
  fail("c");
  advance(20ms);
  fail("a");
  advance(35ms);
  CHECK_EQ(take_history(), strings{"-c", "-d", "-a", "-b"});
  advance(15ms);
  CHECK_EQ(take_history(), strings{"+a", "+b", "+c", "+d"});
}

TEST_CASE_FIXTURE(supervisor_fixture, "rest_for_one starts nothing behind a child that would not start") {
  trouble["b"] = "error";
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  CHECK_EQ(take_history(), strings{"+a"});
  CHECK_EQ(state("c"), child_state::restarting);
  trouble["b"].clear();
  advance(200ms);
  CHECK_EQ(take_history(), strings{"+b", "+c"});
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "rest_for_one holds back the rest while a child cannot start, and escalates in the end") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  trouble["b"] = "error";
  take_history();
  fail("a");
  advance(10s);
  CHECK_EQ(take_history(), strings{"-a", "-c", "-b", "+a", "-a"});
  const auto reason = end();
  REQUIRE(reason);
  CHECK_NE(system.render(*reason).find("no room"), std::string::npos);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a new revision of a child others depend on restarts those too") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  take_history();
  CHECK_FALSE(order(top, start_child{child("b")}));
  advance(10ms);
  CHECK_EQ(take_history(), strings{"-c", "-b", "+b", "+c"});
}

// -- stopping -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(supervisor_fixture, "a supervisor told to exit stops its children in reverse order and then ends") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  take_history();
  caf::anon_send(made["b"], ignore_exits{});
  run();
  ask_to_exit();
  CHECK_EQ(take_history(), strings{"-c"});
  CHECK_FALSE(end());
  CHECK_EQ(code_of(order(top, start_child{child("z")})), errc::refused);
  advance(4900ms);
  CHECK_EQ(take_history(), strings{});
  advance(200ms); // b is killed after its 5 s
  CHECK_EQ(take_history(), strings{"-b", "-a"});
  const auto reason = end();
  REQUIRE(reason);
  CHECK_EQ(*reason, caf::exit_reason::user_shutdown);
}

TEST_CASE_FIXTURE(supervisor_fixture, "children that do not depend on each other are stopped all at once") {
  begin(spec(strategy::one_for_one, when_exhausted::park, {child("a"), child("b"), child("c")}));
  for (auto id : {"a", "b", "c"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  ask_to_exit();
  CHECK_FALSE(end());
  advance(5100ms);
  CHECK(end());
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "what waits in a mailbox is handled before a polite stop, and is overtaken by the kill") {
  const auto mark_three_times = [&] {
    for (int i = 0; i < 3; ++i)
      caf::anon_send(made["a"], leave_mark{});
  };
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  mark_three_times();
  ask_to_exit();
  CHECK_EQ(*marks, 3);
  CHECK(end());

  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  caf::anon_send(top, hurry{});
  run();
  caf::anon_send_exit(top, caf::exit_reason::user_shutdown); // runs first, and kills
  mark_three_times();
  run();
  CHECK_EQ(*marks, 3);
  CHECK(end());
}

TEST_CASE_FIXTURE(supervisor_fixture, "hurry kills those that were asked to stop, and those whose turn comes later") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b")}));
  for (auto id : {"a", "b"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  ask_to_exit();
  CHECK_FALSE(end());
  take_history();
  caf::anon_send(top, hurry{});
  run();
  CHECK_EQ(take_history(), strings{"-b", "-a"});
  CHECK(end());
}

TEST_CASE_FIXTURE(supervisor_fixture, "a restart that was due is not carried out by a supervisor that stops") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b")}));
  caf::anon_send(made["b"], ignore_exits{});
  fail("a");
  take_history();
  ask_to_exit();
  advance(4s);
  CHECK_EQ(take_history(), strings{});
  advance(2s);
  CHECK_EQ(take_history(), strings{"-b"});
  CHECK(end());
}

TEST_CASE_FIXTURE(supervisor_fixture, "no child outlives a supervisor that was killed") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b")}));
  for (auto id : {"a", "b"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  take_history();
  kill(top);
  CHECK(end());
  CHECK_EQ(history.size(), 2);
}

TEST_CASE_FIXTURE(supervisor_fixture, "a supervisor with a spec that makes no sense ends at once") {
  auto bad = spec(strategy::rest_for_one, when_exhausted::park, {child("a")});
  SUBCASE("parking what others depend on") {}
  SUBCASE("two children of one name") {
    bad = spec(strategy::one_for_one, when_exhausted::park, {child("a"), child("a")});
  }
  SUBCASE("a child without a way to start") {
    bad = spec(strategy::one_for_one, when_exhausted::park, {child_spec{"a", nullptr}});
  }
  SUBCASE("limits that stop no crash loop") {
    bad.exhausted = when_exhausted::escalate;
    bad.limits.period = 1ms;
  }
  begin(bad);
  CHECK_EQ(history, strings{});
  const auto reason = end();
  REQUIRE(reason);
  CHECK_EQ(code_of(*reason), errc::refused);
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "the board shows what supervisors last said without asking them, and forgets with them") {
  supervision_board board;
  auto wanted = spec(strategy::one_for_one, when_exhausted::park, {child("a"), child("b"), child("c")});
  wanted.observe = [&](const child_transition& x) { board.note(x); };
  begin(wanted);
  for (int i = 0; i < 4; ++i) {
    fail("b");
    advance(1s);
  }
  fail("c");
  REQUIRE_EQ(board.tallies().size(), 1);
  auto tally = board.tallies().front();
  CHECK_EQ(tally.supervisor, "top");
  CHECK_EQ(tally.running, 1);
  CHECK_EQ(tally.parked, 1);
  CHECK_EQ(tally.restarting, 1);
  CHECK_EQ(tally.restarts, 3);
  const auto parked = board.list(child_state::parked, 10);
  REQUIRE_EQ(parked.size(), 1);
  CHECK_EQ(parked.front().child.id, "b");
  CHECK_FALSE(parked.front().child.reason.empty());
  CHECK_EQ(board.list({}, 10).size(), 3);
  CHECK_EQ(board.list({}, 2).size(), 2);
  CHECK_FALSE(order(top, stop_child{"b"}));
  CHECK_EQ(board.list({}, 10).size(), 2);
  kill(top);
  CHECK(board.list({}, 10).empty());
  CHECK_EQ(board.tallies().front().restarts, 3);
}

TEST_CASE_FIXTURE(deterministic_system, "CAF tells who monitors an actor too late why it ended, crash or not") {
  auto dead = system.spawn(pupil, std::function<void()>{}, true, nullptr);
  run();
  self->monitor(dead);
  caf::error reason;
  self->receive([&](const caf::down_msg& x) { reason = x.reason; });
  CHECK(reason);
}

} // namespace weir::test
