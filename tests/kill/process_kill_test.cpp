#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;

TEST_CASE("PRC-01 to PRC-05: of twenty kills mid-stream none costs an acknowledged event or doubles one") {
  weir::restarts run(weir::plan_of_small_segments(), weir::test_seed("kill -9", 11));
  run.start();
  run.send();
  for (int kills = 0; kills < 20; ++kills) {
    CAPTURE(kills);
    switch (run.draw(4)) {
      case 0: // while objects are written
        REQUIRE(run.let_pass(10));
        REQUIRE(run.let_push());
        break;
      case 1: // again before it has recovered
        REQUIRE(run.let_pass(1));
        run.node.kill();
        run.kill_in_recovery();
        ++kills;
        run.start();
        continue;
      default:
        REQUIRE(run.let_pass(1 + run.draw(100)));
    }
    run.node.kill();
    run.start();
  }
  run.finish();
}

TEST_CASE("a body that comes the moment the node says it is ready is accepted") {
  weir::running_node node;
  const auto zone = weir::running_node::zones(1).front();
  for (int i = 0; i < 5; ++i) {
    node.start();
    const auto answer = node.post("{\"ZoneID\":\"" + zone + "\"}\n");
    INFO(answer.body);
    CHECK_EQ(answer.status, 200);
    CHECK_NE(answer.body.find("\"accepted\":1"), std::string::npos);
    node.kill();
  }
}

TEST_CASE("after a kill with a backlog the node is ready at once and delivers all of it") {
  weir::restarts run(weir::plan_of_small_segments(), weir::test_seed("backlog", 12));
  run.start();
  weir::withdrawn_objects away(run.node);
  run.send(0);
  REQUIRE(run.let_pass(3000));
  run.node.kill();
  run.start();
  CHECK_LE(run.longest_start.count(), 5000);
  REQUIRE(run.let_pass(50));
  auto totals = run.node.ledger()["totals"];
  CHECK_GT(std::stoull(totals["buffered"].get<std::string>()), 10'000);
  CHECK_EQ(totals["delivered"], "0");
  away.give_back();
  run.finish();
}
