#include "supervisors/supervisor.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "supervisors/supervision_board.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_random.hpp"
#include "tests/unit/supervisors/testing_system.hpp"

using namespace std::chrono_literals;

namespace weir::test {

struct fail_now {
  std::string why;
};
struct leave_now {};
struct ignore_exits {};

} // namespace weir::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::fail_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::leave_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::ignore_exits)

namespace weir::test {

namespace {

struct pupil_state {
  static constexpr const char* name = "pupil";
  std::function<void()> at_end;
  ~pupil_state() {
    if (at_end)
      at_end();
  }
};

using pupil_actor = caf::typed_actor<caf::reacts_to<fail_now>, caf::reacts_to<leave_now>, caf::reacts_to<ignore_exits>>;

pupil_actor::behavior_type pupil(bounded_pointer<pupil_actor, pupil_state> self, std::function<void()> at_end,
                                 bool fails_in_init) {
  self->state.at_end = std::move(at_end);
  self->set_exception_handler([](std::exception_ptr&) { return caf::make_error(caf::sec::runtime_error, "thrown"); });
  if (fails_in_init)
    throw std::runtime_error("in init");
  return {
      [](const fail_now& x) { throw std::runtime_error(x.why); },
      [self](leave_now) { self->quit(); },
      [self](ignore_exits) { self->set_exit_handler([](caf::exit_msg&) {}); },
  };
}

struct supervisor_fixture : testing_system {
  environment outside;
  std::vector<std::string> history; // "+a" made, "-a" ended
  std::map<std::string, std::string> trouble;
  std::vector<std::string> transitions;
  std::map<std::string, caf::actor> made;
  supervisor_actor top;

  supervisor_fixture() {
    outside.random = std::make_shared<fake_random>(7);
    outside.clock = std::make_shared<fake_clock>();
  }
  ~supervisor_fixture() {
    if (top)
      kill(top);
    for (auto& [id, actor] : made)
      kill(actor);
  }

  start_function making(std::string id) {
    return [this, id]() -> caf::expected<caf::actor> {
      const auto& how = trouble[id];
      if (how == "error")
        return make_error(errc::disk_full, "no room");
      if (how == "throw")
        throw std::runtime_error("no luck");
      if (how == "null")
        return caf::actor{};
      history.push_back("+" + id);
      auto actor = caf::actor_cast<caf::actor>(
          system.spawn(pupil, std::function<void()>([this, id] { history.push_back("-" + id); }), how != ""));
      if (how == "dead before it is watched")
        run();
      made[id] = actor;
      return actor;
    };
  }
  child_spec child(std::string id, restart when = restart::permanent) { return child_spec{id, making(id), when, 5s}; }
  supervisor_spec spec(strategy how, when_exhausted exhausted, std::vector<child_spec> children = {}) {
    supervisor_spec result;
    result.name = "top";
    result.how = how;
    result.exhausted = exhausted;
    result.limits = {3, 60s, 100ms, 1s};
    result.children = std::move(children);
    result.observe = [this](const child_transition& x) {
      transitions.push_back(x.now.id + ":" + std::string{name_of(x.before)} + ">" + std::string{name_of(x.now.state)});
    };
    return result;
  }
  void begin(supervisor_spec wanted) {
    top = system.spawn(supervisor, std::move(wanted), outside);
    self->monitor(top);
    run();
  }
  void fail(const std::string& id, std::string why = "boom") {
    caf::anon_send(made[id], fail_now{std::move(why)});
    run();
  }
  child_status status(const std::string& id) {
    const auto all = ask<children_status>(top, list_children{});
    for (const auto& x : all->children)
      if (x.id == id)
        return x;
    return {};
  }
  child_state state(const std::string& id) { return status(id).state; }
  bool known(const std::string& id) { return !status(id).id.empty(); }
  std::vector<std::string> take_history() { return std::exchange(history, {}); }
  /// The reason the supervisor ended with, if it did.
  caf::optional<caf::error> ended() {
    caf::optional<caf::error> reason;
    self->receive([&](const caf::down_msg& x) { reason = x.reason; }, caf::after(0ms) >> [] {});
    return reason;
  }
  void ask_to_exit() {
    caf::anon_send_exit(top, caf::exit_reason::user_shutdown);
    run();
  }
};

using strings = std::vector<std::string>;

} // namespace

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
  outside.random = std::make_shared<highest>();
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
    CHECK_FALSE(ended());
  }
  take_history();
  fail("b", "the last straw");
  CHECK_EQ(take_history(), strings{"-b", "-c", "-a"});
  const auto reason = ended();
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
                     return caf::actor_cast<caf::actor>(system.spawn(supervisor, inside, outside));
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
  CHECK_FALSE(ended());
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
    ended();
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
  CHECK_FALSE(ended());
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
  CHECK_FALSE(ended());
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
                  "rest_for_one holds back the rest while a child cannot start, and escalates in the end") {
  begin(spec(strategy::rest_for_one, when_exhausted::escalate, {child("a"), child("b"), child("c")}));
  trouble["b"] = "error";
  take_history();
  fail("a");
  advance(10s);
  CHECK_EQ(take_history(), strings{"-a", "-c", "-b", "+a", "-a"});
  const auto reason = ended();
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
  CHECK_FALSE(ended());
  CHECK_EQ(code_of(order(top, start_child{child("z")})), errc::refused);
  advance(4900ms);
  CHECK_EQ(take_history(), strings{});
  advance(200ms); // b is killed after its 5 s
  CHECK_EQ(take_history(), strings{"-b", "-a"});
  const auto reason = ended();
  REQUIRE(reason);
  CHECK_EQ(*reason, caf::exit_reason::user_shutdown);
}

