#include "supervisors/overload_board.hpp"

#include <algorithm>

#include <doctest/doctest.h>
#include <google/protobuf/util/json_util.h>

#include "supervisors/overload_limits.hpp"
#include "supervisors/overload_routes.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_memory.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// The limits of a node whose roles are not there: what they would have counted is set by hand.
struct whole_board {
  whole_board() {
    config.limits.memory = 1'000;
    config.limits.buffers = 4;
    config.limits.buffer_creation_rate = 2;
    sources.world.clock = clock;
    sources.world.memory = memory;
    sources.status = std::make_shared<node_status>();
    sources.memory = std::make_shared<credit_window>(credit_window::limits{1'000, 1'000});
    sources.admission = std::make_shared<buffer_admission>(buffer_admission::limits{4, 2, 2, 0.5});
    sources.shares = std::make_shared<tenant_shares>(sources.memory, 0.25);
    sources.metrics = metrics;
    board = std::make_unique<overload_board>(overload_limits(config, sources), clock,
                                             std::shared_ptr<overload_metrics>{metrics, &metrics->overload});
  }
  overload_row row(overload_state state) {
    board->look();
    for (auto& x : board->report())
      if (x.state == state)
        return x;
    FAIL("no row for " << name_of(state));
    return {};
  }

  node_config config;
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<fake_memory> memory = std::make_shared<fake_memory>();
  std::shared_ptr<node_metrics_set> metrics = std::make_shared<node_metrics_set>();
  overload_sources sources;
  std::unique_ptr<overload_board> board;
};

} // namespace

TEST_CASE("every state has one row, with the key that sets its limit and what the node does about it") {
  whole_board x;
  x.board->look();
  const auto rows = x.board->report();
  REQUIRE(rows.size() == overload_state_count);
  for (std::size_t i = 0; i < overload_state_count; ++i) {
    const auto state = static_cast<overload_state>(i);
    CAPTURE(name_of(state));
    CHECK(std::count_if(rows.begin(), rows.end(), [&](const auto& row) { return row.state == state; }) == 1);
  }
  for (const auto& row : rows) {
    CAPTURE(name_of(row.state));
    CHECK_FALSE(row.limit_path.empty());
    CHECK_FALSE(row.action.empty());
    CHECK_FALSE(row.unit.empty());
    CHECK_FALSE(row.active);
  }
}

TEST_CASE("a state is entered at once, says since when, and is left when its cause was away for a while") {
  whole_board x;
  const auto state = overload_state::buffers_full;
  const auto before = x.row(state);
  CHECK(before.limit == 4);
  x.clock->advance(30s);
  for (tenant_key i = 1; i <= 2; ++i)
    CHECK_FALSE(x.sources.admission->admit(i, x.clock->steady()));
  x.clock->advance(1s);
  for (tenant_key i = 3; i <= 4; ++i)
    CHECK_FALSE(x.sources.admission->admit(i, x.clock->steady()));
  auto row = x.row(state);
  CHECK(row.active);
  CHECK(row.value == 4);
  CHECK(row.since == before.since + 31s);
  CHECK(x.metrics->overload.states[state].Value() == 1);
  x.sources.admission->released(1);
  // A refusal now and then, or a count at its limit for an instant, keeps it: no flicker.
  for (int i = 0; i < 10; ++i) {
    x.clock->advance(3s);
    CHECK(x.row(state).active);
    if (!x.sources.admission->admit(9, x.clock->steady()))
      CHECK(x.row(state).active);
    x.sources.admission->released(9);
  }
  CHECK(x.row(state).since == before.since + 31s);
  x.clock->advance(4s);
  CHECK(x.row(state).active);
  x.clock->advance(1s);
  row = x.row(state);
  CHECK_FALSE(row.active);
  CHECK(x.metrics->overload.states[state].Value() == 0);
  CHECK(x.metrics->overload.entered[state].Value() == 1);
}

