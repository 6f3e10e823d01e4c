#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

/// Runs a program of the build in place of `weir`, with its command line.
std::vector<std::string> instead(const std::string& program) {
  return {"/bin/sh", "-c", "shift; exec " + weir::built_program(program) + " \"$@\"", "sh"};
}

double parked_buffers(running_node& node) {
  return node.metric("weir_supervisor_parked", "supervisor=\"buffers\"");
}

} // namespace

TEST_CASE(
    "PRC-07: a job whose buffer crashes on every cut is restarted with growing delay, then parked with its reason; "
    "nobody else notices, and a sound program delivers all it kept") {
  weir::sink_server sink;
  const auto zones = running_node::zones(2);
  weir::node_plan plan;
  plan.job_lines = {weir::job_line(1, zones[0], sink.url("/job/")), weir::job_line(2, zones[1], sink.url("/other/"))};
  running_node node(plan);
  node.launch(instead("weir_with_crashing_buffer"));
  REQUIRE(node.wait_until_ready());
  weir::control_poller operator_looks(node);
  weir::steady_traffic both(node, zones);
  INFO(node.log());
  REQUIRE(weir::wait_for([&] { return parked_buffers(node) == 1; }, 30s));
  const auto parked = node.state()["parked"];
  REQUIRE_EQ(parked.size(), 1);
  CHECK_EQ(ledger_number(parked[0]["job"]), 1);
  CHECK_FALSE(parked[0]["reason"].get<std::string>().empty());
  const auto restarts = node.metric("weir_supervisor_restarts_total");
  CHECK_GE(restarts, 5);
  CHECK_LE(restarts, 10);
  // An operator lets it try again: it is parked again, no storm comes of it.
  CHECK_EQ(node.control_post("/v1/buffers/1/unpark").status, 200);
  REQUIRE(weir::wait_for([&] { return node.metric("weir_supervisor_restarts_total") > restarts; }));
  REQUIRE(weir::wait_for([&] { return parked_buffers(node) == 1; }, 30s));
  CHECK_LE(node.metric("weir_supervisor_restarts_total"), 2 * restarts + 2);
  CHECK(node.ready());
  both.stop();
  operator_looks.stop();
  CHECK_LT(operator_looks.p99(), 1s);
  CHECK_EQ(both.not_accepted(), 0);
  CHECK_EQ(both.given_up(), 0);
  CHECK(weir::wait_for([&] { return sink.accepted_ids("/other/") == both.ids(1); }));
  CHECK(sink.accepted_ids("/job/").empty());
  CHECK_EQ(node.ledger()["balanced"], true);
  node.kill();
  node.start();
  REQUIRE(node.drained());
  CHECK((sink.accepted_ids("/job/") == both.ids(0)));
  CHECK((sink.accepted_ids("/other/") == both.ids(1)));
  CHECK_EQ(node.stop(), 0);
}