TEST_CASE_FIXTURE(supervisor_fixture, "children that do not depend on each other are stopped all at once") {
  begin(spec(strategy::one_for_one, when_exhausted::park, {child("a"), child("b"), child("c")}));
  for (auto id : {"a", "b", "c"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  ask_to_exit();
  CHECK_FALSE(ended());
  advance(5100ms);
  CHECK(ended());
}

TEST_CASE_FIXTURE(supervisor_fixture,
                  "what waits in a mailbox is handled before a polite stop, and is overtaken by the kill") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  caf::anon_send(made["a"], leave_now{});
  ask_to_exit();
  CHECK(ended());
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a")}));
  caf::anon_send(made["a"], ignore_exits{});
  run();
  caf::anon_send(top, hurry{});
  caf::anon_send_exit(top, caf::exit_reason::user_shutdown);
  for (int i = 0; i < 3; ++i)
    caf::anon_send(made["a"], ignore_exits{});
  run();
  CHECK(ended());
}

TEST_CASE_FIXTURE(supervisor_fixture, "hurry kills those that were asked to stop, and those whose turn comes later") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b")}));
  for (auto id : {"a", "b"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  ask_to_exit();
  CHECK_FALSE(ended());
  take_history();
  caf::anon_send(top, hurry{});
  run();
  CHECK_EQ(take_history(), strings{"-b", "-a"});
  CHECK(ended());
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
  CHECK(ended());
}

TEST_CASE_FIXTURE(supervisor_fixture, "no child outlives a supervisor that was killed") {
  begin(spec(strategy::one_for_one, when_exhausted::escalate, {child("a"), child("b")}));
  for (auto id : {"a", "b"})
    caf::anon_send(made[id], ignore_exits{});
  run();
  take_history();
  kill(top);
  CHECK(ended());
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
  const auto reason = ended();
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

TEST_CASE_FIXTURE(testing_system, "CAF tells who monitors an actor too late why it ended, crash or not") {
  auto dead = system.spawn(pupil, std::function<void()>{}, true);
  run();
  self->monitor(dead);
  caf::error reason;
  self->receive([&](const caf::down_msg& x) { reason = x.reason; });
  CHECK(reason);
}

} // namespace weir::test
