#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "tests/unit/store/store_fixture.hpp"
#include "tests/unit/store/store_model.hpp"

using namespace weir;
using namespace weir::store;

namespace {

/// A fixed run over several segments in which everything happens once: rolls, cuts, commits, dead
/// letters, upkeep, a clean end and a second start.
struct scripted_run : store_fixture {
  std::vector<store_model> models{store_model(1'000)};
  bool stopped = false;

  explicit scripted_run(std::shared_ptr<fake_disk> on) {
    disk = std::move(on);
    how.segment_bytes = 8 << 10;
    how.group_bytes = 2 << 10;
    how.spare_segments = 2;
  }

  void append(const std::vector<append_record>& group) {
    if (stopped)
      return;
    auto after = models.front();
    for (const auto& x : group)
      after.apply(x);
    auto error = store->append(group);
    if (!error)
      models = {after};
    else
      models.push_back(after);
    stopped = disk->crashed();
  }
  void keep_up() {
    for (int i = 0; i < 12 && !stopped; ++i) {
      store->maintain();
      stopped = disk->crashed();
    }
  }
  void play() {
    stopped = try_open() || disk->crashed();
    for (std::uint64_t i = 0; i < 18 && !stopped; ++i) {
      append({make::block(1, 10, 1 + i * 4, 4, std::string(700, 'a')),
              make::block(2, 10, 1 + i, 1, std::string(300, 'b'))});
      if (i % 3 == 2) {
        append({make::cut(1, make::cut_of("x", 10, 1 + (i - 2) * 4, 12))});
        append({make::commit(1, 10, 1 + (i - 2) * 4, 12)});
        keep_up();
      }
      if (i == 9) {
        append({make::dead(2, 10, 1, 5, "poison"), make::trim(2, 10, 1, 5, proto::Trim::DEAD_LETTERED)});
        append({make::done({1, 1}, 5, "yes")});
        stopped = stopped || static_cast<bool>(store->close()) || disk->crashed() || try_open() || disk->crashed();
      }
    }
  }
};

bool is_one_of(const segmented_store& store, const std::vector<store_model>& models) {
  auto is = store_model::describe(store, 5);
  return std::any_of(models.begin(), models.end(), [&](const auto& x) { return x.describe() == is; });
}

} // namespace

TEST_CASE("PRC-01 PRC-03 DSK-03 a power cut at any step of the disk leaves what was acknowledged") {
  auto whole = std::make_shared<fake_disk>(1);
  scripted_run once(whole);
  once.play();
  REQUIRE_FALSE(once.stopped);
  auto steps = whole->changes();
  REQUIRE(steps > 120);
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (std::uint64_t seed : {step * 2, step * 2 + 1}) {
      CAPTURE(step);
      CAPTURE(seed);
      scripted_run run(std::make_shared<fake_disk>(1));
      run.disk->crash_at(step);
      run.play();
      REQUIRE(run.disk->crashed());
      run.crash(seed);
      auto error = run.try_open();
      REQUIRE_MESSAGE(!error, render_error(error.code(), error.category(), error.context()));
      REQUIRE_MESSAGE(is_one_of(*run.store, run.models),
                      store_model::difference(store_model::describe(*run.store, 5), run.models[0].describe()));
      CHECK(run.store->ledger().balances());
      REQUIRE_FALSE(run.store->append({make::block(9, 1, 1, 1, "z")}));
    }
  }
}

TEST_CASE_FIXTURE(store_fixture,
                  "DSK-02 after a failed sync nothing of the group counts and its segment is fenced off") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc")}));
  for (auto kind : {disk_operation::sync, disk_operation::write}) {
    auto before = store->used().failed_groups;
    auto state = *store->job(job_id{7});
    disk->inject({kind, 5, 1, 1, "segment"});
    auto error = store->append({make::block(7, 100, state.next, 2, "de"), make::block(8, 100, 1, 1, "f")});
    CHECK_EQ(code_of(error), errc::store_failed);
    CHECK_EQ(store->used().failed_groups, before + 1);
    CHECK_EQ(store->job(job_id{7})->next, state.next);
    // The same again goes to a new segment and is there once.
    auto syncs = disk->count(disk_operation::sync);
    REQUIRE_FALSE(store->append({make::block(7, 100, state.next, 2, "xy")}));
    CHECK(disk->count(disk_operation::sync) > syncs);
  }
  CHECK_FALSE(store->job(job_id{8}));
  auto image = disk->image_after_crash(11);
  disk = image;
  REQUIRE_FALSE(try_open());
  CHECK_FALSE(store->job(job_id{8}));
  auto blocks = store->blocks(job_id{7}, 10);
  REQUIRE_EQ(blocks.size(), 3u);
  CHECK_EQ(store->read(job_id{7}, blocks[2].range)->payload, "xy");
}

