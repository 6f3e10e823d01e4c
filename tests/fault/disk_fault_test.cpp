#include <cerrno>

#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;
using weir::disk_fault;
using weir::lossy_disk;

namespace {

/// The store on a disk that can fail, the objects on one that does not.
struct with_failing_disk {
  lossy_disk disk;
  std::uint64_t seed = weir::test_seed("disk faults", 21);
  weir::restarts run{plan(), seed};
  std::string zone = weir::running_node::zones(1).front();

  weir::node_plan plan() {
    auto result = weir::plan_of_small_segments();
    result.data_dir = disk / "data";
    return result;
  }

  weir::http_answer post(const std::string& key) {
    auto answer =
        run.node.post("{\"ZoneID\":\"" + zone + "\",\"RayID\":\"" + key + "\"}\n", {{"Idempotency-Key", key}});
    run.events_beside += answer.status == 200;
    return answer;
  }

  /// Everything that was acknowledged so far is delivered, and would be after a power cut at this moment.
  void cut_power_and_finish() {
    disk.power_off();
    run.node.kill();
    disk.crash(run.random(), lossy_disk::pending_fate::lose_all);
    run.start();
    run.finish();
  }
};

} // namespace

TEST_CASE_FIXTURE(
    with_failing_disk,
    "DSK-02: the body whose fsync fails gets 503, its repetition is stored once, and both survive a power cut") {
  run.start();
  REQUIRE_EQ(post("before").status, 200);
  disk.fail("sync", EIO, 1, 1, "/segment");
  const auto refused = post("body");
  INFO(refused.body);
  CHECK_EQ(refused.status, 503);
  CHECK_EQ(disk.status().faults, 1);
  CHECK_GE(run.node.metric("weir_store_sync_errors_total"), 1);
  weir::http_answer again;
  CHECK(weir::wait_for([&] { return (again = post("body")).status == 200; }));
  CHECK_NE(again.body.find("\"accepted\":1"), std::string::npos);
  CHECK_EQ(post("behind").status, 200);
  disk.power_off();
  run.node.kill();
  disk.crash(seed, lossy_disk::pending_fate::lose_all);
  run.start();
  CHECK(run.node.drained());
  CHECK_EQ(run.node.stop(), 0);
  const auto verdict = run.node.audit();
  INFO(verdict.text);
  CHECK_EQ(verdict.exit_code, 0);
  CHECK_EQ(verdict.number("events"), 3);
}

TEST_CASE_FIXTURE(
    with_failing_disk,
    "DSK-02: twenty failing syncs under load, at any file of the store, lose nothing and double nothing") {
  run.start();
  run.send();
  for (int i = 0; i < 20; ++i) {
    CAPTURE(i);
    const auto struck = disk.status().faults;
    disk.fail(run.draw(4) == 0 ? "write" : "sync", EIO, 1 + run.draw(10), 1, "/store/");
    REQUIRE(weir::wait_for([&] { return disk.status().faults > struck; }));
    REQUIRE(run.let_pass(1 + run.draw(10)));
  }
  cut_power_and_finish();
}

TEST_CASE_FIXTURE(
    with_failing_disk,
    "DSK-05: a disk that turns read-only under load refuses bodies, and is used again without a restart") {
  run.start();
  run.send();
  REQUIRE(run.let_pass(100));
  for (int round = 0; round < 2; ++round) {
    disk.set_read_only(true);
    const auto refused = post("while-read-only-" + std::to_string(round));
    INFO(refused.body);
    CHECK((refused.status == 503 || refused.status == 507));
    CHECK_EQ(refused.headers.count("retry-after"), 1);
    CHECK_EQ(run.node.control("/healthz").status, 200);
    CHECK(run.node.running());
    disk.set_read_only(false);
    CHECK(run.let_pass(50));
    CHECK(run.node.running());
  }
  CHECK_EQ(run.starts, 1);
  run.finish();
}

TEST_CASE_FIXTURE(
    with_failing_disk,
    "DSK-05: on a read-only disk an object with a durable cut is delivered, and committed once the disk is back") {
  run.start();
  weir::withdrawn_objects away(run.node);
  run.send();
  REQUIRE(run.let_pass(100));
  // Each job has a cut that waits for its destination.
  REQUIRE(weir::wait_for([&] { return run.node.metric("weir_buffer_cuts_total") >= 4; }));
  disk.set_read_only(true);
  away.give_back();
  CHECK(weir::wait_for([&] { return run.object_files() >= 4 + 4; })); // Directories, and a file in each.
  CHECK_EQ(run.node.ledger()["totals"]["delivered"], "0");
  disk.set_read_only(false);
  CHECK(run.let_pass(50));
  CHECK_EQ(run.starts, 1);
  run.finish();
}

TEST_CASE_FIXTURE(
    with_failing_disk,
    "DSK-06: with a slow fsync acknowledgements wait as long, groups widen, and deliveries go on in the same memory") {
  run.start();
  run.send(0);
  REQUIRE(run.let_pass(200));
  for (const auto delay : {50ms, 500ms}) {
    CAPTURE(delay.count());
    disk.delay_syncs(delay);
    const auto before = std::chrono::steady_clock::now();
    REQUIRE_EQ(post("slow-" + std::to_string(delay.count())).status, 200);
    CHECK((std::chrono::steady_clock::now() - before >= delay));
    const auto delivered = run.node.metric("weir_pusher_delivered_events_total");
    REQUIRE(run.let_pass(12));
    CHECK(weir::wait_for([&] { return run.node.metric("weir_pusher_delivered_events_total") > delivered; }));
    CHECK_EQ(run.node.control("/healthz").status, 200);
    CHECK_LT(weir::usage_of(run.node.id()).peak_resident, 512ull << 20);
  }
  disk.delay_syncs(5s);
  const auto before = std::chrono::steady_clock::now();
  CHECK_EQ(post("very-slow").status, 200);
  CHECK((std::chrono::steady_clock::now() - before >= 5s));
  disk.delay_syncs(0ms);
  run.finish();
}
