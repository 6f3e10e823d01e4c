#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"
#include "tests/support/running_node.hpp"

using weir::built_program;
using weir::command;
using weir::read_file;
using weir::run_program;
using weir::temporary_directory;

namespace {

/// A share of a second that depends on what else the machine does; `scripts/dev drill nov14` insists on it.
bool is_of_time(const std::string& bar) {
  return bar.find("p99 during: at most") != std::string::npos;
}

} // namespace

TEST_CASE(
    "OPS-01: whichever guard is the only one left, a blank config and everybody's logs cost entitled jobs nothing") {
  temporary_directory place{"weir-drill-test"};
  command drill{built_program("weir"),
                {"drill", "nov14", "--quick", "--before", "4", "--flood", "6", "--after", "3", "--json", "--report",
                 place / "report"}};
  drill.output_file = place / "out.json";
  const auto status = run_program(drill, std::chrono::minutes{8});
  const auto report = nlohmann::json::parse(read_file(place / "out.json"), nullptr, false);
  REQUIRE(report.is_object());
  CHECK_EQ(report.at("error").get<std::string>(), "");
  REQUIRE_EQ(report.at("variants").size(), 5u);
  bool all = true;
  for (const auto& variant : report.at("variants")) {
    INFO(variant.at("name").get<std::string>());
    CHECK_EQ(variant.at("error").get<std::string>(), "");
    CHECK_GT(variant.at("bars").size(), 8u);
    for (const auto& bar : variant.at("bars")) {
      const auto what = bar.at("bar").get<std::string>(), found = bar.at("found").get<std::string>();
      const bool held = bar.at("held").get<bool>();
      all = all && held;
      if (is_of_time(what))
        MESSAGE(variant.at("name").get<std::string>(), ": ", what, ": ", found);
      else
        CHECK_MESSAGE(held, what, ": ", found);
    }
  }
  CHECK_EQ(status, all ? 0 : 1);
  CHECK_EQ(report.at("held").get<bool>(), all);
  CHECK_EQ(read_file(place / "report/nov14.json"), read_file(place / "out.json"));
  CHECK_NE(read_file(place / "report/nov14.md").find("14 November 2024, as reported"), std::string::npos);
}

TEST_CASE("OPS-02: a running node tries its own guard with a blank config, files a report, and nobody notices") {
  weir::running_node node{{4}};
  node.start();
  weir::load_plan load;
  load.events = 2'000;
  REQUIRE_EQ(node.send_all(load), 0);
  const auto refused = "where=\"forwarder\"";
  const auto before = node.metric("weir_config_refused_total", refused);
  const auto started = node.metric("weir_drill_last_success_timestamp_seconds", "blank-config");

  const auto run = node.run({"drill", "blank-config", "--connect", "127.0.0.1:" + std::to_string(node.control_port()),
                             "--token-file", node.token_file()});
  INFO(run.text);
  CHECK_EQ(run.exit_code, 0);
  CHECK_EQ(node.metric("weir_config_refused_total", refused), before + 1);
  CHECK_EQ(node.metric("weir_drill_runs_total", "result=\"passed\""), 1);
  CHECK_EQ(node.metric("weir_drill_runs_total", "result=\"failed\""), 0);
  CHECK_GE(node.metric("weir_drill_last_success_timestamp_seconds", "blank-config"), started);
  const auto listed = nlohmann::json::parse(node.control("/v1/drills").body, nullptr, false);
  REQUIRE(listed.is_object());
  const auto last = listed.at("drills").at(0).at("last");
  CHECK_EQ(last.at("result").get<std::string>(), "passed");
  CHECK_NE(read_file(last.at("report").get<std::string>()).find("zero_entries"), std::string::npos);

  CHECK_EQ(node.control_post("/v1/drills/none").status, 404);
  load.seed = 2;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  const auto verdict = node.audit();
  CHECK_MESSAGE(verdict.exit_code == 0, verdict.text);
  CHECK_EQ(verdict.number("receipts.missing"), 0u);
}

TEST_CASE("OPS-02: a drill that is scheduled runs by itself") {
  weir::node_plan plan;
  plan.settings["drills"] = "every = \"2s\"\nschedule = [\"blank-config\"]\n";
  weir::running_node node{plan};
  node.start();
  CHECK(weir::wait_for([&] { return node.metric("weir_drill_runs_total", "result=\"passed\"") >= 1; },
                       std::chrono::seconds{30}));
}
