#include <doctest/doctest.h>

#include <map>

#include "store/inspect.hpp"
#include "store/record_codec.hpp"
#include "tests/unit/store/store_fixture.hpp"
#include "tests/unit/store/store_model.hpp"

using namespace weir;
using namespace weir::store;

namespace {

/// A store of some segments, closed ones and an open one, and what it holds.
struct filled_store : store_fixture {
  std::map<std::uint64_t, std::map<sequence, std::string>> payloads;
  std::uint64_t events = 0;

  filled_store() {
    how.segment_bytes = 16 << 10;
    how.group_bytes = 4 << 10;
    REQUIRE_FALSE(try_open());
    fake_random dice(99);
    std::map<std::uint64_t, sequence> next;
    for (int i = 0; i < 120; ++i) {
      std::vector<append_record> group;
      for (int k = 0; k < 2; ++k) {
        auto job = 1 + dice.below(6);
        auto count = 1 + dice.below(9);
        auto payload = std::string(100 + dice.below(900), static_cast<char>('a' + dice.below(26)));
        auto first = next.emplace(job, 1).first->second;
        payloads[job][first] = payload;
        group.push_back(make::block(job, 10, first, count, payload));
        next[job] += count;
        events += count;
      }
      REQUIRE_FALSE(store->append(group));
      store->maintain();
    }
    clock->advance(std::chrono::seconds(2));
    upkeep();
  }

  struct outcome {
    std::uint64_t readable = 0, set_aside = 0, wrong = 0, bad_blocks = 0, closed = 0, accepted = 0;
  };
  outcome read_all() {
    outcome x;
    for (const auto& [id, expected] : payloads) {
      for (const auto& block : store->blocks(job_id{id}, 100'000)) {
        auto bytes = store->read(job_id{id}, block.range);
        if (!bytes) {
          ++x.bad_blocks;
          CHECK_EQ(code_of(bytes.error()), errc::corrupt);
          CHECK_EQ(code_of(store->read(job_id{id}, block.range).error()), errc::not_found);
          continue;
        }
        auto known = expected.find(block.range.first);
        if (known == expected.end() || known->second != bytes->payload)
          ++x.wrong;
        else
          x.readable += block.range.count;
      }
      if (auto state = store->job(job_id{id}))
        x.closed += state->closed;
    }
    for (const auto& [id, account] : store->ledger().jobs) {
      x.set_aside += account.set_aside;
      x.accepted += account.accepted;
    }
    return x;
  }

  std::string segment_path(std::uint16_t number) const { return fmt::format("/data/store/segment-{:05}.log", number); }
};

} // namespace

TEST_CASE("DSK-04 a flipped bit anywhere costs at most the records it hit, and each is accounted for") {
  filled_store original;
  REQUIRE_EQ(original.read_all().readable, original.events);
  auto disk = original.disk;
  auto whole = inspect_store("/data/store", *disk);
  REQUIRE(whole);
  REQUIRE_FALSE(whole->damaged());
  original.store.reset();
  fake_random dice(4);
  std::uint64_t found = 0;
  for (int i = 0; i < 240; ++i) {
    CAPTURE(i);
    original.disk = disk->image_after_crash(1);
    const auto& segment = whole->segments[dice.below(whole->segments.size())];
    if (!segment.in_use)
      continue;
    auto offset = dice.below(segment.end);
    CAPTURE(segment.file);
    CAPTURE(offset);
    REQUIRE(original.disk->flip_bit("/data/store/" + segment.file, offset, static_cast<unsigned>(dice.below(8))));
    auto seen = inspect_store("/data/store", *original.disk);
    REQUIRE(seen);
    found += seen->damaged();
    REQUIRE_FALSE(original.try_open());
    auto x = original.read_all();
    CHECK_EQ(x.wrong, 0u);
    CHECK(x.bad_blocks <= 1);
    CHECK(original.store->ledger().balances());
    x = original.read_all();
    CHECK_EQ(x.bad_blocks, 0u);
    // Where not even the header of the lost record can be read, and its job has no later one, its
    // events are unknown; then no job's last sequence is taken as proven.
    CHECK((x.readable + x.set_aside == original.events || x.closed == original.payloads.size()));
    CHECK(x.readable + 20 >= original.events);
    CHECK_EQ(x.readable + x.set_aside, x.accepted);
    // And so it stays, whatever comes next.
    original.upkeep();
    original.crash(static_cast<std::uint64_t>(i));
    std::vector<std::string> names;
    REQUIRE_FALSE(original.disk->list("/data/store", names));
    for (const auto& name : names)
      if (i % 2 == 1 && name.find("index-") == 0)
        REQUIRE_FALSE(original.disk->remove("/data/store/" + name)); // Then the damage is met again.
    REQUIRE_FALSE(original.try_open());
    for (const auto& state : original.store->jobs())
      CHECK_EQ(state.buffered_events, original.store->ledger().jobs.at(state.job).buffered);
    auto y = original.read_all();
    CHECK_EQ(y.readable, x.readable);
    CHECK_EQ(y.set_aside, x.set_aside);
    CHECK_EQ(y.accepted, x.accepted);
  }
  CHECK(found > 150);
}

TEST_CASE("DSK-04 a block found bad is not counted as delivered by a commit over it") {
  filled_store x;
  auto blocks = x.store->blocks(job_id{1}, 3);
  auto found = inspect_store("/data/store", *x.disk, {true, {}});
  REQUIRE(found);
  std::uint64_t at = 0;
  std::string file;
  inspect_options how;
  how.on_record = [&](const inspected_record& r) {
    if (r.job == job_id{1} && r.kind == record_kind::block && r.range == blocks[1].range) {
      at = r.offset + r.bytes - 12;
      for (const auto& s : found->segments)
        if (s.segment == r.segment)
          file = s.file;
    }
    return at == 0;
  };
  REQUIRE(inspect_store("/data/store", *x.disk, how));
  REQUIRE(x.disk->flip_bit("/data/store/" + file, at, 3));
  CHECK_EQ(code_of(x.store->read(job_id{1}, blocks[1].range).error()), errc::corrupt);
  CHECK_EQ(x.store->used().set_aside_records, 1u);
  auto end = blocks[2].range.end();
  REQUIRE_FALSE(x.store->append({make::commit(1, 10, 1, end - 1)}));
  for (int again = 0; again < 2; ++again) {
    auto account = x.store->ledger().jobs.at(job_id{1});
    CHECK_EQ(account.delivered, blocks[0].range.count + blocks[2].range.count);
    CHECK_EQ(account.set_aside, blocks[1].range.count);
    CHECK(account.balances());
    x.crash(3);
    REQUIRE_FALSE(x.try_open());
  }
}

TEST_CASE("a missing or damaged sidecar costs a scan and nothing else") {
  filled_store x;
  x.store.reset();
  auto all = x.disk->image_after_crash(1);
  for (bool remove : {true, false}) {
    x.disk = all->image_after_crash(1);
    std::vector<std::string> names;
    REQUIRE_FALSE(x.disk->list("/data/store", names));
    int changed = 0;
    for (const auto& name : names)
      if (name.find("index-") == 0) {
        ++changed;
        if (remove)
          REQUIRE_FALSE(x.disk->remove("/data/store/" + name));
        else
          REQUIRE(x.disk->flip_bit("/data/store/" + name, 200, 1));
      }
    REQUIRE(changed > 3);
    REQUIRE_FALSE(x.try_open());
    auto found = x.read_all();
    CHECK_EQ(found.readable, x.events);
    CHECK_EQ(x.report.set_aside_records, 0u);
    x.upkeep();
    x.crash(1);
    REQUIRE_FALSE(x.try_open());
    CHECK_EQ(x.read_all().readable, x.events);
  }
}

TEST_CASE("a damaged checkpoint is replaced by the one before it, which nothing recycled has outlived") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    store_fixture x;
    x.how.segment_bytes = 8 << 10;
    x.how.group_bytes = 2 << 10;
    REQUIRE_FALSE(x.try_open());
    store_model model(1'000);
    auto append = [&](const append_record& r) {
      REQUIRE_FALSE(x.store->append({r}));
      model.apply(r);
    };
    fake_random dice(seed);
    for (std::uint64_t i = 1; i < 160; ++i) {
      append(make::block(1 + i % 3, 10, 1 + (i / 3) * 2, 2, std::string(dice.below(900), 'q')));
      if (i > 30)
        append(make::commit(1 + i % 3, 10, 1, (i / 3 - 9) * 2));
      for (auto left = dice.below(6); left > 0; --left)
        x.store->maintain();
    }
    x.crash(seed);
    std::vector<std::string> names;
    REQUIRE_FALSE(x.disk->list("/data/store", names));
    std::vector<std::string> checkpoints;
    for (const auto& name : names)
      if (name.find("checkpoint-") == 0 && name.find(".new") == std::string::npos)
        checkpoints.push_back(name);
    REQUIRE(checkpoints.size() >= 2);
    REQUIRE(x.disk->flip_bit("/data/store/" + checkpoints.back(), 60 + seed, 2));
    REQUIRE_FALSE(x.try_open());
    CHECK_EQ(x.report.set_aside_records, 1u);
    CHECK_MESSAGE(store_model::describe(*x.store, 1) == model.describe(),
                  store_model::difference(store_model::describe(*x.store, 1), model.describe()));
    // All of them bad is a refusal with a reason, never a guess.
    x.store.reset();
    REQUIRE_FALSE(x.disk->list("/data/store", names));
    for (const auto& name : names)
      if (name.find("checkpoint-") == 0)
        x.disk->flip_bit("/data/store/" + name, 9, 2);
    CHECK_EQ(code_of(x.try_open()), errc::refused);
  }
}

