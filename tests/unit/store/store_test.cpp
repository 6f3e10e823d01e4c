#include <doctest/doctest.h>

#include <map>

#include "tests/unit/store/store_fixture.hpp"

using namespace weir;
using namespace weir::store;

TEST_CASE_FIXTURE(store_fixture, "what was appended is there after a power cut, and reads back as it was") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    store_fixture x;
    REQUIRE_FALSE(x.try_open());
    REQUIRE_FALSE(
        x.store->append({make::block(7, 100, 1, 3, "abc"), make::block(8, 100, 1, 2, std::string(9000, 'x'))}));
    REQUIRE_FALSE(x.store->append({make::block(7, 100, 4, 2, "de")}));
    x.crash(seed);
    CAPTURE(seed);
    REQUIRE_FALSE(x.try_open());
    auto blocks = x.store->blocks(job_id{7}, 10);
    REQUIRE_EQ(blocks.size(), 2u);
    CHECK(blocks[1].range == sequence_range{generation{100}, 4, 2});
    auto bytes = x.store->read(job_id{7}, blocks[0].range);
    REQUIRE(bytes);
    CHECK_EQ(bytes->payload, "abc");
    bytes = x.store->read(job_id{8}, {generation{100}, 1, 2});
    REQUIRE(bytes);
    CHECK_EQ(bytes->payload, std::string(9000, 'x'));
    auto state = x.store->job(job_id{7});
    REQUIRE(state);
    CHECK_EQ(state->next, 6u);
    CHECK_EQ(state->buffered_events, 5u);
    CHECK(x.store->ledger().balances());
    CHECK_EQ(x.store->ledger().jobs.at(job_id{7}).accepted, 5u);
  }
}

TEST_CASE_FIXTURE(store_fixture, "a commit removes what it delivered and closes the cut") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc"), make::block(7, 100, 4, 2, "de")}));
  REQUIRE_FALSE(store->append({make::cut(7, make::cut_of("a.log.gz", 100, 1, 3))}));
  REQUIRE(store->job(job_id{7})->open_cut);
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 3)}));
  CHECK_FALSE(store->job(job_id{7})->open_cut);
  crash(3);
  REQUIRE_FALSE(try_open());
  CHECK_FALSE(store->job(job_id{7})->open_cut);
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 1u);
  auto account = store->ledger().jobs.at(job_id{7});
  CHECK_EQ(account.delivered, 3u);
  CHECK_EQ(account.delivered_objects, 1u);
  CHECK_EQ(account.buffered, 2u);
}

TEST_CASE_FIXTURE(store_fixture,
                  "a job's next sequence is proven after a clean end though all its events are delivered") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc")}));
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 3)}));
  REQUIRE_FALSE(store->close());
  CHECK_EQ(code_of(store->append({make::block(7, 100, 4, 1, "d")})), errc::store_failed);
  REQUIRE_FALSE(try_open());
  auto state = store->job(job_id{7});
  REQUIRE(state);
  CHECK_EQ(state->next, 4u);
  CHECK(state->current == generation{100});
  CHECK_FALSE(state->closed);
}

