#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;

namespace {

/// From here on SIGTERM is an order and no accident: the node has blocked it, to wait for it.
bool takes_signals(pid_t id) {
  const auto status = weir::read_file("/proc/" + std::to_string(id) + "/status");
  const auto at = status.find("SigBlk:");
  return at != std::string::npos && (std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
}

std::string event_of(const std::string& zone) {
  return "{\"ZoneID\":\"" + zone + "\"}\n";
}

} // namespace

TEST_CASE("PRC-09: SIGTERM at full rate delivers what was acknowledged and ends with 0") {
  weir::restarts run(weir::plan_of_small_segments(), weir::test_seed("SIGTERM", 14));
  run.start();
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    if (round == 0)
      run.send(0);
    REQUIRE(run.let_pass(200 + run.draw(200)));
    CHECK_EQ(run.node.stop(), 0);
    INFO(run.node.log());
    CHECK_NE(run.node.log().find("0 blocks wait on disk"), std::string::npos);
    run.start();
  }
  run.finish();
}

TEST_CASE("PRC-09: while it ends, the node takes no body, and whoever still gets an answer is told when to come back") {
  auto plan = weir::plan_of_small_segments();
  plan.settings["shutdown"] = "drain = \"3s\"\n";
  weir::restarts run(plan, 1);
  run.start();
  const auto zone = weir::running_node::zones(1).front();
  weir::withdrawn_objects away(run.node);
  const auto first = run.node.post(event_of(zone));
  INFO(first.body);
  REQUIRE_EQ(first.status, 200);
  REQUIRE_NE(first.body.find("\"accepted\":1"), std::string::npos);
  run.node.send_signal(SIGTERM);
  REQUIRE(weir::wait_for([&] { return run.node.log().find("\"stopping\"") != std::string::npos; }));
  unsigned tries = 0;
  CHECK(weir::wait_for(
      [&] {
        const auto answer = run.node.post(event_of(zone));
        ++tries;
        if (answer.status != 0) {
          CHECK_EQ(answer.status, 503);
          CHECK_EQ(answer.headers.count("retry-after"), 1);
        }
        return !run.node.running();
      },
      10s));
  CHECK_GT(tries, 5);
  CHECK_EQ(run.node.wait(), 0);
  away.give_back();
  run.start();
  CHECK(run.node.drained());
  CHECK_EQ(run.node.stop(), 0);
  CHECK_EQ(run.node.audit().number("events"), 1);
}

TEST_CASE("PRC-09: a second SIGTERM ends a node that waits for a dead destination, and nothing is lost") {
  weir::restarts run(weir::plan_of_small_segments(), 1);
  run.start();
  weir::withdrawn_objects away(run.node);
  run.send(0);
  REQUIRE(run.let_pass(300));
  run.node.send_signal(SIGTERM);
  CHECK_FALSE(weir::wait_for([&] { return !run.node.running(); }, 1s));
  const auto second = std::chrono::steady_clock::now();
  run.node.send_signal(SIGTERM);
  CHECK_EQ(run.node.wait(), 0);
  CHECK((std::chrono::steady_clock::now() - second < 5s)); // The drain would have gone on for 29 s.
  away.give_back();
  run.start();
  run.finish();
}

TEST_CASE("PRC-09: SIGTERM during recovery ends the node with 0 and loses nothing") {
  weir::restarts run(weir::plan_of_small_segments(), weir::test_seed("SIGTERM during recovery", 15));
  run.start();
  weir::withdrawn_objects away(run.node);
  run.send(0);
  REQUIRE(run.let_pass(1000));
  for (int i = 0; i < 8; ++i) {
    run.node.kill();
    run.node.launch();
    REQUIRE(weir::wait_for([&] { return takes_signals(run.node.id()); }));
    weir::wait_for([&] { return run.node.ready(); }, std::chrono::milliseconds(run.draw(20)));
    // More than one, because nothing can be delivered: do not wait for it.
    const auto ended = weir::wait_for([&] {
      run.node.send_signal(SIGTERM);
      return !run.node.running();
    });
    INFO(run.node.log());
    CHECK(ended);
    CHECK_EQ(run.node.wait(), 0);
  }
  away.give_back();
  run.start();
  run.finish();
}
