#include "config/last_known_good.hpp"

#include <doctest/doctest.h>

#include "tests/support/fake_disk.hpp"
#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;

namespace {

const std::string directory = "data/config";
const std::string main_copy = directory + "/last-known-good";
const std::string spare_copy = directory + "/last-known-good.spare";

const config_signer& signer() {
  static const auto result = config_signer::make();
  return result;
}

forwarding_expectations expecting() {
  forwarding_expectations result;
  result.cluster = "weir";
  result.datasets = listed_datasets();
  result.keys = {signer().public_key()};
  return result;
}

std::uint64_t size_of(fake_disk& on, const std::string& path) {
  const auto entry = on.look_up(path);
  REQUIRE(entry);
  return entry->size;
}

} // namespace

TEST_CASE("the last good config comes back from disk as it was") {
  fake_disk on;
  last_known_good good(on, directory);
  CHECK(good.load(expecting()).first_start);
  const auto made = made_of(plain_jobs(200), 7);
  REQUIRE_FALSE(good.write(*made, signer()));
  const auto loaded = good.load(expecting());
  REQUIRE(loaded.snapshot);
  CHECK_EQ(name_of(loaded.used), "main");
  CHECK_FALSE(loaded.first_start);
  CHECK(loaded.main_text.empty());
  CHECK(loaded.snapshot->content == made->content);
  CHECK_EQ(number(loaded.snapshot->version), 7u);
  CHECK(listed(*loaded.snapshot) == listed(*made));
  REQUIRE_FALSE(good.write(*made_of(plain_jobs(201), 8), signer()));
  CHECK_EQ(number(good.load(expecting()).snapshot->version), 8u);
}

TEST_CASE("CFG-02: a damaged main copy is refused with its reason, and the spare one is used") {
  const auto made = made_of(plain_jobs(100), 7);
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 40; ++i) {
    fake_disk on;
    last_known_good good(on, directory);
    REQUIRE_FALSE(good.write(*made, signer()));
    const auto at = random() % size_of(on, main_copy);
    REQUIRE(on.flip_bit(main_copy, at, static_cast<unsigned>(random() % 8)));
    auto loaded = good.load(expecting());
    REQUIRE_MESSAGE(loaded.snapshot, at);
    CHECK_EQ(name_of(loaded.used), "spare");
    CHECK(loaded.main_reason != config_refusal::none);
    CHECK_NE(loaded.main_text.find(main_copy), std::string::npos);
    CHECK(loaded.snapshot->content == made->content);

    REQUIRE(on.flip_bit(spare_copy, random() % size_of(on, spare_copy), 3));
    loaded = good.load(expecting());
    CHECK_FALSE(loaded.snapshot);
    CHECK_EQ(name_of(loaded.used), "none");
    CHECK_FALSE(loaded.first_start);
    CHECK_FALSE(loaded.spare_text.empty());
  }
}

TEST_CASE("a power cut at any moment of writing leaves the old config or the new one") {
  const auto before = made_of(plain_jobs(60), 7);
  const auto after = made_of(plain_jobs(70), 8);
  fake_disk counted;
  REQUIRE_FALSE(last_known_good(counted, directory).write(*before, signer()));
  const auto changes_before = counted.changes();
  REQUIRE_FALSE(last_known_good(counted, directory).write(*after, signer()));
  const auto changes = counted.changes() - changes_before;
  REQUIRE_GT(changes, 8u);
  std::uint64_t new_ones = 0;
  for (std::uint64_t nth = 1; nth <= changes; ++nth) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      CAPTURE(nth);
      CAPTURE(seed);
      fake_disk on;
      REQUIRE_FALSE(last_known_good(on, directory).write(*before, signer()));
      on.crash_at(nth);
      CHECK(last_known_good(on, directory).write(*after, signer()));
      on.crash(seed);
      const auto loaded = last_known_good(on, directory).load(expecting());
      REQUIRE(loaded.snapshot);
      CHECK((loaded.snapshot->content == before->content || loaded.snapshot->content == after->content));
      new_ones += loaded.snapshot->content == after->content ? 1 : 0;
      REQUIRE_FALSE(last_known_good(on, directory).write(*after, signer()));
      CHECK(last_known_good(on, directory).load(expecting()).snapshot->content == after->content);
    }
  }
  CHECK_GT(new_ones, 0u);
}

TEST_CASE("a full or failing disk leaves the older config in place") {
  const auto before = made_of(plain_jobs(60), 7);
  const auto after = made_of(plain_jobs(2'000), 8);
  for (const auto kind : {disk_operation::open, disk_operation::write, disk_operation::sync, disk_operation::rename,
                          disk_operation::make_directories}) {
    CAPTURE(static_cast<int>(kind));
    fake_disk on;
    last_known_good good(on, directory);
    REQUIRE_FALSE(good.write(*before, signer()));
    disk_fault fault;
    fault.kind = kind;
    fault.error = 28;
    on.inject(fault);
    CHECK_EQ(good.write(*after, signer()).value(), 28);
    CHECK_EQ(on.faults_struck(), 1u);
    const auto loaded = good.load(expecting());
    REQUIRE(loaded.snapshot);
    CHECK_EQ(number(loaded.snapshot->version), 7u);
    CHECK_EQ(name_of(loaded.used), "main");
    REQUIRE_FALSE(good.write(*after, signer()));
    CHECK_EQ(number(good.load(expecting()).snapshot->version), 8u);
  }
}

TEST_CASE("a disk that cannot be read is no first start") {
  fake_disk on;
  last_known_good good(on, directory);
  REQUIRE_FALSE(good.write(*made_of(plain_jobs(60), 7), signer()));
  disk_fault fault;
  fault.kind = disk_operation::read;
  fault.times = disk_fault::for_ever;
  on.inject(fault);
  const auto loaded = good.load(expecting());
  CHECK_FALSE(loaded.snapshot);
  CHECK_FALSE(loaded.first_start);
  CHECK_EQ(name_of(loaded.main_reason), "unreadable");
  CHECK_EQ(name_of(loaded.spare_reason), "unreadable");
}

TEST_CASE("the last good config of another cluster, or signed by another key, is refused") {
  fake_disk on;
  last_known_good good(on, directory);
  REQUIRE_FALSE(good.write(*made_of(plain_jobs(60), 7), signer()));
  auto expected = expecting();
  expected.cluster = "other";
  auto loaded = good.load(expected);
  CHECK_FALSE(loaded.snapshot);
  CHECK_EQ(name_of(loaded.main_reason), "foreign_cluster");
  CHECK_EQ(name_of(loaded.spare_reason), "foreign_cluster");
  expected = expecting();
  expected.keys = {config_signer::make().public_key()};
  loaded = good.load(expected);
  CHECK_FALSE(loaded.snapshot);
  CHECK_EQ(name_of(loaded.main_reason), "wrong_signature");
}
