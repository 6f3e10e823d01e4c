#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/test_seed.hpp"

using weir::lossy_disk;

namespace {

/// Cuts the power, at an instant or at a change of the disk that is drawn, and lets the disk forget.
void cut_power(weir::restarts& run, lossy_disk& disk) {
  if (run.draw(2) == 0) {
    disk.power_off_at(1 + run.draw(120));
    REQUIRE(weir::wait_for([&] { return disk.status().off; }));
  } else {
    REQUIRE(run.let_pass(run.draw(40)));
    disk.power_off();
  }
  run.node.kill();
  disk.crash(run.random());
}

} // namespace

TEST_CASE(
    "DSK-03: a hundred and eighty power cuts lose no acknowledged event and no delivered object, and double none") {
  lossy_disk disk;
  auto plan = weir::plan_of_small_segments();
  plan.data_dir = disk / "data";
  plan.objects_dir = disk / "objects";
  weir::restarts run(plan, weir::test_seed("power cuts", 13));
  run.start();
  run.send();
  for (int cuts = 0; cuts < 180; ++cuts) {
    CAPTURE(cuts);
    cut_power(run, disk);
    if (run.draw(8) == 0) { // and once more while it recovers
      disk.power_off_at(1 + run.draw(12));
      run.kill_in_recovery([&] { return disk.status().off; });
      disk.crash(run.random());
      ++cuts;
    }
    run.start();
  }
  run.drain();
  CHECK_EQ(run.node.stop(), 0);
  // What was reported as delivered must not hang on a page that is still in memory.
  disk.crash(run.random(), lossy_disk::pending_fate::lose_all);
  run.check_audit();
}