TEST_CASE("a segment of a format to come is refused, not misread") {
  filled_store x;
  x.store.reset();
  segment_header header;
  header.version = format_version + 1;
  header.segment = 5'000;
  char bytes[segment_header_bytes];
  encode(header, bytes);
  {
    std::unique_ptr<disk_file> file;
    REQUIRE_FALSE(x.disk->open(x.segment_path(0), disk::open_mode::read_write, file));
    REQUIRE_FALSE(file->write(0, {{bytes, sizeof(bytes)}}));
  }
  CHECK_EQ(code_of(x.try_open()), errc::refused);
}

TEST_CASE("inspection names segments, records and jobs, and changes nothing") {
  filled_store x;
  auto before = x.disk->changes();
  std::uint64_t records = 0;
  inspect_options how;
  how.on_record = [&](const inspected_record&) { return ++records < 1'000'000; };
  auto found = inspect_store("/data/store", *x.disk, how);
  REQUIRE(found);
  CHECK_FALSE(found->damaged());
  CHECK_EQ(found->jobs, 6u);
  CHECK_EQ(found->buffered_events, x.events);
  std::uint64_t blocks = 0;
  for (const auto& s : found->segments)
    if (s.in_use && s.by_kind.count(record_kind::block))
      blocks += s.by_kind.at(record_kind::block);
  CHECK_EQ(blocks, 240u);
  CHECK(records > blocks);
  CHECK_EQ(x.disk->changes(), before);
  CHECK_EQ(code_of(inspect_store("/nowhere", *x.disk).error()), errc::store_failed);
}
