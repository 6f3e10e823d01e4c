#include "supervisors/node_watch.hpp"

#include <doctest/doctest.h>

#include "store/store.hpp"
#include "supervisors/overload_limits.hpp"
#include "tests/support/deterministic_system.hpp"

using namespace weir;

namespace {

using step = node_status::memory_step;

struct watched : deterministic_system {
  metrics_registry registry;
  overload_metrics shown{registry.families()};
  std::shared_ptr<node_status> status = std::make_shared<node_status>();
  std::shared_ptr<credit_window> in_flight = std::make_shared<credit_window>(credit_window::limits{1000, 10});
  node_watch_actor watch;

  void start() {
    node_watch_parts parts;
    parts.world = world;
    parts.status = status;
    parts.memory = in_flight;
    parts.metrics = {std::shared_ptr<void>{}, &shown};
    parts.budget = 1'000'000;
    limits_config limits;
    limits.memory = parts.budget;
    overload_sources sources;
    sources.world = world;
    sources.status = status;
    sources.memory = in_flight;
    parts.board = std::make_shared<overload_board>(ladder_limits(limits, sources), world.clock, parts.metrics);
    watch = owned(system.spawn(node_watch, parts));
    run();
  }
  /// What the node does with so much of its budget in use, in percent.
  step at(std::uint64_t percent) {
    memory->set_resident(percent * 10'000);
    advance(std::chrono::milliseconds{200}, std::chrono::milliseconds{100});
    return status->memory.load();
  }
};

} // namespace

TEST_CASE("the memory ladder is climbed step by step, at 70, 85 and 95 percent") {
  node_watch_parts parts;
  CHECK(memory_step_for(0.0, step::normal, parts) == step::normal);
  CHECK(memory_step_for(0.699, step::normal, parts) == step::normal);
  CHECK(memory_step_for(0.70, step::normal, parts) == step::seal_early);
  CHECK(memory_step_for(0.85, step::normal, parts) == step::shrink_credit);
  CHECK(memory_step_for(0.95, step::normal, parts) == step::refuse_ingest);
  CHECK(memory_step_for(7.00, step::normal, parts) == step::refuse_ingest);
}

TEST_CASE("a step is left only below 95 percent of where it begins, so that it does not flicker") {
  node_watch_parts parts;
  const std::pair<step, double> ladder[] = {
      {step::seal_early, 0.70}, {step::shrink_credit, 0.85}, {step::refuse_ingest, 0.95}};
  for (const auto& [entered, begins] : ladder) {
    CHECK(memory_step_for(begins * 0.951, entered, parts) == entered);
    CHECK(memory_step_for(begins * 0.949, entered, parts) < entered);
    // Who has not entered it does not get it for less.
    CHECK(memory_step_for(begins * 0.951, step::normal, parts) < entered);
  }
  // Far down at once: no step lingers.
  CHECK(memory_step_for(0.1, step::refuse_ingest, parts) == step::normal);
  // Coming down from the top, each step below is held for its own width.
  CHECK(memory_step_for(0.82, step::refuse_ingest, parts) == step::shrink_credit);
}

TEST_CASE("OVL-09: the node's steps follow its memory both ways, without anybody's help") {
  watched x;
  x.start();
  CHECK(x.at(50) == step::normal);
  CHECK(x.at(72) == step::seal_early);
  CHECK(x.in_flight->granted().bytes == 1000);
  CHECK(x.at(86) == step::shrink_credit);
  CHECK(x.in_flight->granted().bytes == 250);
  CHECK(x.at(96) == step::refuse_ingest);
  CHECK(x.in_flight->granted().bytes == 250);
  CHECK(x.shown.states[overload_state::refusing_ingest].Value() == 1);
  CHECK(x.at(82) == step::shrink_credit);
  CHECK(x.at(68) == step::seal_early);
  CHECK(x.in_flight->granted().bytes == 1000);
  CHECK(x.at(10) == step::normal);
  for (std::size_t i = 0; i < overload_state_count; ++i)
    CHECK(x.shown.states[static_cast<overload_state>(i)].Value() == 0);
}

TEST_CASE("a watch that was restarted in the middle of trouble gives the whole budget back when it ends") {
  watched x;
  x.start();
  CHECK(x.at(90) == step::shrink_credit);
  x.kill(x.watch);
  x.start();
  CHECK(x.at(10) == step::normal);
  CHECK(x.in_flight->granted().bytes == 1000);
}

TEST_CASE("the disk's states are shown as the writer notes them") {
  watched x;
  x.start();
  const auto shown = [&](store::disk_state state) {
    x.status->disk.store(static_cast<std::uint8_t>(state));
    x.at(10);
    return std::vector<double>{x.shown.states[overload_state::disk_low].Value(),
                               x.shown.states[overload_state::refusing_new_buffers].Value(),
                               x.shown.states[overload_state::disk_full].Value()};
  };
  CHECK(shown(store::disk_state::normal) == std::vector<double>{0, 0, 0});
  CHECK(shown(store::disk_state::low) == std::vector<double>{1, 0, 0});
  CHECK(shown(store::disk_state::refuse_new_buffers) == std::vector<double>{1, 1, 0});
  CHECK(shown(store::disk_state::refuse_appends) == std::vector<double>{1, 1, 1});
  CHECK(shown(store::disk_state::normal) == std::vector<double>{0, 0, 0});
}
