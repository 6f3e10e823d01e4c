#include "config/forwarding_merge.hpp"

#include <doctest/doctest.h>

#include <set>

#include "config/forwarding_diff.hpp"
#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

const std::chrono::system_clock::time_point at_noon{1'700'000'000s};
constexpr std::uint32_t noon_seconds = 1'700'000'000;

snapshot_identity identity(std::uint64_t version) {
  return {config_version{version}, config_version{version - 1}, {}, ownership_epoch{1}, "weir", at_noon};
}

merge_order order_of(config_snapshot_ptr in_force, config_snapshot_ptr candidate) {
  merge_order result;
  result.in_force = std::move(in_force);
  result.candidate = std::move(candidate);
  result.now = at_noon;
  result.identity = identity(18);
  return result;
}

std::vector<std::uint64_t> numbers(const std::vector<job_id>& ids) {
  std::vector<std::uint64_t> result;
  for (const auto id : ids)
    result.push_back(number(id));
  return result;
}

using ids = std::vector<std::uint64_t>;

// Jobs of some ids, scopes, destinations and states.
job_list any_jobs(std::mt19937_64& random) {
  job_list result;
  const auto count = random() % 400;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto id = 1 + random() % 500;
    result[id] = {id,
                  "zones/z" + std::to_string(random() % 4 == 0 ? random() % 300 : id),
                  "file:///to/" + std::to_string(id * 10 + random() % 2),
                  random() % 5 == 0 ? "label" : "",
                  random() % 6 != 0,
                  0};
  }
  return result;
}

owner_list any_owners(std::mt19937_64& random) {
  owner_list result;
  for (int zone = 0; zone < 300; zone += 3)
    if (random() % 3 == 0)
      result.emplace_back("acc" + std::to_string(random() % 10), "z" + std::to_string(zone));
  return result;
}

} // namespace

TEST_CASE("CFG-06: a job that vanishes goes on hold, still takes events, and comes back without the mark") {
  const auto jobs = plain_jobs(20);
  auto fewer = jobs;
  fewer.erase(7);
  const auto gone = merge(order_of(made_of(jobs, 17), made_of(fewer, 1)));
  CHECK_EQ(numbers(gone.put_on_hold), ids{7});
  CHECK_EQ(gone.on_hold, 1u);
  CHECK_FALSE(gone.unchanged);
  CHECK_EQ(number(gone.snapshot->version), 18u);
  const auto held = gone.snapshot->find_job(job_id{7});
  REQUIRE(held);
  CHECK(held->on_hold());
  CHECK(held->on_hold_since == at_noon);
  CHECK_FALSE(held->entitled());
  const auto entry = gone.snapshot->table.find_scope(0, "zones/z7");
  REQUIRE_NE(entry, not_entitled);
  CHECK(gone.snapshot->table.entries(entry).begin()->on_hold);
  CHECK_EQ(diff(*made_of(jobs, 17), *gone.snapshot).counts[job_change::held], 1u);

  const auto back = merge(order_of(gone.snapshot, made_of(jobs, 2)));
  CHECK_EQ(numbers(back.restored), ids{7});
  CHECK_EQ(back.on_hold, 0u);
  CHECK(back.snapshot->content == made_of(jobs, 1)->content);
}

TEST_CASE("CFG-06: a job stays on hold for the hold time, whatever is published meanwhile, and then goes") {
  const auto jobs = plain_jobs(20);
  auto fewer = jobs;
  fewer.erase(7);
  const auto first = merge(order_of(made_of(jobs, 17), made_of(fewer, 1))).snapshot;
  auto order = order_of(first, made_of(fewer, 2));
  order.now = at_noon + 23h + 59min;
  auto still = merge(std::move(order));
  CHECK(still.unchanged);
  CHECK(still.snapshot == first);
  CHECK_EQ(still.on_hold, 1u);

  fewer[30] = {30, "zones/z30", "file:///30", "", true, 0};
  order = order_of(first, made_of(fewer, 3));
  order.now = at_noon + 23h;
  still = merge(std::move(order));
  CHECK_FALSE(still.unchanged);
  CHECK(still.put_on_hold.empty());
  CHECK(still.snapshot->find_job(job_id{7})->on_hold_since == at_noon);

  order = order_of(still.snapshot, made_of(fewer, 4));
  order.now = at_noon + 24h;
  const auto over = merge(std::move(order));
  CHECK_EQ(numbers(over.expired), ids{7});
  CHECK_FALSE(over.snapshot->find_job(job_id{7}));
  CHECK_EQ(over.on_hold, 0u);
  CHECK(over.snapshot->content == made_of(fewer, 9)->content);
}

