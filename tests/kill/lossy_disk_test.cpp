#include "tests/support/lossy_disk.hpp"

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <set>
#include <system_error>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "apps/real/real_environment.hpp"

using namespace std::chrono_literals;
using weir::lossy_disk;

namespace {

/// A program that writes by `script` (with `$1` the disk) and then stays until it is killed.
void write_and_kill(lossy_disk& disk, const std::string& script) {
  weir::temporary_directory marks;
  weir::process writer(
      {"/bin/sh", {"-ec", script + "\n: > \"$2\"; exec sleep 1000", "sh", disk.path(), marks / "done"}});
  REQUIRE(weir::wait_for([&] { return std::filesystem::exists(marks / "done"); }));
  CHECK(writer.running());
  writer.kill();
}

struct with_lossy_disk {
  lossy_disk disk;
  std::shared_ptr<weir::disk> real = weir::make_real_disk();

  std::unique_ptr<weir::disk_file> open(const std::string& name) {
    std::unique_ptr<weir::disk_file> file;
    REQUIRE_FALSE(real->open(disk / name, weir::disk::open_mode::create, file));
    return file;
  }
};

} // namespace

TEST_CASE_FIXTURE(with_lossy_disk,
                  "what a killed program did not sync is there after the kill and gone after the cut") {
  write_and_kill(disk, "printf text > \"$1/file\"; sync \"$1\"");
  CHECK_EQ(weir::read_file(disk / "file"), "text");
  CHECK(disk.status().pending);
  disk.crash(1, lossy_disk::pending_fate::lose_all);
  CHECK(std::filesystem::exists(disk / "file"));
  CHECK_EQ(weir::read_file(disk / "file"), "");
}

TEST_CASE_FIXTURE(with_lossy_disk, "what a killed program synced survives every cut") {
  write_and_kill(disk, "printf text > \"$1/file\"; sync -d \"$1/file\"; sync \"$1\"");
  CHECK_FALSE(disk.status().pending);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    disk.crash(seed);
    CHECK_EQ(weir::read_file(disk / "file"), "text");
  }
}

TEST_CASE_FIXTURE(with_lossy_disk,
                  "a name that was not synced is lost with its synced bytes, and a directory with its names") {
  write_and_kill(disk, "printf text > \"$1/file\"; sync -d \"$1/file\"; mkdir \"$1/d\"; : > \"$1/d/e\"; sync \"$1/d\"");
  CHECK(std::filesystem::exists(disk / "d/e"));
  disk.crash(1, lossy_disk::pending_fate::lose_all);
  CHECK_FALSE(std::filesystem::exists(disk / "file"));
  CHECK_FALSE(std::filesystem::exists(disk / "d"));
}

