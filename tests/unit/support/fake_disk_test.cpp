#include "tests/support/fake_disk.hpp"

#include <cerrno>
#include <ostream>
#include <set>
#include <thread>

#include <doctest/doctest.h>

using weir::disk;
using weir::disk_fault;
using weir::disk_operation;
using weir::fake_disk;

namespace {

std::unique_ptr<weir::disk_file> open(fake_disk& disk, const std::string& path) {
  std::unique_ptr<weir::disk_file> file;
  REQUIRE_FALSE(disk.open(path, disk::open_mode::create, file));
  return file;
}

std::unique_ptr<weir::disk_file> open_durable(fake_disk& disk, const std::string& path) {
  auto file = open(disk, path);
  REQUIRE_FALSE(disk.sync_directory("."));
  return file;
}

std::string page(char fill) {
  return std::string(4096, fill);
}

/// How the file looks after each of 64 power cuts; none for a missing file.
std::set<std::optional<std::string>> after_crashes(const fake_disk& disk, const std::string& path) {
  std::set<std::optional<std::string>> found;
  for (std::uint64_t seed = 0; seed < 64; ++seed)
    found.insert(disk.image_after_crash(seed)->contents(path));
  return found;
}

} // namespace

TEST_CASE("synced bytes under a synced name survive every power cut") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"hello ", "world"}));
  CHECK(disk.has_pending());
  REQUIRE_FALSE(file->sync());
  CHECK_FALSE(disk.has_pending());
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{"hello world"});
}

TEST_CASE("bytes that were not synced are lost after some power cuts and kept after others") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"old"}));
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(file->write(0, {"new"}));
  CHECK_EQ(disk.contents("a"), "new");
  CHECK_EQ(disk.durable_contents("a"), "old");
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{"old", "new"});
}

TEST_CASE("pending pages reach the medium in any order, torn by sectors, or as they were in between") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {page('0'), page('0')}));
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(file->write(0, {page('1')}));
  REQUIRE_FALSE(file->write(0, {page('2'), page('3')}));
  auto second_only = false, torn = false, in_between = false;
  for (auto& found : after_crashes(disk, "a")) {
    REQUIRE(found);
    REQUIRE_EQ(found->size(), 8192);
    auto first = found->substr(0, 4096), second = found->substr(4096);
    second_only |= first == page('0') && second == page('3');
    in_between |= first == page('1');
    std::set<char> seen(first.begin(), first.end());
    torn |= seen == std::set<char>{'0', '2'};
    for (std::size_t at = 0; at < 8192; at += 512)
      CHECK_EQ(found->substr(at, 512), std::string(512, (*found)[at]));
  }
  CHECK(second_only);
  CHECK(torn);
  CHECK(in_between);
}

TEST_CASE("a new name is lost without sync_directory, although its file was synced") {
  fake_disk disk;
  auto file = open(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(file->sync());
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{std::nullopt, "x"});
  REQUIRE_FALSE(disk.sync_directory("."));
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{"x"});
}

TEST_CASE("a rename replaces its target as a whole or not at all") {
  fake_disk disk;
  for (auto [name, text] : {std::pair{"a", "old"}, {"a.new", "new"}}) {
    auto file = open(disk, name);
    REQUIRE_FALSE(file->write(0, {text}));
    REQUIRE_FALSE(file->sync());
  }
  REQUIRE_FALSE(disk.sync_directory("."));
  REQUIRE_FALSE(disk.rename("a.new", "a"));
  CHECK_EQ(disk.contents("a"), "new");
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    auto image = disk.image_after_crash(seed);
    auto done = image->contents("a") == "new";
    CHECK_EQ(image->contents("a"), done ? "new" : "old");
    CHECK_EQ(image->contents("a.new").has_value(), !done);
  }
  CHECK_EQ(after_crashes(disk, "a").size(), 2);
  REQUIRE_FALSE(disk.sync_directory("."));
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{"new"});
}

TEST_CASE("a removal that was not synced may come undone, with the bytes") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(disk.remove("a"));
  CHECK_FALSE(disk.contents("a"));
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{std::nullopt, "x"});
  CHECK_EQ(disk.remove("a").value(), ENOENT);
}