TEST_CASE("a job that its owner deletes or switches off is not put on hold") {
  const auto jobs = plain_jobs(20);
  auto fewer = jobs;
  fewer.erase(7);
  fewer.erase(8);
  fewer[9].enabled = false;
  auto order = order_of(made_of(jobs, 17), made_of(fewer, 1));
  order.deleted = {job_id{7}};
  const auto made = merge(std::move(order));
  CHECK_EQ(numbers(made.put_on_hold), ids{8});
  CHECK_FALSE(made.snapshot->find_job(job_id{7}));
  CHECK_FALSE(made.snapshot->find_job(job_id{9})->on_hold());
  CHECK_EQ(diff(*made_of(jobs, 17), *made.snapshot).counts[job_change::off], 1u);

  auto deleted_later = order_of(made.snapshot, made_of(fewer, 2));
  deleted_later.deleted = {job_id{8}};
  CHECK_FALSE(merge(std::move(deleted_later)).snapshot->find_job(job_id{8}));
}

TEST_CASE("a job that was off when it vanished keeps what it has, and its scope stays not entitled") {
  auto jobs = plain_jobs(5);
  jobs[2].enabled = false;
  auto fewer = jobs;
  fewer.erase(2);
  const auto made = merge(order_of(made_of(jobs, 17), made_of(fewer, 1)));
  CHECK(made.snapshot->find_job(job_id{2})->on_hold());
  CHECK_EQ(made.snapshot->table.find_scope(0, "zones/z2"), not_entitled);
}

TEST_CASE("while one change is held, others go on") {
  const auto before = plain_jobs(10);
  auto after = plain_jobs(12);
  after.erase(1);                                 // held
  after[2].destination = "file:///elsewhere";     // held
  after[3].destination = "file:///elsewhere/too"; // goes on
  after.erase(4);                                 // goes on: on hold
  auto order = order_of(made_of(before, 17), made_of(after, 1));
  order.held = {job_id{1}, job_id{2}, job_id{11}}; // 12 goes on
  const auto made = merge(std::move(order));
  auto expected = after;
  expected[1] = before.at(1);
  expected[2] = before.at(2);
  expected[4] = before.at(4);
  expected[4].on_hold_since = noon_seconds;
  expected.erase(11);
  CHECK(listed(*made.snapshot) == expected);
}

TEST_CASE("with everything held nothing changes, and no version is made") {
  const auto in_force = made_of(plain_jobs(10), 17);
  auto order = order_of(in_force, made_of(plain_jobs(12), 1));
  order.held = {job_id{11}, job_id{12}};
  const auto made = merge(std::move(order));
  CHECK(made.unchanged);
  CHECK(made.snapshot == in_force);
  CHECK(merge(order_of(in_force, made_of(plain_jobs(10), 1))).unchanged);
  // Owners of zones and the node's defaults are part of a version, even where no job differs.
  CHECK_FALSE(merge(order_of(in_force, made_of(plain_jobs(10), 1, {{"acc", "idle"}}))).unchanged);
}

TEST_CASE("an old version that is rolled back to brings back no hold of its own") {
  const auto jobs = plain_jobs(6);
  auto old = jobs;
  old[2].on_hold_since = 1'600'000'000;
  old[5].on_hold_since = 1'600'000'000;
  auto now = jobs;
  now.erase(5);
  const auto made = merge(order_of(made_of(now, 17), made_of(old, 3)));
  CHECK_EQ(numbers(made.put_on_hold), ids{2});
  CHECK(made.snapshot->find_job(job_id{2})->on_hold_since == at_noon);
  CHECK_FALSE(made.snapshot->find_job(job_id{5}));
}

TEST_CASE("zones of held and vanished jobs keep their owner") {
  const auto jobs = plain_jobs(4);
  const auto in_force = made_of(jobs, 17, {{"alice", "z1"}, {"alice", "z2"}});
  auto fewer = jobs;
  fewer.erase(2);
  fewer[1].destination = "file:///elsewhere";
  auto order = order_of(in_force, made_of(fewer, 1, {{"bob", "z1"}, {"bob", "z3"}}));
  order.held = {job_id{1}};
  const auto made = merge(std::move(order)).snapshot;
  const auto owner = [&](std::string_view zone) {
    return made->tenants.name(*made->tenants.owner_of(scope_kind::zones, zone));
  };
  CHECK_EQ(owner("z1"), "accounts/alice");
  CHECK_EQ(owner("z2"), "accounts/alice");
  CHECK_EQ(owner("z3"), "accounts/bob");
  CHECK_EQ(owner("z4"), "zones/z4");
}

