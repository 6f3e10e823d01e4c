#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

TEST_CASE(
    "PRC-08: events that the destination refuses with 400 are split out, kept apart and counted; the rest arrives") {
  weir::sink_server sink;
  weir::sink_behaviour refusal;
  refusal.status = 400;
  refusal.poison = "\"poison\"";
  sink.script("/job/", refusal);
  const auto zones = running_node::zones(2);
  weir::node_plan plan;
  plan.job_lines = {weir::job_line(1, zones[0], sink.url("/job/")), weir::job_line(2, zones[1], sink.url("/other/"))};
  running_node node(plan);
  node.start();
  weir::steady_traffic other(node, {zones[1]});
  auto event = [&](const std::string& id, const std::string& more) {
    return R"({"ZoneID":")" + zones[0] + R"(","RayID":")" + id + '"' + more + "}\n";
  };
  // The destination is well before.
  REQUIRE_EQ(node.post(event("first", "")).status, 200);
  REQUIRE(weir::wait_for([&] { return !sink.accepted_ids("/job/").empty(); }));
  std::vector<std::string> expected{"first"};
  std::string body;
  constexpr int events = 1000;
  for (int i = 0; i < events; ++i) {
    const auto id = "e" + std::to_string(i);
    const bool bad = i == 3 || i == 500 || i == 501;
    body += event(id, bad ? R"(,"kind":"poison")" : "");
    if (!bad)
      expected.push_back(id);
  }
  const auto before = sink.count("/job/");
  REQUIRE_EQ(node.post(body).status, 200);
  const auto drained = node.drained(40s);
  const auto book = node.ledger();
  INFO(book.dump());
  INFO(node.state().dump());
  REQUIRE(drained);
  CHECK_EQ(ledger_number(book["jobs"][0]["dead_lettered"]), 3);
  CHECK_EQ(ledger_number(book["jobs"][0]["delivered"]), events - 3 + 1);
  CHECK_EQ(book["balanced"], true);
  CHECK((sink.accepted_ids("/job/") == expected));
  const auto tries = sink.count("/job/") - before;
  std::printf("3 of %d events found in %zu uploads\n", events, tries);
  // Each is found in twice the doublings of 1000 at most; two of them are neighbours.
  CHECK_LE(tries, 3 * 2 * 10 + 4);
  CHECK_NE(node.log().find("dead-letter"), std::string::npos);
  CHECK_EQ(node.log().find("poison\""), std::string::npos); // Never a payload in the log.

  other.stop();
  REQUIRE(node.drained());
  CHECK((sink.accepted_ids("/other/") == other.ids(0)));
  // Dead letters stay over a restart, and are not sent again.
  const auto requests = sink.count("/job/");
  node.kill();
  node.start();
  REQUIRE(node.drained());
  CHECK_EQ(ledger_number(node.ledger()["jobs"][0]["dead_lettered"]), 3);
  CHECK_EQ(sink.count("/job/"), requests);
  CHECK_EQ(node.stop(), 0);
  const auto kept = node.run({"store", "verify", "--records", node.data_dir() + "/store"});
  INFO(kept.text);
  CHECK_EQ(kept.exit_code, 0);
  CHECK_NE(kept.text.find("3 dead letters"), std::string::npos);
}
