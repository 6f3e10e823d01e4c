#include <filesystem>
#include <fstream>
#include <set>

#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

/// Names of all objects, and the UTC days on which their first events arrived.
std::pair<std::multiset<std::string>, std::set<std::string>> objects_of(const running_node& node) {
  std::multiset<std::string> names;
  std::set<std::string> days;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(node.objects_dir()))
    if (entry.is_regular_file()) {
      const auto name = entry.path().filename().string();
      names.insert(entry.path().parent_path().filename().string() + '/' + name);
      days.insert(name.substr(0, 8));
    }
  return {names, days};
}

} // namespace

TEST_CASE("CLK-01: the wall clock jumps by 2 h, back, and by a day under load; nothing is lost, doubled or late") {
  weir::node_plan plan;
  plan.jobs = 4;
  running_node node(plan);
  const auto clock = node.directory() + "/clock";
  weir::write_file(clock, std::string(sizeof(std::int64_t), '\0'));
  const auto shift_clock = [&](std::int64_t seconds) {
    std::fstream file(clock, std::ios::in | std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&seconds), sizeof seconds);
    file.flush();
    REQUIRE(file.good());
  };
  node.launch({"env", "LD_PRELOAD=" + weir::built_program("libweir_shifted_clock.so"), "WEIR_SHIFTED_CLOCK=" + clock});
  REQUIRE(node.wait_until_ready());
  weir::load_plan load;
  load.events = 0;
  load.rate = 4000;
  auto sender = node.send(load);
  const auto delivered = [&] { return ledger_number(node.ledger()["totals"]["delivered"]); };
  for (const std::int64_t jump : {0, 7200, -7200, 0, 86'400, 0}) {
    CAPTURE(jump);
    shift_clock(jump);
    // Two seconds of events, delivered at their usual pace whatever the wall says.
    const auto goal = delivered() + 12'000;
    const auto begin = std::chrono::steady_clock::now();
    const auto went_on =
        weir::wait_for([&] { return delivered() >= goal || !node.running() || !sender.running(); }, 15s);
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("clock %+lld s: 12000 events delivered in %.1f s\n", static_cast<long long>(jump), took);
    INFO(node.log());
    REQUIRE(went_on);
    REQUIRE(node.running());
    REQUIRE(sender.running());
    CHECK_LT(took, 8.0);
  }
  sender.terminate();
  CHECK_EQ(sender.wait(60s), 0);
  REQUIRE(node.drained());
  const auto totals = node.ledger()["totals"];
  INFO(totals.dump());
  CHECK_EQ(ledger_number(totals["expired"]), 0);
  CHECK_EQ(ledger_number(totals["shed"]), 0);
  CHECK_EQ(node.log().find("events-expired"), std::string::npos);
  CHECK_EQ(node.log().find("object-name-taken"), std::string::npos);
  CHECK_EQ(node.stop(), 0);
  const auto [names, days] = objects_of(node);
  CHECK_GE(days.size(), 2); // The clock did jump.
  CHECK_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  const auto proven = node.audit();
  INFO(proven.text);
  CHECK_EQ(proven.exit_code, 0);
  CHECK_EQ(proven.number("receipts.missing"), 0);
  CHECK_EQ(proven.number("gaps"), 0);
  CHECK_EQ(proven.number("doubled_events"), 0);
}