TEST_CASE_FIXTURE(with_lossy_disk, "between keeping and losing all, pages are lost one by one and torn by sectors") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    auto file = open("file");
    REQUIRE_FALSE(file->truncate(0));
    REQUIRE_FALSE(file->write(0, {std::string(16'384, '0')}));
    REQUIRE_FALSE(file->sync());
    REQUIRE_FALSE(real->sync_directory(disk.path()));
    REQUIRE_FALSE(file->write(0, {std::string(16'384, '1')}));
    disk.crash(seed);
    auto found = weir::read_file(disk / "file");
    CHECK_EQ(found.size(), 16'384);
    std::string sectors;
    for (std::size_t at = 0; at < found.size(); at += 512) {
      CHECK_EQ(found.substr(at, 512), std::string(512, found[at]));
      sectors += found[at];
    }
    seen.insert(sectors);
  }
  CHECK_EQ(seen.count(std::string(32, '0')), 1);
  CHECK_EQ(seen.count(std::string(32, '1')), 1);
  CHECK_GT(seen.size(), 10);
}

TEST_CASE_FIXTURE(with_lossy_disk, "a program that outlives the cut can neither read nor write what it had open") {
  auto file = open("file");
  REQUIRE_FALSE(file->write(0, {"text"}));
  disk.power_off();
  CHECK_EQ(file->sync().value(), EIO);
  std::unique_ptr<weir::disk_file> other;
  CHECK_EQ(real->open(disk / "other", weir::disk::open_mode::create, other).value(), EIO);
  disk.crash(1);
  CHECK_EQ(file->write(0, {"more"}).value(), EIO);
  CHECK_EQ(file->sync().value(), EIO);
  REQUIRE_FALSE(open("other")->write(0, {"x"}));
}

TEST_CASE_FIXTURE(with_lossy_disk, "the power can fail at a change that was chosen beforehand") {
  auto file = open("file");
  disk.power_off_at(3);
  CHECK_FALSE(file->write(0, {"1"}));
  CHECK_FALSE(file->sync());
  CHECK_EQ(file->write(0, {"2"}).value(), EIO);
  CHECK(disk.status().off);
  CHECK_EQ(file->sync().value(), EIO);
}

TEST_CASE_FIXTURE(with_lossy_disk, "a sync fails once, the next one lies, and the data is lost") {
  auto file = open("file");
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(real->sync_directory(disk.path()));
  disk.fail("sync", EIO);
  REQUIRE_FALSE(file->write(0, {"text"}));
  CHECK_EQ(file->sync().value(), EIO);
  CHECK_FALSE(file->sync());
  CHECK_EQ(disk.status().faults, 1);
  disk.crash(5, lossy_disk::pending_fate::keep_all);
  CHECK_EQ(weir::read_file(disk / "file"), std::string(4, '\0'));
}

TEST_CASE_FIXTURE(with_lossy_disk, "a fault can be aimed at the n-th write of one file") {
  auto a = open("a"), b = open("b");
  disk.fail("write", ENOSPC, 2, weir::disk_fault::for_ever, "/b");
  CHECK_FALSE(b->write(0, {"x"}));
  CHECK_FALSE(a->write(0, {"x"}));
  for (int i = 0; i < 3; ++i)
    CHECK_EQ(b->write(0, {"x"}).value(), ENOSPC);
  disk.heal();
  CHECK_FALSE(b->write(0, {"x"}));
}

TEST_CASE_FIXTURE(with_lossy_disk, "the disk fills up, is seen to be full, and takes more after a removal") {
  disk.set_capacity(1 << 20);
  auto file = open("file");
  CHECK_EQ(file->allocate(2 << 20).value(), ENOSPC);
  CHECK_FALSE(file->allocate(1 << 20));
  weir::disk::space space;
  REQUIRE_FALSE(real->free_space(disk.path(), space));
  CHECK_EQ(space.total, 1 << 20);
  CHECK_EQ(space.available, 0);
  auto other = std::unique_ptr<weir::disk_file>();
  CHECK_EQ(real->open(disk / "other", weir::disk::open_mode::create, other).value(), ENOSPC);
  file.reset();
  REQUIRE_FALSE(real->remove(disk / "file"));
  // The kernel tells of the last close behind the caller's back.
  CHECK(weir::wait_for([&] { return disk.status().used_bytes == 0; }));
  CHECK_FALSE(open("other")->write(0, {"x"}));
}

TEST_CASE_FIXTURE(with_lossy_disk, "read-only refuses changes and answers reads, until it is over") {
  auto file = open("file");
  REQUIRE_FALSE(file->write(0, {"text"}));
  REQUIRE_FALSE(file->sync());
  disk.set_read_only(true);
  CHECK_EQ(file->write(0, {"more"}).value(), EROFS);
  CHECK_EQ(real->remove(disk / "file").value(), EROFS);
  CHECK_EQ(weir::read_file(disk / "file"), "text");
  disk.set_read_only(false);
  CHECK_FALSE(file->write(0, {"more"}));
}

TEST_CASE_FIXTURE(with_lossy_disk, "a slow sync takes so much longer and holds up nothing else") {
  auto file = open("file"), other = open("other");
  disk.delay_syncs(300ms);
  auto begin = std::chrono::steady_clock::now();
  std::atomic<bool> synced{false};
  std::thread syncing([&] {
    CHECK_FALSE(file->sync());
    synced = true;
  });
  REQUIRE(weir::wait_for([&] { return disk.status().syncs == 1; }));
  CHECK_FALSE(other->write(0, {"x"}));
  CHECK_FALSE(synced);
  syncing.join();
  CHECK((std::chrono::steady_clock::now() - begin >= 300ms));
}

TEST_CASE_FIXTURE(with_lossy_disk, "a flipped bit is read by whoever opens the file") {
  REQUIRE_FALSE(open("file")->write(0, {"aaa"}));
  disk.flip_bit("file", 1, 1);
  CHECK_EQ(weir::read_file(disk / "file"), "aca");
  CHECK_THROWS_AS(disk.flip_bit("none", 1, 1), std::runtime_error);
}

TEST_CASE_FIXTURE(with_lossy_disk, "writes through a mapping are lost and kept like any other") {
  auto path = disk / "file";
  REQUIRE_FALSE(open("file")->truncate(4096));
  auto handle = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  auto* bytes = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0));
  REQUIRE(bytes != MAP_FAILED);
  REQUIRE_EQ(::fsync(handle), 0);
  REQUIRE_FALSE(real->sync_directory(disk.path()));
  bytes[0] = 'x';
  REQUIRE_EQ(::msync(bytes, 4096, MS_SYNC), 0);
  bytes[1] = 'y';
  ::munmap(bytes, 4096);
  ::close(handle);
  disk.crash(1, lossy_disk::pending_fate::lose_all);
  CHECK_EQ(weir::read_file(path).substr(0, 2), std::string("x\0", 2));
}

TEST_CASE_FIXTURE(with_lossy_disk, "an open file may be renamed or removed") {
  auto file = open("a");
  REQUIRE_FALSE(file->write(0, {"text"}));
  REQUIRE_FALSE(real->rename(disk / "a", disk / "b"));
  CHECK_FALSE(file->write(4, {" more"}));
  CHECK_EQ(weir::read_file(disk / "b"), "text more");
  REQUIRE_FALSE(real->remove(disk / "b"));
  char byte = 0;
  std::size_t got = 0;
  CHECK_FALSE(file->read(0, &byte, 1, got));
  CHECK_EQ(byte, 't');
  CHECK_FALSE(file->sync());
}
