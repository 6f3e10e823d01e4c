#include "apps/check_command.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "tests/unit/config/config_fixture.hpp"

using namespace weir;

namespace {

struct checked {
  int code = -1;
  std::string report;
  std::string problems;
};

checked check_text(fake_config_world& world, const std::string& text) {
  world.files["/etc/weir/weir.toml"] = {text, 0644};
  std::ostringstream report;
  std::ostringstream problems;
  checked result;
  result.code = check_config("/etc/weir/weir.toml", world.world(), report, problems);
  result.report = report.str();
  result.problems = problems.str();
  return result;
}

} // namespace

TEST_CASE("weir check prints the limits in force and says which of them are defaults") {
  fake_config_world world;
  const auto result = check_text(world, "[node]\nname = \"n1\"\n[limits]\nmemory = \"2GiB\"\n");
  CHECK_EQ(result.code, 0);
  CHECK_EQ(result.problems, "");
  CHECK_NE(result.report.find("2GiB\n"), std::string::npos);
  CHECK_NE(result.report.find("1000000  (default)\n"), std::string::npos);
  CHECK_NE(result.report.find("note: there is no [[tokens]]"), std::string::npos);
}

TEST_CASE("weir check names every problem, those of the job file too, and fails") {
  fake_config_world world;
  world.files["/etc/weir/jobs.ndjson"] = {"nonsense\n", 0644};
  const auto result = check_text(world,
                                 "[node]\nname = \"n1\"\n[limits]\nmemory = \"0B\"\nbufers = 1\n[jobs]\n"
                                 "file = \"jobs.ndjson\"\n");
  CHECK_EQ(result.code, 1);
  CHECK_EQ(result.report, "");
  for (const char* path : {"limits.memory: ", "limits.bufers: ", "/etc/weir/jobs.ndjson:1: ", "weir.toml: 3 problems"})
    CHECK_MESSAGE(result.problems.find(path) != std::string::npos, result.problems);
}
