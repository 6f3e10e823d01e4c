#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/loop_disk.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;
using weir::loop_disk;

namespace {

struct on_a_disk {
  loop_disk disk{64 << 20};
  weir::restarts run{plan(), weir::test_seed("read-only disk", 31)};
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
};

} // namespace

TEST_CASE_FIXTURE(
    on_a_disk,
    "DSK-05: when the file system turns read-only under load, bodies are refused, cuts are delivered, and once it is "
    "mounted for writing again the same process commits them and takes events, without a double") {
  run.start();
  weir::withdrawn_objects away(run.node);
  run.send();
  REQUIRE(run.let_pass(100));
  // Each job has a cut that waits for its destination.
  REQUIRE(weir::wait_for([&] { return run.node.metric("weir_buffer_cuts_total") >= 4; }));
  disk.turn_read_only();
  weir::http_answer refused;
  CHECK(weir::wait_for([&] { return (refused = post("while-read-only")).status != 200; }));
  INFO(refused.body);
  CHECK((refused.status == 503 || refused.status == 507));
  CHECK_EQ(refused.headers.count("retry-after"), 1);
  CHECK_EQ(run.node.control("/healthz").status, 200);
  CHECK_GE(run.node.metric("weir_store_sync_errors_total"), 1);
  // Uploads of what is durable go on; that they are at their destination is remembered, and not yet on disk.
  away.give_back();
  CHECK(weir::wait_for([&] { return run.object_files() >= 4 + 4; })); // Directories, and a file in each.
  CHECK_EQ(run.node.ledger()["totals"]["delivered"], "0");
  const auto process = run.node.id();
  disk.mount_again();
  CHECK(run.let_pass(50));
  CHECK(weir::wait_for([&] { return run.node.ledger()["totals"]["delivered"] != "0"; }));
  CHECK_EQ(run.node.id(), process);
  CHECK_EQ(run.starts, 1);
  run.finish();
}

TEST_CASE_FIXTURE(on_a_disk,
                  "DSK-05: after a kill on a read-only disk the node starts once it is mounted again, and nothing that "
                  "was acknowledged is missing or doubled") {
  run.start();
  run.send();
  REQUIRE(run.let_pass(100));
  disk.turn_read_only();
  CHECK(weir::wait_for([&] { return post("refused").status != 200; }));
  run.node.kill();
  disk.mount_again();
  run.start();
  CHECK(run.let_pass(50));
  run.finish();
}