TEST_CASE_FIXTURE(store_fixture, "DSK-02 a group whose sync failed stays out although its bytes reached the disk") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc")}));
  // The sync says no, and what it was about is on the medium all the same: the copy of the file
  // made before the failure is put back by writing the same bytes again.
  REQUIRE_FALSE(store->append({make::block(7, 100, 4, 1, "x")}));
  std::vector<std::string> names;
  REQUIRE_FALSE(disk->list("/data/store", names));
  std::string path, bytes;
  disk->set_hook([&](disk_operation what, const std::string& where) {
    if (what == disk_operation::sync && where.find("segment") != std::string::npos) {
      path = where;
      bytes = *disk->contents(where);
    }
  });
  disk->inject({disk_operation::sync, 5, 1, 1, "segment"});
  CHECK_EQ(code_of(store->append({make::block(8, 100, 1, 1, "ghost")})), errc::store_failed);
  disk->set_hook(nullptr);
  {
    std::unique_ptr<disk_file> file;
    REQUIRE_FALSE(disk->open(path, disk::open_mode::read_write, file));
    REQUIRE_FALSE(file->write(0, {bytes}));
    REQUIRE_FALSE(file->sync());
  }
  REQUIRE_FALSE(store->append({make::block(7, 100, 5, 1, "y")}));
  crash(5);
  REQUIRE_FALSE(try_open());
  CHECK_FALSE(store->job(job_id{8}));
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 3u);
}

TEST_CASE_FIXTURE(store_fixture,
                  "DSK-05 a disk that turns read-only refuses appends, still reads, and recovers by itself") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc")}));
  disk->set_read_only(true);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(code_of(store->append({make::block(7, 100, 4, 1, "d")})), errc::store_failed);
    store->maintain();
    CHECK(store->read(job_id{7}, {generation{100}, 1, 3}));
  }
  disk->set_read_only(false);
  CHECK_FALSE(store->append({make::block(7, 100, 4, 1, "d")}));
  crash(2);
  REQUIRE_FALSE(try_open());
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 2u);
}

