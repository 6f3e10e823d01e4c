#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/bulky_sender.hpp"
#include "tests/support/loop_disk.hpp"

using namespace std::chrono_literals;
using weir::loop_disk;
using weir::running_node;

namespace {

constexpr std::uint64_t spare_segments = 3; // the default of `store.spare_segments`

weir::node_plan plan_on(const loop_disk& disk) {
  auto plan = weir::plan_of_small_segments();
  plan.jobs = 1;
  plan.data_dir = disk / "data";
  return plan;
}

bool has_reason(const running_node& node, const std::string& reason) {
  weir::http_client client;
  return client.get("http://127.0.0.1:" + std::to_string(node.control_port()) + "/readyz").body.find(reason)
         != std::string::npos;
}

std::uint64_t free_segments(running_node& node) {
  return std::stoull(node.state()["free_segments"].get<std::string>());
}

/// Posts until a body is refused, which must be a refusal with its reason and its time.
void fill_up(weir::bulky_sender& sender) {
  weir::http_answer answer;
  const auto refused = weir::wait_for([&] { return (answer = sender.post()).status != 200; }, 60s);
  REQUIRE(refused);
  INFO(answer.body);
  CHECK_EQ(answer.status, 507);
  CHECK_EQ(answer.headers.count("retry-after"), 1);
}

/// All that was accepted is in objects, once.
void check_delivered(running_node& node, const weir::bulky_sender& sender) {
  const auto verdict = node.audit();
  INFO(verdict.text.substr(0, 2000));
  CHECK_EQ(verdict.exit_code, 0);
  CHECK_EQ(verdict.number("events"), sender.accepted);
}

bool takes_again(weir::bulky_sender& sender) {
  return weir::wait_for([&] { return sender.post().status == 200; }, 30s);
}

} // namespace

TEST_CASE(
    "DSK-01: a disk full of backlog refuses before the acknowledgement, drains, and takes events again by itself") {
  loop_disk disk(64 << 20);
  running_node node(plan_on(disk));
  node.start();
  weir::withdrawn_objects away(node);
  weir::bulky_sender sender(node);
  fill_up(sender);
  CHECK_GT(sender.accepted, 200);
  // At the reserve, not at zero: what is left is for cuts, commits and relocation.
  CHECK_GE(free_segments(node), 2);
  CHECK(weir::wait_for([&] { return has_reason(node, "disk_full"); }));
  CHECK_EQ(node.state()["disk_state"], "refuse_appends");
  away.give_back();
  CHECK(node.drained());
  CHECK(takes_again(sender));
  CHECK(node.ready());
  CHECK(node.drained());
  CHECK_EQ(node.stop(), 0);
  check_delivered(node, sender);
}

TEST_CASE(
    "DSK-01: when a foreign file takes the last byte, what was acknowledged is still delivered, over a kill too") {
  loop_disk disk(64 << 20);
  running_node node(plan_on(disk));
  node.start();
  weir::withdrawn_objects away(node);
  weir::bulky_sender sender(node);
  for (int i = 0; i < 50; ++i) {
    const auto answer = sender.post();
    INFO(i, answer.body);
    REQUIRE_EQ(answer.status, 200);
  }
  disk.fill("foreign");
  fill_up(sender);
  node.kill();
  node.launch();
  // It comes up without wanting traffic, and works off what it has.
  REQUIRE(weir::wait_for([&] { return has_reason(node, "disk_full"); }));
  away.give_back();
  CHECK(node.drained());
  // Segments that were drained are free ones, foreign file or not: they take events again, down to the reserve.
  CHECK(takes_again(sender));
  CHECK(std::filesystem::exists(disk / "foreign"));
  weir::withdrawn_objects away_again(node);
  const auto before = sender.accepted;
  fill_up(sender);
  CHECK_GT(sender.accepted, before);
  CHECK_GE(free_segments(node), spare_segments);
  // What was delivered gives a last segment back now and then; that fills up, too.
  CHECK(weir::wait_for([&] { return sender.post().status != 200 && has_reason(node, "disk_full"); }));
  CHECK_GE(free_segments(node), spare_segments);
  std::filesystem::remove(disk / "foreign");
  CHECK(takes_again(sender));
  away_again.give_back();
  CHECK(node.drained());
  CHECK(node.ready());
  CHECK_EQ(node.stop(), 0);
  check_delivered(node, sender);
}

TEST_CASE(
    "DSK-01: without an inode left nothing acknowledged is lost, and events are taken again when there are some") {
  loop_disk disk(64 << 20, {"-N", "64"});
  running_node node(plan_on(disk));
  node.start();
  weir::withdrawn_objects away(node);
  weir::bulky_sender sender(node);
  for (int i = 0; i < 10; ++i)
    REQUIRE_EQ(sender.post().status, 200);
  const auto foreign = disk.fill_inodes("foreign");
  REQUIRE_FALSE(foreign.empty());
  // Segments that exist take some more; then a new file would be needed.
  weir::http_answer answer;
  CHECK(weir::wait_for([&] { return (answer = sender.post()).status != 200; }, 30s));
  INFO(answer.body);
  CHECK((answer.status == 507 || answer.status == 503));
  CHECK_EQ(answer.headers.count("retry-after"), 1);
  CHECK(node.running());
  for (const auto& path : foreign)
    std::filesystem::remove(path);
  CHECK(takes_again(sender));
  away.give_back();
  CHECK(node.drained());
  CHECK_EQ(node.stop(), 0);
  check_delivered(node, sender);
}
