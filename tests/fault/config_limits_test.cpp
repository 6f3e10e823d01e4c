#include <chrono>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/support/running_node.hpp"

using namespace std::chrono_literals;
using weir::running_node;

namespace {

/// `section.key` and its value, of what `weir check` prints of the limits in force.
std::map<std::string, std::string> limits_in(const std::string& report) {
  std::map<std::string, std::string> limits;
  std::istringstream lines(report);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string path, value;
    if (line.rfind("  ", 0) == 0 && words >> path >> value)
      limits[path] = value;
  }
  return limits;
}

/// A config of nothing but a name and one key.
std::string config_with(const std::string& path, const std::string& value) {
  const auto dot = path.rfind('.');
  const auto section = path.substr(0, dot);
  return "[node]\nname = \"n1\"\n[" + section + "]\n" + path.substr(dot + 1) + " = " + value + '\n';
}

} // namespace

TEST_CASE("CFG-07: each limit that is 0, negative, unlimited or beyond the machine is refused at once, by name") {
  using clock_type = std::chrono::steady_clock;
  running_node node; // For its directory only.
  const auto file = node.directory() + "/limits.toml";
  weir::write_file(file, "[node]\nname = \"n1\"\n");
  // Missing: the default is in force, and said to be one.
  const auto whole = node.run({"check", file});
  INFO(whole.text);
  REQUIRE_EQ(whole.exit_code, 0);
  const auto limits = limits_in(whole.text);
  REQUIRE_GT(limits.size(), 60);
  for (const auto* path : {"limits.memory", "limits.buffers", "limits.buffer_creation_rate", "limits.open_block_bytes",
                           "limits.in_flight_bytes", "limits.tenant_share", "limits.tenant_buffers_share",
                           "limits.disk_refuse_appends_at", "limits.store_max_bytes", "ingest.http.max_connections",
                           "control.max_connections", "pusher.slots", "pusher.retry_budget"})
    CHECK_MESSAGE(limits.count(path) == 1, path);
  std::istringstream lines(whole.text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("  ", 0) == 0)
      CHECK_MESSAGE(line.find("(default)") != std::string::npos, line);

  unsigned tried = 0;
  std::chrono::milliseconds longest{0};
  for (const auto& [path, value] : limits) {
    const auto example = "for example " + path.substr(path.rfind('.') + 1) + " = ";
    const auto is_text = value.find_first_not_of("0123456789.") != std::string::npos;
    for (const auto* wrong : {"0", "-1", "\"unlimited\"", is_text ? "\"9000000TiB\"" : "9223372036854775807"}) {
      CAPTURE(path);
      CAPTURE(wrong);
      weir::write_file(file, config_with(path, wrong));
      const auto begin = clock_type::now();
      const auto checked = node.run({"check", file});
      longest = std::max(longest, std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - begin));
      INFO(checked.text);
      CHECK_EQ(checked.exit_code, 1);
      CHECK_NE(checked.text.find(path + ": "), std::string::npos);
      CHECK_NE(checked.text.find(example), std::string::npos);
      ++tried;
    }
  }
  std::printf("%u configs of %zu limits refused, each within %lld ms\n", tried, limits.size(),
              static_cast<long long>(longest.count()));
  CHECK_LT(longest.count(), 1'000);
}

TEST_CASE("CFG-07: weir run refuses what weir check refuses, in less than a second, and opens nothing") {
  using clock_type = std::chrono::steady_clock;
  running_node node;
  for (const auto* limits :
       {"memory = \"0B\"\n", "memory = \"900TiB\"\n", "buffers = 0\n", "buffers = -1\n",
        "buffer_creation_rate = \"unlimited\"\n", "tenant_buffers_share = 0\n", "disk_refuse_appends_at = 1.0\n"}) {
    CAPTURE(limits);
    weir::node_plan plan;
    plan.settings["limits"] = limits;
    node.write_config(plan);
    const auto begin = clock_type::now();
    node.launch();
    const auto code = node.wait(5s);
    const auto took = clock_type::now() - begin;
    INFO(node.log());
    REQUIRE(code);
    CHECK_EQ(*code, 1);
    CHECK_LT(std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), 1'000);
    const auto key = std::string(limits).substr(0, std::string(limits).find(' '));
    CHECK_NE(node.log().find("limits." + key + ": "), std::string::npos);
    CHECK_NE(node.log().find("for example " + key + " = "), std::string::npos);
    CHECK_EQ(weir::run_program({"test", {"-e", node.data_dir() + "/store"}}), 1);
  }
}

TEST_CASE("CFG-07: a config whose connections and uploads exceed the open files is refused with a number that fits") {
  running_node node;
  const auto file = node.directory() + "/files.toml";
  weir::write_file(file, "[node]\nname = \"n1\"\n[ingest.http]\nmax_connections = 500\n[pusher]\nslots = 250\n");
  const auto checked_with = [&](const std::string& files) {
    weir::command what{"prlimit", {"--nofile=" + files + ":" + files, weir::built_program("weir"), "check", file}};
    what.output_file = what.error_file = node.directory() + "/check.out";
    const auto code = weir::run_program(what);
    return std::make_pair(code, weir::read_file(what.output_file));
  };
  const auto [code, text] = checked_with("1024");
  INFO(text);
  CHECK_EQ(code, 1);
  CHECK_NE(text.find("ingest.http.max_connections: "), std::string::npos);
  CHECK_NE(text.find("for example max_connections = "), std::string::npos);
  CHECK_EQ(checked_with("2048").first, 0);
}