namespace {

/// Fills the store until it refuses, then drains it, and checks that both ended as they should.
void fill_and_drain(store_fixture& x, std::uint64_t& next) {
  caf::error error;
  auto payload = std::string(8'000, 'p');
  std::uint64_t delivered = x.store->blocks(job_id{7}, 1).empty() ? next : x.store->blocks(job_id{7}, 1)[0].range.first;
  for (int i = 0; i < 10'000 && !error; ++i) {
    error = x.store->append({make::block(7, 100, next, 1, payload)});
    next += !error;
    x.store->maintain();
  }
  REQUIRE_EQ(code_of(error), errc::disk_full);
  CHECK_EQ(x.store->used().state, disk_state::refuse_appends);
  CHECK(next - delivered > 20);
  CHECK_EQ(x.store->blocks(job_id{7}, 100'000).size(), next - delivered);
  // Trims, cuts and accounts pass all the while.
  for (; delivered < next; ++delivered) {
    error = x.store->append({make::cut(7, make::cut_of("n", 100, delivered, 1))});
    REQUIRE_MESSAGE(!error, render_error(error.code(), error.category(), error.context()));
    REQUIRE(x.store->read(job_id{7}, {generation{100}, delivered, 1}));
    REQUIRE_FALSE(x.store->append({make::commit(7, 100, delivered, 1)}));
    for (int i = 0; i < 8; ++i)
      x.store->maintain();
  }
  x.clock->advance(std::chrono::seconds(2));
  x.upkeep();
  CHECK(x.store->used().state < disk_state::refuse_appends);
  CHECK_FALSE(x.store->append({make::block(7, 100, next++, 1, payload)}));
  CHECK(x.store->ledger().balances());
}

} // namespace

TEST_CASE_FIXTURE(store_fixture, "DSK-01 a store at its size refuses events, drains, and takes events again") {
  how.max_bytes = 20 * how.segment_bytes;
  REQUIRE_FALSE(try_open());
  std::uint64_t next = 1;
  for (int round = 0; round < 3; ++round)
    fill_and_drain(*this, next);
  CHECK(store->used().segments <= 20);
}

TEST_CASE_FIXTURE(store_fixture, "DSK-01 a full file system is drained from the reserve, and fills again") {
  disk->set_capacity(24 * how.segment_bytes);
  how.refuse_appends_at = 2.0; // Not by the watermark: by the disk's own answer.
  how.refuse_new_buffers_at = 2.0;
  REQUIRE_FALSE(try_open());
  std::uint64_t next = 1;
  for (int round = 0; round < 3; ++round)
    fill_and_drain(*this, next);
  crash(9);
  REQUIRE_FALSE(try_open());
  CHECK_EQ(store->job(job_id{7})->next, next);
}

TEST_CASE_FIXTURE(store_fixture,
                  "DSK-01 a disk beyond the watermark is normal again once drained, though nobody writes") {
  disk->set_capacity(60 * how.segment_bytes);
  REQUIRE_FALSE(try_open());
  caf::error error;
  std::uint64_t next = 1;
  while (!error && next < 10'000) {
    error = store->append({make::block(7, 100, next, 1, std::string(8'000, 'p'))});
    next += !error;
    clock->advance(std::chrono::milliseconds(200));
    store->maintain();
  }
  REQUIRE_EQ(code_of(error), errc::disk_full);
  REQUIRE_EQ(store->used().state, disk_state::refuse_appends);
  // One object holds everything, so that draining writes next to nothing.
  REQUIRE_FALSE(store->append({make::cut(7, make::cut_of("n", 100, 1, next - 1))}));
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, next - 1)}));
  CHECK_EQ(store->used().blocks, 0u);
  for (int seconds = 0; seconds < 30; ++seconds) {
    clock->advance(std::chrono::seconds(1));
    upkeep();
  }
  CHECK_EQ(store->used().state, disk_state::normal);
  CHECK_FALSE(store->append({make::block(7, 100, next, 1, "x")}));
}

TEST_CASE_FIXTURE(store_fixture, "DSK-01 a foreign file that takes all space stops neither trims nor checkpoints") {
  REQUIRE_FALSE(try_open());
  std::uint64_t next = 1;
  for (; next <= 60; ++next)
    REQUIRE_FALSE(store->append({make::block(7, 100, next, 1, std::string(8'000, 'p'))}));
  disk->set_capacity(disk->used_bytes());
  clock->advance(std::chrono::seconds(2));
  auto before = store->used().written_bytes;
  for (sequence at = 1; at < next; ++at) {
    // More than fits the reserve by far: without recycling it would not pass.
    for (int i = 0; i < 2; ++i) {
      auto error = store->append({make::cut(7, make::cut_of(std::string(10'000, 'n'), 100, at, 1))});
      REQUIRE_MESSAGE(!error, render_error(error.code(), error.category(), error.context()));
    }
    REQUIRE_FALSE(store->append({make::commit(7, 100, at, 1)}));
    for (int i = 0; i < 8; ++i)
      store->maintain();
  }
  CHECK(store->used().written_bytes > before + 10 * how.segment_bytes);
  // Its own segments are free again: events need no space of the file system's.
  CHECK_EQ(store->used().blocks, 0u);
  CHECK_FALSE(store->append({make::block(7, 100, next, 1, "x")}));
  disk->set_capacity(1ull << 30);
  crash(4);
  REQUIRE_FALSE(try_open());
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 1u);
}

TEST_CASE_FIXTURE(store_fixture, "DSK-01 the disk is low from where the operator wants to hear of it") {
  how.max_bytes = 40 * how.segment_bytes;
  how.alert_at = 0.3;
  REQUIRE_FALSE(try_open());
  std::uint64_t next = 1;
  while (store->used().state == disk_state::normal && next < 10'000) {
    REQUIRE_FALSE(store->append({make::block(7, 100, next++, 1, std::string(8'000, 'p'))}));
    store->maintain();
  }
  CHECK(store->used().state == disk_state::low);
  CHECK(store->used().segments >= 10);
  CHECK(store->used().segments <= 15);
}

TEST_CASE_FIXTURE(store_fixture, "DSK-01 at the watermark the states come in order") {
  how.max_bytes = 40 * how.segment_bytes;
  REQUIRE_FALSE(try_open());
  std::vector<disk_state> seen{disk_state::normal};
  caf::error error;
  for (std::uint64_t next = 1; !error && next < 10'000; ++next) {
    error = store->append({make::block(7, 100, next, 1, std::string(8'000, 'p'))});
    if (seen.back() != store->used().state)
      seen.push_back(store->used().state);
    store->maintain();
  }
  CHECK(seen
        == std::vector<disk_state>{disk_state::normal, disk_state::low, disk_state::refuse_new_buffers,
                                   disk_state::refuse_appends});
}