TEST_CASE_FIXTURE(store_fixture, "after a clean end a start reads no segment but its header") {
  REQUIRE_FALSE(try_open());
  for (sequence i = 1; i <= 100; ++i)
    REQUIRE_FALSE(store->append({make::block(7, 100, i, 1, std::string(5'000, 'x'))}));
  REQUIRE_FALSE(store->close());
  store.reset();
  std::map<std::string, int> reads;
  disk->set_hook([&](disk_operation what, const std::string& path) {
    if (what == disk_operation::read && path.find("segment-") != std::string::npos)
      ++reads[path];
  });
  REQUIRE_FALSE(try_open());
  disk->set_hook(nullptr);
  CHECK(reads.size() >= 8);
  for (const auto& x : reads)
    CHECK_EQ(x.second, 1);
  CHECK_EQ(store->blocks(job_id{7}, 1'000).size(), 100u);
}

TEST_CASE_FIXTURE(store_fixture, "a new generation comes behind the old one, which is delivered first") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 300, 1, 3, "abc"), make::closing(7, 300, 4)}));
  CHECK(store->job(job_id{7})->closed);
  CHECK_EQ(code_of(store->append({make::block(7, 300, 4, 1, "d")})), errc::refused);
  REQUIRE_FALSE(store->append({make::block(7, 200, 1, 2, "ef")}));
  for (int again = 0; again < 2; ++again) {
    auto blocks = store->blocks(job_id{7}, 10);
    REQUIRE_EQ(blocks.size(), 2u);
    CHECK(blocks[0].range.generation == generation{300});
    CHECK(store->job(job_id{7})->current == generation{200});
    CHECK(store->job(job_id{7})->front == generation{300});
    CHECK_EQ(store->blocks(job_id{7}, 10, sequence_range{generation{200}, 2, 1}).size(), 1u);
    REQUIRE_FALSE(store->close());
    REQUIRE_FALSE(try_open());
  }
  REQUIRE_FALSE(store->append({make::commit(7, 300, 1, 3)}));
  CHECK(store->job(job_id{7})->front == generation{200});
}

TEST_CASE_FIXTURE(store_fixture, "what would contradict the log is refused before anything is written") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 10, "abc")}));
  auto written = store->used().written_bytes;
  auto refused = [&](append_record x) { CHECK_EQ(code_of(store->append({std::move(x)})), errc::refused); };
  refused(make::block(7, 100, 10, 1, "given twice"));
  refused(make::commit(7, 100, 5, 2)); // Would skip 1 to 4.
  refused(make::block(7, 100, 11, 0, "empty"));
  refused(make::block(0, 100, 1, 1, "no job"));
  refused(make::block(7, 0, 1, 1, "no generation"));
  refused(make::block(8, 1, 1, 1, std::string(how.segment_bytes, 'x')));
  auto bad = make::block(8, 1, 1, 1, "x");
  bad.meta = "\xff\xff";
  refused(bad);
  refused({record_kind::checkpoint, job_id{1}, {generation{1}, 1, 1}, {}, nullptr});
  CHECK_EQ(code_of(store->append({make::block(8, 1, 1, 5, "x"), make::block(8, 1, 3, 5, "y")})), errc::refused);
  CHECK_EQ(store->used().written_bytes, written);
  CHECK_FALSE(store->job(job_id{8}));
  // A commit may begin anywhere before the mark, and a repeated one changes nothing.
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 4), make::commit(7, 100, 5, 2)}));
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 6)}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).delivered, 6u);
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).delivered_objects, 2u);
  CHECK_EQ(store->job(job_id{7})->mark, 7u);
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 1u);
}

TEST_CASE_FIXTURE(store_fixture,
                  "PRC-08 a replaced cut is worked off part by part, and poison goes to the dead letters once") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 10, "abcdefghij")}));
  auto whole = make::cut_of("whole", 100, 1, 10);
  *whole.add_replaced_by() = make::cut_of("left", 100, 1, 5);
  *whole.add_replaced_by() = make::cut_of("right", 100, 6, 5);
  REQUIRE_FALSE(store->append({make::cut(7, whole)}));
  REQUIRE_FALSE(
      store->append({make::dead(7, 100, 1, 5, "abcde"), make::trim(7, 100, 1, 5, proto::Trim::DEAD_LETTERED)}));
  crash(1);
  REQUIRE_FALSE(try_open());
  auto state = *store->job(job_id{7});
  REQUIRE(state.open_cut);
  REQUIRE_EQ(state.open_cut->replaced_by_size(), 1);
  CHECK_EQ(state.open_cut->replaced_by(0).object_name(), "right");
  REQUIRE_EQ(store->dead_letters(job_id{7}, 10).size(), 1u);
  CHECK_EQ(store->read(job_id{7}, {generation{100}, 1, 5}, true)->payload, "abcde");
  CHECK(state.buffered_bytes > store->blocks(job_id{7}, 10)[0].record_bytes);
  REQUIRE_FALSE(store->append({make::commit(7, 100, 6, 5)}));
  CHECK_FALSE(store->job(job_id{7})->open_cut);
  REQUIRE_FALSE(store->append({make::trim(7, 100, 1, 5, proto::Trim::DEAD_EXPIRED)}));
  CHECK(store->dead_letters(job_id{7}, 10).empty());
  auto account = store->ledger().jobs.at(job_id{7});
  CHECK_EQ(account.dead_lettered, 5u);
  CHECK_EQ(account.delivered, 5u);
  CHECK(account.balances());
  CHECK_EQ(store->used().live_bytes, 0u);
}

