#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/shard_state.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_random.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// A shard's data, and bodies for it. Answers are kept by the receipts.
struct fixture {
  explicit fixture(shard_settings how = {}, std::shared_ptr<buffer_admission> admission =
                                                std::make_shared<buffer_admission>(buffer_admission::limits{})) {
    world.clock = std::make_shared<fake_clock>();
    world.random = std::make_shared<fake_random>(1);
    state = std::make_unique<shard_state>(how, world, std::move(admission), status);
    configure();
  }

  void configure() {
    state->configure(
        [of = configured](job_id job) {
          job_limits limits{{}, 1ull << 30};
          limits.kept = limits.pushed = of.empty() || of.count(number(job)) > 0;
          limits.tenant = number(job);
          return limits;
        },
        now, [](job_id job) { return "zone" + std::to_string(number(job)); });
  }

  /// One event of `size` bytes for a job.
  std::shared_ptr<receipt> take(std::uint64_t job, std::uint32_t size = 100) {
    auto slices = std::make_shared<slice_batch>();
    auto bytes = std::make_shared<payload>();
    bytes->reserve(size);
    std::memset(bytes->data_for_writing(), 'x', size);
    bytes->resize(size);
    bytes->seal();
    auto answer = std::make_shared<receipt>([](receipt&) {});
    slices->bytes = bytes;
    slices->origin = std::make_shared<batch>();
    slices->lines.push_back({0, size - 1});
    slice x;
    x.job = job_id{job};
    x.lines = 1;
    x.bytes = size;
    x.scope = "zone";
    x.duty = ticket{answer};
    slices->slices.push_back(std::move(x));
    state->take(slices, now);
    return answer;
  }

  environment world;
  std::shared_ptr<node_status> status = std::make_shared<node_status>();
  shard_state::time_point now{1h};
  std::set<std::uint64_t> configured; ///< Empty: every job.
  std::unique_ptr<shard_state> state;
};

} // namespace

TEST_CASE("open blocks are sealed, oldest first, as soon as together they hold more than the shard may") {
  shard_settings how;
  how.open_bytes = 250;
  fixture x{how};
  x.take(1);
  x.now += 1ms;
  x.take(2);
  CHECK_FALSE(x.state->seal_waiting(x.now, false, 100));
  CHECK_EQ(x.state->open_blocks(), 2u);
  CHECK_EQ(x.state->sealed_bytes(), 0u);
  x.now += 1ms;
  x.take(3);
  CHECK_FALSE(x.state->seal_waiting(x.now, false, 100));
  CHECK_EQ(x.state->open_blocks(), 2u);
  CHECK_EQ(x.state->open_bytes(), 200u);
  const auto group = x.state->take_sealed(1 << 20);
  REQUIRE(group);
  REQUIRE_EQ(group->blocks.size(), 1u);
  CHECK(group->blocks[0].job == job_id{1});
  CHECK(group->since == x.now - 2ms);
  const auto counts = x.state->take_counts();
  CHECK_EQ(counts.sealed_blocks[static_cast<std::size_t>(seal_trigger::memory)], 1u);
  CHECK_EQ(counts.created_buffers, 3u);
  CHECK_EQ(x.state->take_counts().created_buffers, 0u);
}

TEST_CASE("a block that waited for its linger, or for nothing, is counted so") {
  fixture x;
  x.take(1);
  x.state->seal_waiting(x.now, true, 100);
  x.take(1);
  x.state->seal_waiting(x.now + 50ms, true, 100);
  const auto counts = x.state->take_counts();
  CHECK_EQ(counts.sealed_blocks[static_cast<std::size_t>(seal_trigger::idle)], 1u);
  CHECK_EQ(counts.sealed_blocks[static_cast<std::size_t>(seal_trigger::linger)], 1u);
}

TEST_CASE("events that meet a full disk after they were sealed are shed under the name of their scope") {
  fixture x;
  const auto answer = x.take(7);
  x.state->seal_waiting(x.now, true, 100);
  auto group = x.state->take_sealed(1 << 20);
  REQUIRE(group);
  group->durable = false;
  group->disk_full = true;
  x.state->returned(*group, x.now);
  const auto outcome = answer->outcome();
  CHECK_EQ(outcome.shed[static_cast<std::size_t>(shed_reason::disk_full)], 1u);
  REQUIRE_EQ(outcome.retry_scopes.size(), 1u);
  CHECK_EQ(outcome.retry_scopes[0], "zone7");
  CHECK_EQ(x.state->take_counts().shed_events[static_cast<std::size_t>(shed_reason::disk_full)], 1u);
}

