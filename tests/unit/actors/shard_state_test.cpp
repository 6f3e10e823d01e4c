#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "actors/shard_state.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_random.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// A shard's data, and bodies for it. Answers are kept by the receipts.
struct fixture {
  explicit fixture(shard_settings how = {}) {
    world.clock = std::make_shared<fake_clock>();
    world.random = std::make_shared<fake_random>(1);
    state = std::make_unique<shard_state>(how, world, std::make_shared<buffer_admission>(buffer_admission::limits{}),
                                          status);
    state->configure(
        [](job_id) {
          return job_limits{{}, 1ull << 30};
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