TEST_CASE_FIXTURE(store_fixture, "PRC-02 NET-06 a body that is done answers as it did, and its slices are forgotten") {
  REQUIRE_FALSE(try_open());
  batch_id named{5, 6}, open{5, 7};
  REQUIRE_FALSE(
      store->append({make::block(7, 100, 1, 1, "a", {named, open}), make::block(8, 100, 1, 1, "b", {named})}));
  CHECK_EQ(store->known_slices().size(), 3u);
  REQUIRE_FALSE(store->append({make::done(named, 42, "{\"accepted\":2}")}));
  for (int again = 0; again < 3; ++again) {
    REQUIRE_EQ(store->known_slices().size(), 1u);
    CHECK(store->known_slices()[0].batch == open);
    auto done = store->done(named);
    REQUIRE(done);
    CHECK_EQ(done->answer, "{\"accepted\":2}");
    CHECK_EQ(done->body_digest, 42u);
    CHECK_FALSE(store->done(open));
    if (again == 0)
      crash(2);
    else
      REQUIRE_FALSE(store->close());
    REQUIRE_FALSE(try_open());
  }
  clock->advance(std::chrono::hours(25));
  upkeep();
  CHECK_FALSE(store->done(named));
  CHECK(store->known_slices().empty());
}

TEST_CASE_FIXTURE(store_fixture,
                  "what is delivered soon costs neither relocation nor more than a twentieth of extra bytes") {
  REQUIRE_FALSE(try_open());
  how.segment_bytes = 256 << 10;
  how.group_bytes = 64 << 10;
  REQUIRE_FALSE(try_open());
  std::uint64_t payload = 0;
  for (sequence i = 1; i <= 1'500; ++i) {
    REQUIRE_FALSE(store->append({make::block(1 + i % 4, 100, 1 + i / 4, 1, std::string(12'000, 'x'))}));
    payload += 12'000;
    if (i > 40)
      REQUIRE_FALSE(store->append({make::commit(1 + (i - 40) % 4, 100, 1 + (i - 40) / 4, 1)}));
    store->maintain();
  }
  auto used = store->used();
  CHECK_EQ(used.relocated_bytes, 0u);
  CHECK(used.written_bytes < payload + payload / 20);
  CHECK(used.segments <= 16);
}

TEST_CASE_FIXTURE(store_fixture, "a job that is stuck does not hold the segments of the others") {
  how.segment_bytes = 64 << 10;
  REQUIRE_FALSE(try_open());
  std::uint64_t stuck = 0;
  for (sequence i = 1; i <= 2'000; ++i) {
    REQUIRE_FALSE(store->append({make::block(1, 100, i, 1, std::string(6'000, 'x'))}));
    if (i % 50 == 0)
      REQUIRE_FALSE(store->append({make::block(2, 100, ++stuck, 1, std::string(500, 's'))}));
    REQUIRE_FALSE(store->append({make::commit(1, 100, i, 1)}));
    store->maintain();
  }
  upkeep();
  auto used = store->used();
  CHECK(used.relocated_bytes > 0);
  CHECK(used.segments <= 20);
  CHECK(used.relocated_bytes <= used.written_bytes / 5 + how.segment_bytes);
  crash(8);
  REQUIRE_FALSE(try_open());
  auto blocks = store->blocks(job_id{2}, 1'000);
  REQUIRE_EQ(blocks.size(), stuck);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    CHECK_EQ(blocks[i].range.first, i + 1);
    CHECK(store->read(job_id{2}, blocks[i].range));
  }
}

TEST_CASE_FIXTURE(store_fixture, "damage in the last group is told from a torn write once the store has been idle") {
  for (bool idle : {false, true}) {
    store_fixture x;
    REQUIRE_FALSE(x.try_open());
    REQUIRE_FALSE(x.store->append({make::block(7, 100, 1, 1, "first")}));
    REQUIRE_FALSE(x.store->append({make::block(7, 100, 2, 1, "second")}));
    if (idle) {
      x.clock->advance(std::chrono::seconds(2));
      x.upkeep();
    }
    x.store.reset();
    bool flipped = false;
    for (int i = 0; i < 5; ++i) {
      auto path = "/data/store/segment-0000" + std::to_string(i) + ".log";
      auto bytes = x.disk->contents(path);
      if (bytes && bytes->rfind("second") != std::string::npos)
        flipped = x.disk->flip_bit(path, bytes->rfind("second"), 0);
    }
    REQUIRE(flipped);
    REQUIRE_FALSE(x.try_open());
    CHECK_EQ(x.store->blocks(job_id{7}, 10).size(), 1u);
    CHECK_EQ(x.report.set_aside_records, idle ? 1u : 0u);
    CHECK_EQ(x.store->ledger().jobs.at(job_id{7}).set_aside, idle ? 1u : 0u);
    CHECK_EQ(x.report.torn_bytes > 0, !idle);
  }
}

TEST_CASE_FIXTURE(store_fixture, "a walk over all jobs comes by each that has something, in steps, and says what") {
  REQUIRE_FALSE(try_open());
  std::vector<append_record> group;
  for (std::uint64_t job = 1; job <= 10; ++job)
    group.push_back(make::block(job, 100, 1, job, "abc", {}, (1'731'584'000 + 100 * job) * 1'000'000'000));
  REQUIRE_FALSE(store->append(group));
  REQUIRE_FALSE(store->append({make::cut(2, make::cut_of("a.log.gz", 100, 1, 2))}));
  // One has nothing any more, one only a dead letter.
  REQUIRE_FALSE(store->append({make::trim(3, 100, 1, 3, proto::Trim::EXPIRED)}));
  REQUIRE_FALSE(store->append({make::dead(4, 100, 1, 4, "abc"), make::trim(4, 100, 1, 4, proto::Trim::DEAD_LETTERED)}));
  for (const bool again : {false, true}) {
    if (again) {
      crash(5);
      REQUIRE_FALSE(try_open());
    }
    for (std::size_t step : {1, 3, 10, 100}) {
      std::map<std::uint64_t, job_glance> seen;
      std::uint64_t from = 0;
      std::size_t steps = 0;
      do {
        for (const auto& x : store->walk(from, step))
          CHECK(seen.emplace(number(x.job), x).second);
        REQUIRE(++steps <= 10 / step + 1);
      } while (from != 0);
      CHECK_EQ(seen.size(), 9u);
      CHECK_EQ(seen.count(3), 0u);
      CHECK_EQ(seen.at(1).buffered_events, 1u);
      CHECK_FALSE(seen.at(1).has_cut);
      CHECK(seen.at(2).has_cut);
      CHECK_EQ(seen.at(4).buffered_events, 0u);
      CHECK_EQ(seen.at(4).oldest_ns, 0u);
      CHECK(seen.at(4).has_dead_letters);
      CHECK_FALSE(seen.at(5).has_dead_letters);
      for (std::uint64_t job : {1, 2, 5, 10}) {
        const auto arrived = (1'731'584'000 + 100 * job) * 1'000'000'000;
        CHECK_LE(seen.at(job).oldest_ns, arrived);
        CHECK_GE(seen.at(job).oldest_ns + 64'000'000'000, arrived);
      }
    }
  }
}