TEST_CASE("after a power cut old handles fail and new ones find what is durable") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(file->sync());
  disk.crash(1);
  char byte = 0;
  std::size_t got = 0;
  CHECK_EQ(file->read(0, &byte, 1, got).value(), EBADF);
  CHECK_EQ(file->write(0, {"y"}).value(), EBADF);
  CHECK_EQ(file->sync().value(), EBADF);
  file.reset();
  auto again = open(disk, "a");
  REQUIRE_FALSE(again->read(0, &byte, 1, got));
  CHECK_EQ(got, 1);
  CHECK_EQ(byte, 'x');
}

TEST_CASE("the same seed gives the same disk after a power cut") {
  fake_disk disk;
  auto file = open(disk, "a");
  for (int i = 0; i < 20; ++i)
    REQUIRE_FALSE(file->write(i * 1000u, {page(static_cast<char>('a' + i))}));
  for (std::uint64_t seed = 0; seed < 16; ++seed)
    CHECK_EQ(disk.image_after_crash(seed)->contents("a"), disk.image_after_crash(seed)->contents("a"));
}

TEST_CASE("a size that was not synced is the old one, the new one, or between") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"12345"}));
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(file->truncate(2));
  for (auto& found : after_crashes(disk, "a"))
    CHECK((found == "12345" || found == "12" || found == std::string("12\0\0\0", 5)));
  REQUIRE_FALSE(file->truncate(3));
  CHECK_EQ(disk.contents("a"), std::string("12\0", 3));
}

TEST_CASE("a failed sync loses what was pending: the next one succeeds and saves nothing of it") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {page('0')}));
  REQUIRE_FALSE(file->sync());
  disk.inject({disk_operation::sync, EIO});
  REQUIRE_FALSE(file->write(0, {page('1')}));
  CHECK_EQ(file->sync().value(), EIO);
  CHECK_EQ(disk.faults_struck(), 1);
  CHECK_FALSE(file->sync());
  CHECK_EQ(disk.contents("a"), page('1')); // the cache still shows it
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{page('0')});
  disk.drop_caches();
  CHECK_EQ(disk.contents("a"), page('0'));
}

TEST_CASE("a failing write leaves a part of its range") {
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    fake_disk disk(seed);
    auto file = open(disk, "a");
    disk.inject({disk_operation::write, EIO});
    CHECK_EQ(file->write(0, {page('1')}).value(), EIO);
    sizes.insert(disk.contents("a")->size());
  }
  CHECK_GT(sizes.size(), 4);
}

TEST_CASE("a fault strikes the n-th operation of its kind and path, as often as told") {
  fake_disk disk;
  auto a = open(disk, "a"), b = open(disk, "b");
  disk.inject({disk_operation::write, ENOSPC, 2, 2, "b"});
  CHECK_FALSE(a->write(0, {"x"}));
  CHECK_FALSE(b->write(0, {"x"}));
  CHECK_FALSE(a->write(0, {"x"}));
  CHECK_EQ(b->write(0, {"x"}).value(), ENOSPC);
  CHECK_EQ(b->write(0, {"x"}).value(), ENOSPC);
  CHECK_FALSE(b->write(0, {"x"}));
  disk.inject({disk_operation::list, EIO, 1, disk_fault::for_ever, ""});
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i)
    CHECK_EQ(disk.list(".", names).value(), EIO);
  disk.heal();
  CHECK_FALSE(disk.list(".", names));
  CHECK_EQ(names, std::vector<std::string>{"a", "b"});
  CHECK_EQ(disk.faults_struck(), 5);
  CHECK_EQ(disk.count(disk_operation::write), 6);
}

