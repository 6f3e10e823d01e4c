#include "supervisors/node_watch.hpp"

#include <caf/all.hpp>

#include "actors/guard_rails.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using watch_self = bounded_pointer<node_watch_actor, node_watch_state>;
using memory_step = node_status::memory_step;

constexpr std::chrono::milliseconds step{100};
constexpr double leave_at = 0.95;
constexpr std::uint64_t shrink_by = 4; ///< What is left of the in-flight budget: a quarter.

std::string_view name_of(memory_step x) {
  constexpr std::string_view names[] = {"normal", "seal_early", "shrink_credit", "refuse_ingest"};
  return names[static_cast<std::size_t>(x)];
}

void show(const node_watch_parts& parts) {
  auto& metrics = *parts.metrics;
  parts.board->look();
  metrics.memory_budget_bytes.Set(static_cast<double>(parts.budget));
  metrics.memory_in_flight_bytes.Set(static_cast<double>(parts.memory->used().bytes));
}

void look(watch_self self) {
  auto& state = self->state;
  auto& parts = state.parts;
  const auto used = static_cast<double>(parts.world.memory->resident()) / static_cast<double>(parts.budget);
  const auto before = parts.status->memory.load();
  const auto now = memory_step_for(used, before, parts);
  if (now != before) {
    parts.status->memory.store(now);
    log::warn("memory-step", "memory is at {:.0f} % of its budget: {} follows {}", used * 100, name_of(now),
              name_of(before));
    auto limits = state.full;
    if (now >= memory_step::shrink_credit)
      limits.bytes /= shrink_by;
    parts.memory->grant(limits);
  }
  show(parts);
  self->delayed_send(self, step, upkeep_tick{});
}

} // namespace

memory_step memory_step_for(double used, memory_step now, const node_watch_parts& parts) {
  const std::pair<memory_step, double> ladder[] = {{memory_step::refuse_ingest, parts.refuse_ingest_at},
                                                   {memory_step::shrink_credit, parts.shrink_credit_at},
                                                   {memory_step::seal_early, parts.seal_early_at}};
  for (const auto& [at_step, begins] : ladder)
    if (used >= begins || (now >= at_step && used >= begins * leave_at))
      return at_step;
  return memory_step::normal;
}

node_watch_actor::behavior_type node_watch(watch_self self, node_watch_parts parts) {
  set_guard_rails(self, "node_watch");
  self->state.full = parts.memory->granted();
  if (parts.status->memory.load() >= memory_step::shrink_credit)
    self->state.full.bytes *= shrink_by; // a predecessor shrank it
  self->state.parts = std::move(parts);
  self->send(self, upkeep_tick{});
  return {[self](upkeep_tick) { look(self); }};
}

} // namespace weir
