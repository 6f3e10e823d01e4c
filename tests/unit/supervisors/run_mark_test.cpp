#include <doctest/doctest.h>

#include <cerrno>
#include <memory>
#include <ostream>

#include "supervisors/run_mark.hpp"
#include "tests/support/fake_disk.hpp"

using namespace weir;

namespace {

std::shared_ptr<fake_disk> disk_with_data() {
  auto disk = std::make_shared<fake_disk>();
  REQUIRE_FALSE(disk->make_directories("/data"));
  return disk;
}

} // namespace

TEST_CASE("a start knows how many processes in a row before it did not end in order") {
  const auto disk = disk_with_data();
  CHECK_EQ(run_mark(disk, "/data").unclean_starts(), 0u);
  CHECK_EQ(run_mark(disk, "/data").unclean_starts(), 1u);
  run_mark third{disk, "/data"};
  CHECK_EQ(third.unclean_starts(), 2u);
  third.end();
  CHECK_EQ(run_mark(disk, "/data").unclean_starts(), 0u);
  CHECK_EQ(run_mark(disk, "/data").unclean_starts(), 1u);
}

TEST_CASE("a mark that holds no number still says that a process did not end in order") {
  const auto disk = disk_with_data();
  std::unique_ptr<disk_file> file;
  REQUIRE_FALSE(disk->open("/data/running", disk::open_mode::create, file));
  REQUIRE_FALSE(file->write(0, {"what is this"}));
  CHECK_EQ(run_mark(disk, "/data").unclean_starts(), 1u);
}

TEST_CASE("a disk that takes no mark keeps no node from starting") {
  const auto disk = disk_with_data();
  disk_fault refuses;
  refuses.kind = disk_operation::open;
  refuses.error = EROFS;
  refuses.times = disk_fault::for_ever;
  disk->inject(refuses);
  run_mark mark{disk, "/data"};
  CHECK_EQ(mark.unclean_starts(), 1u); // it cannot tell, and says so rather than nothing
}