TEST_CASE("what admission refuses shows as the state of its reason, and how fast buffers come") {
  whole_board x;
  x.board->look();
  for (tenant_key i = 1; i <= 2; ++i)
    CHECK_FALSE(x.sources.admission->admit(i, x.clock->steady()));
  CHECK(x.sources.admission->admit(3, x.clock->steady()) == shed_reason::creation_rate);
  CHECK(x.row(overload_state::buffers_paced).active);
  CHECK_FALSE(x.row(overload_state::tenant_over_buffers).active);
  x.clock->advance(1s);
  CHECK(x.row(overload_state::buffers_paced).value == 2);
  CHECK_FALSE(x.sources.admission->admit(1, x.clock->steady()));
  CHECK(x.sources.admission->admit(1, x.clock->steady()) == shed_reason::tenant_share);
  const auto row = x.row(overload_state::tenant_over_buffers);
  CHECK(row.active);
  CHECK(row.value == 2);
  CHECK(row.limit == 2);
}

TEST_CASE("connections, memory of a tenant and uploads show where they stand") {
  whole_board x;
  x.board->look();
  x.metrics->ingest.connections.Set(x.config.http.max_connections);
  CHECK(x.row(overload_state::connections_full).active);
  x.metrics->pusher.slots_in_use.Set(x.config.pusher.slots);
  CHECK_FALSE(x.row(overload_state::upload_slots_full).active); // nobody waits
  x.metrics->pusher.waiting_jobs.Set(1);
  CHECK(x.row(overload_state::upload_slots_full).active);
  x.metrics->pusher.open_breakers.Set(1);
  CHECK(x.row(overload_state::destinations_open).active);
  const auto used = credit::acquire(x.sources.memory, 600);
  credit held, more;
  CHECK(x.sources.shares->admit(config_version{1}, 1, 250, held));
  CHECK_FALSE(x.row(overload_state::tenant_over_memory).active);
  CHECK_FALSE(x.sources.shares->admit(config_version{1}, 1, 1, more));
  const auto row = x.row(overload_state::tenant_over_memory);
  CHECK(row.active);
  CHECK(row.value == 250);
  CHECK(row.limit == 250);
  x.metrics->ingest.trouble[http_trouble::rate].Increment();
  CHECK(x.row(overload_state::ingest_rate_limited).active);
}

TEST_CASE("the answer of /v1/overload says for each limit: value, limit, state, since when, action") {
  whole_board x;
  x.sources.status->memory = node_status::memory_step::seal_early;
  x.memory->set_resident(720);
  x.board->look();
  const auto shown = render_overload(x.board->report());
  REQUIRE(shown.states_size() == static_cast<int>(overload_state_count));
  CHECK_FALSE(shown.normal());
  const auto& first = shown.states(0);
  CHECK(first.name() == "sealing_early");
  CHECK(first.limit_path() == "limits.memory_seal_at");
  CHECK(first.value() == 720);
  CHECK(first.limit() == doctest::Approx(700));
  CHECK(first.state() == "active");
  CHECK(first.since().size() == std::string_view{"2024-11-14T11:43:00Z"}.size());
  CHECK(shown.states(1).state() == "normal");
}

TEST_CASE("a settled level rises at once and falls, after a while, to the highest it had meanwhile") {
  settled_level<int> level{1s};
  std::chrono::steady_clock::time_point t{1h};
  CHECK(level(0, t) == 0);
  CHECK(level(3, t) == 3);
  CHECK(level(1, t + 100ms) == 3);
  CHECK(level(2, t + 200ms) == 3);
  CHECK(level(0, t + 1099ms) == 3);
  CHECK(level(0, t + 1100ms) == 2);
  CHECK(level(2, t + 1200ms) == 2);
  CHECK(level(0, t + 1300ms) == 2);
  CHECK(level(2, t + 2299ms) == 2); // its level was there again: it begins anew
  CHECK(level(0, t + 2400ms) == 2);
  CHECK(level(0, t + 3400ms) == 0);
}