TEST_CASE("capacity refuses what does not fit and takes back what is freed") {
  fake_disk disk;
  disk.set_capacity(4 * 4096);
  auto a = open(disk, "a");
  CHECK_FALSE(a->allocate(3 * 4096));
  CHECK_EQ(disk.used_bytes(), 3 * 4096);
  auto b = open(disk, "b");
  CHECK_EQ(b->allocate(2 * 4096).value(), ENOSPC);
  CHECK_FALSE(a->write(4096, {page('1')})); // reserved before
  CHECK_EQ(b->write(0, {page('1'), page('2')}).value(), ENOSPC);
  CHECK_EQ(disk.contents("b"), page('1'));
  std::unique_ptr<weir::disk_file> c;
  CHECK_EQ(disk.open("c", disk::open_mode::create, c).value(), ENOSPC);
  REQUIRE_FALSE(disk.remove("a"));
  CHECK_EQ(disk.used_bytes(), 4 * 4096); // still open
  a.reset();
  CHECK_EQ(disk.used_bytes(), 4096);
  CHECK_FALSE(b->write(4096, {page('2')}));
  CHECK_FALSE(b->truncate(1));
  CHECK_EQ(disk.used_bytes(), 4096);
  disk.set_capacity(0);
  disk::space space;
  REQUIRE_FALSE(disk.free_space(".", space));
  CHECK_EQ(space.available, 0);
}

TEST_CASE("a read-only disk refuses changes and answers reads") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(file->sync());
  disk.set_read_only(true);
  CHECK_EQ(file->write(0, {"y"}).value(), EROFS);
  CHECK_EQ(file->allocate(10'000).value(), EROFS);
  CHECK_EQ(file->truncate(0).value(), EROFS);
  CHECK_EQ(disk.remove("a").value(), EROFS);
  CHECK_EQ(disk.rename("a", "b").value(), EROFS);
  CHECK_EQ(disk.make_directories("d/e").value(), EROFS);
  std::unique_ptr<weir::disk_file> other;
  CHECK_EQ(disk.open("b", disk::open_mode::create, other).value(), EROFS);
  CHECK_FALSE(file->sync());
  CHECK_EQ(disk.contents("a"), "x");
  disk.set_read_only(false);
  CHECK_FALSE(file->write(0, {"y"}));
}

TEST_CASE("a flipped bit is there before and after a power cut") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"aaa"}));
  REQUIRE_FALSE(file->sync());
  CHECK(disk.flip_bit("a", 1, 1));
  CHECK_FALSE(disk.flip_bit("a", 3, 1));
  CHECK_FALSE(disk.flip_bit("b", 0, 1));
  CHECK_EQ(disk.contents("a"), "aca");
  CHECK_EQ(after_crashes(disk, "a"), std::set<std::optional<std::string>>{"aca"});
}

TEST_CASE("a power cut can be had at every change of a run") {
  auto run = [](fake_disk& disk) {
    std::unique_ptr<weir::disk_file> file;
    auto done = !disk.make_directories("d") && !disk.open("d/new", disk::open_mode::create_exclusive, file)
                && !file->write(0, {"text"}) && !file->sync() && !disk.rename("d/new", "d/final")
                && !disk.sync_directory("d");
    return done;
  };
  fake_disk whole;
  REQUIRE(run(whole));
  CHECK_EQ(whole.changes(), 6);
  for (std::uint64_t at = 1; at <= whole.changes(); ++at)
    for (std::uint64_t seed = 0; seed < 32; ++seed) {
      fake_disk disk;
      disk.crash_at(at);
      CHECK_FALSE(run(disk));
      CHECK(disk.crashed());
      std::vector<std::string> names;
      CHECK_EQ(disk.list(".", names).value(), EIO);
      disk.crash(seed);
      CHECK_FALSE(disk.crashed());
      auto found = disk.contents("d/final");
      CHECK((!found || *found == "text"));
    }
}

TEST_CASE("the hook runs outside the lock, so a slow sync holds up nobody else") {
  fake_disk disk;
  auto a = open(disk, "a"), b = open(disk, "b");
  auto inner = std::error_code{};
  std::vector<std::string> seen;
  disk.set_hook([&](disk_operation kind, const std::string& path) {
    if (kind == disk_operation::sync) {
      seen.push_back(path);
      std::thread([&] { inner = b->write(0, {"x"}); }).join();
    }
  });
  CHECK_FALSE(a->sync());
  CHECK_FALSE(inner);
  CHECK_EQ(seen, std::vector<std::string>{"a"});
}