TEST_CASE("scopes to repeat never hold an empty text") {
  const auto answer = std::make_shared<receipt>([](receipt&) {});
  ticket{answer}.shed(job_id{1}, shed_reason::disk_full, 3, {});
  CHECK_EQ(answer->outcome().shed[static_cast<std::size_t>(shed_reason::disk_full)], 3u);
  CHECK(answer->outcome().retry_scopes.empty());
}

TEST_CASE("jobs beyond 50, 80 and 95 % of their quota are counted, a few jobs at a time") {
  fixture x;
  x.state->configure([](job_id) { return job_limits{{}, 1'000}; }, x.now);
  x.take(1, 400);
  x.take(2, 600);
  x.take(3, 900);
  x.take(4, 980);
  CHECK(x.state->look_at_levels(2) == buffer_levels{0, 0, 0});
  CHECK(x.state->look_at_levels(2) == buffer_levels{3, 2, 1});
  x.state->configure([](job_id) { return job_limits{{}, 10'000}; }, x.now);
  x.state->look_at_levels(2);
  CHECK(x.state->look_at_levels(2) == buffer_levels{0, 0, 0});
}

TEST_CASE("OVL-01: the empty buffers of jobs that left the config give their room back, others stay") {
  auto admission = std::make_shared<buffer_admission>(buffer_admission::limits{10, 1'000, 1'000});
  fixture x{{}, admission};
  for (std::uint64_t job = 1; job <= 10; ++job)
    x.take(job);
  CHECK(x.take(11)->outcome().shed[static_cast<std::size_t>(shed_reason::buffer_count)] == 1);
  // All but job 3 are delivered.
  x.state->seal_waiting(x.now, true, 100);
  auto group = x.state->take_sealed(1 << 20);
  REQUIRE(group);
  group->durable = true;
  x.state->returned(*group, x.now);
  std::vector<job_id> due;
  x.state->take_due(x.now + 1h, due);
  for (std::uint64_t job = 1; job <= 10; ++job)
    if (job != 3) {
      x.state->apply(cut_made{job_id{job}, 1, 100}, x.now);
      x.state->apply(space_freed{job_id{job}, 10'000});
      x.state->apply(backlog_taken{job_id{job}}, x.now);
      for (const auto unsure : x.state->take_unsure(10))
        x.state->compare(unsure, 0, 0, x.now);
    }
  CHECK_EQ(x.state->reclaim(100, x.now + 1h, 10s), 0u); // they are all wanted
  x.configured = {1, 2};
  x.configure();
  CHECK_EQ(x.state->reclaim(100, x.now + 9s, 10s), 0u); // not at rest for long enough
  CHECK_EQ(x.state->reclaim(5, x.now + 11s, 10s) + x.state->reclaim(5, x.now + 11s, 10s), 7u);
  CHECK_EQ(x.state->jobs(), 3u);
  CHECK_EQ(admission->buffers(), 3u);
  // Their places are taken by others, and by themselves when they come back: with the numbers they had.
  x.state->ask_what_is_known([](job_id job) -> std::optional<store::job_state> {
    if (job != job_id{4})
      return std::nullopt;
    store::job_state known;
    known.job = job;
    known.current = generation{77};
    known.next = 2;
    return known;
  });
  x.take(4);
  x.take(21);
  x.state->seal_waiting(x.now, true, 100);
  group = x.state->take_sealed(1 << 20);
  REQUIRE(group);
  REQUIRE_EQ(group->blocks.size(), 2u);
  CHECK(group->blocks[0].range.generation == generation{77});
  CHECK_EQ(group->blocks[0].range.first, 2u);
  CHECK(group->blocks[1].range.generation != generation{77});
  CHECK_EQ(group->blocks[1].range.first, 1u);
  CHECK_EQ(admission->buffers(), 5u);
  x.state.reset();
  CHECK_EQ(admission->buffers(), 0u);
}

TEST_CASE("new buffers are the first that memory pressure and crowded open blocks refuse; existing ones go on") {
  shard_settings how;
  how.open_bytes = 150;
  fixture x{how};
  const auto memory = static_cast<std::size_t>(shed_reason::memory);
  x.take(1);
  x.status->memory = node_status::memory_step::seal_early;
  CHECK_EQ(x.take(2)->outcome().shed[memory], 1u);
  CHECK_EQ(x.take(1)->outcome().total_shed(), 0u);
  x.status->memory = node_status::memory_step::normal;
  CHECK_EQ(x.take(2)->outcome().shed[memory], 1u); // 200 bytes are open
  CHECK_EQ(x.take(1)->outcome().total_shed(), 0u);
  x.state->seal_waiting(x.now, true, 100);
  CHECK_EQ(x.take(2)->outcome().total_shed(), 0u);
  CHECK_EQ(x.state->take_counts().refused_buffers[memory], 2u);
}