TEST_CASE("a first config is taken as it is") {
  const auto made = merge(order_of(nullptr, made_of(plain_jobs(3), 1)));
  CHECK_EQ(number(made.snapshot->version), 18u);
  CHECK_EQ(made.snapshot->jobs.size(), 3u);
  const auto shared = made_of(plain_jobs(3), 1);
  const auto copied = merge(order_of(made_of({}, 0), shared));
  CHECK_EQ(number(shared->version), 1u);
  CHECK_EQ(number(copied.snapshot->version), 18u);
  CHECK(copied.snapshot->content == shared->content);
}

TEST_CASE("a dataset that a node no longer has takes its jobs with it") {
  config_builder builder({{"old", "ZoneID", "", scope_kind::zones, {}}, listed_datasets()[0]}, {});
  auto gone = job_of({1, "zones/a", "file:///a", "", true, 0});
  gone.dataset = "old";
  auto stays = job_of({2, "zones/z2", "file:///var/tmp/weir/2", "", true, 0});
  REQUIRE(builder.add(gone, 1));
  REQUIRE(builder.add(stays, fingerprint_of("file:///var/tmp/weir/2")));
  auto jobs = plain_jobs(2);
  jobs.erase(1);
  const auto made = merge(order_of(builder.finish(identity(17)), made_of(jobs, 1)));
  CHECK_EQ(numbers(made.expired), ids{1});
  CHECK_EQ(made.snapshot->jobs.size(), 1u);
}

TEST_CASE("a difference without vanished jobs, applied with nothing held, gives exactly the other config") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    const auto a = made_of(any_jobs(random), 17, any_owners(random));
    const auto b = made_of(any_jobs(random), 18, any_owners(random));
    auto order = order_of(a, b);
    for (const auto& [id, x] : listed(*a))
      if (!b->find_job(job_id{id}))
        order.deleted.push_back(job_id{id});
    const auto made = merge(std::move(order));
    REQUIRE(made.snapshot->content == b->content);
    REQUIRE(diff(*made.snapshot, *b).empty());
    REQUIRE(listed(*made.snapshot) == listed(*b));
    // What a disk or another node gets of it says the same.
    forwarding_expectations expected;
    expected.cluster = "weir";
    expected.datasets = listed_datasets();
    std::istringstream stream(bytes_of_config(*made.snapshot));
    const auto loaded = load_forwarding_config(stream, expected);
    REQUIRE_MESSAGE((loaded.snapshot || made.snapshot->table.entry_count() == 0), loaded.text);
    if (loaded.snapshot)
      REQUIRE(diff(*loaded.snapshot, *b).empty());
  }
}

TEST_CASE("exactly the held jobs stay as they are, and every other becomes what the candidate says") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::size_t held_changes = 0;
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    auto jobs_a = any_jobs(random);
    for (auto& [id, x] : jobs_a)
      if (random() % 10 == 0)
        x.on_hold_since = noon_seconds - static_cast<std::uint32_t>(random() % (2 * 86'400));
    const auto jobs_b = any_jobs(random);
    const auto a = made_of(jobs_a, 17);
    const auto b = made_of(jobs_b, 18);
    auto order = order_of(a, b);
    std::set<std::uint64_t> held;
    for (const auto id : diff(*a, *b).ids())
      if (random() % 3 == 0)
        held.insert(number(id));
    for (const auto id : held)
      order.held.push_back(job_id{id});
    held_changes += held.size();

    job_list expected;
    for (std::uint64_t id = 1; id <= 500; ++id) {
      const auto was = jobs_a.find(id);
      const auto is = jobs_b.find(id);
      if (held.count(id) != 0) {
        if (was != jobs_a.end())
          expected[id] = was->second;
      } else if (is != jobs_b.end()) {
        expected[id] = is->second;
      } else if (was != jobs_a.end()) {
        auto x = was->second;
        const auto since = x.on_hold_since == 0 ? noon_seconds : x.on_hold_since;
        x.on_hold_since = since;
        if (noon_seconds - since < 86'400)
          expected[id] = x;
      }
    }
    const auto made = merge(std::move(order));
    REQUIRE(listed(*made.snapshot) == expected);
    REQUIRE(made.snapshot->content == made_of(expected, 1)->content);
  }
  CHECK_GT(held_changes, 0u);
}