TEST_CASE("paths and modes are checked as a file system checks them") {
  fake_disk disk;
  std::unique_ptr<weir::disk_file> file;
  CHECK_EQ(disk.open("a", disk::open_mode::read, file).value(), ENOENT);
  CHECK_EQ(disk.open("d/a", disk::open_mode::create, file).value(), ENOENT);
  REQUIRE_FALSE(disk.make_directories("d//e/"));
  CHECK_EQ(disk.open("d/e", disk::open_mode::read, file).value(), EISDIR);
  REQUIRE_FALSE(disk.open("./d/a", disk::open_mode::create_exclusive, file));
  CHECK_EQ(disk.open("d/a", disk::open_mode::create_exclusive, file).value(), EEXIST);
  CHECK_EQ(disk.make_directories("d/a/b").value(), ENOTDIR);
  CHECK_EQ(disk.remove("d").value(), EISDIR);
  std::vector<std::string> names;
  CHECK_FALSE(disk.list("d", names));
  CHECK_EQ(names, std::vector<std::string>{"a", "e"});
  CHECK_EQ(disk.list("x", names).value(), ENOENT);
  CHECK_EQ(disk.sync_directory("x").value(), ENOENT);
  REQUIRE_FALSE(disk.open("d/a", disk::open_mode::read, file));
  CHECK_EQ(file->write(0, {"x"}).value(), EBADF);
}

TEST_CASE("a file that was removed lives until its last handle is closed") {
  fake_disk disk;
  auto file = open(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(disk.remove("a"));
  char byte = 0;
  std::size_t got = 0;
  REQUIRE_FALSE(file->read(0, &byte, 1, got));
  CHECK_EQ(byte, 'x');
  CHECK_EQ(disk.used_bytes(), 4096);
  file.reset();
  CHECK_EQ(disk.used_bytes(), 0);
}

TEST_CASE("a sparse allocation of a whole segment costs no memory and reads as zeros") {
  fake_disk disk;
  auto file = open(disk, "a");
  REQUIRE_FALSE(file->allocate(64ull << 20));
  std::uint64_t size = 0;
  REQUIRE_FALSE(file->size(size));
  CHECK_EQ(size, 64ull << 20);
  std::string read(10, 'x');
  std::size_t got = 0;
  REQUIRE_FALSE(file->read((64ull << 20) - 4, read.data(), read.size(), got));
  CHECK_EQ(got, 4);
  CHECK_EQ(read.substr(0, 4), std::string(4, '\0'));
}

TEST_CASE("a directory without its own durable name takes durable files with it") {
  fake_disk disk;
  REQUIRE_FALSE(disk.make_directory("d"));
  CHECK_EQ(disk.make_directory("d").value(), EEXIST);
  CHECK_EQ(disk.make_directory("x/y").value(), ENOENT);
  auto file = open(disk, "d/a");
  REQUIRE_FALSE(file->sync());
  REQUIRE_FALSE(disk.sync_directory("d"));
  CHECK_EQ(after_crashes(disk, "d/a"), std::set<std::optional<std::string>>{std::nullopt, ""});
  REQUIRE_FALSE(disk.sync_directory("."));
  CHECK_EQ(after_crashes(disk, "d/a"), std::set<std::optional<std::string>>{""});
  CHECK_EQ(disk.remove_directory("d").value(), ENOTEMPTY);
  REQUIRE_FALSE(disk.remove("d/a"));
  REQUIRE_FALSE(disk.remove_directory("d"));
  CHECK_FALSE(disk.look_up("d"));
}

TEST_CASE("the fate of what is pending can be chosen, and power can stay off for a while") {
  fake_disk disk;
  auto file = open_durable(disk, "a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  CHECK_EQ(disk.image_after_crash(7, fake_disk::pending_fate::lose_all)->contents("a"), "");
  CHECK_EQ(disk.image_after_crash(7, fake_disk::pending_fate::keep_all)->contents("a"), "x");
  disk.power_off();
  CHECK_EQ(file->sync().value(), EIO);
  disk.crash(7, fake_disk::pending_fate::lose_all);
  CHECK_EQ(disk.contents("a"), "");
}
