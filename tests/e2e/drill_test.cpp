#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"

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
