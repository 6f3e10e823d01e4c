#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "actors/bounded_mailbox.hpp"
#include "actors/buffer.hpp"
#include "messages/interfaces.hpp"
#include "supervisors/removal_schedule.hpp"
#include "supervisors/supervised_children.hpp"

namespace weir {

struct buffers_parts {
  buffer_parts child;                             ///< What every buffer gets; its job and snapshot are filled in.
  restart_limits limits;                          ///< Of each buffer; beyond them it is parked.
  std::chrono::milliseconds hold{24 * 3'600'000}; ///< `config.hold`
  /// Told of every step of every buffer; may be empty.
  std::function<void(const child_transition&)> observe;
};

struct buffers_state {
  static constexpr const char* name = "buffers";
  static constexpr std::uint64_t mailbox_limit = 1'100'000; ///< Every active buffer may want to leave at once.

  struct active {
    std::uint64_t told = 0; ///< `jobs_due` sent to this instance.
    bool leaving = false;   ///< Told to exit; what is due meanwhile waits here.
    bool due = false;
  };

  buffers_parts parts;
  std::optional<supervised_children> children;
  std::unordered_map<std::uint64_t, active> jobs;
  snapshot_ptr snapshot;
  // The round over all jobs of the store
  std::uint64_t walk_from = 0;
  std::chrono::steady_clock::time_point next_round{};
  removal_schedule removals{std::chrono::milliseconds{0}};
  std::unordered_set<std::uint64_t> removing;               ///< Told to remove what they have.
  std::unordered_map<std::uint64_t, std::uint64_t> letters; ///< When a job's oldest dead letter was made, in ns.
};

/// Supervises the buffers, one child a job: wakes them when a shard says that something is due, lets
/// idle ones go in two steps, restarts crashed ones with growing delay and parks a hopeless one with
/// its reason, without any of the others noticing.
///
/// Nobody reminds it of jobs that only wait. So it goes round over all jobs of the store, at least every
/// half minute or 10,000 jobs a second, and wakes those with something too old: the events of a job on hold
/// or disabled, dead letters; and of jobs that are gone from the config for good, to have it removed.
buffers_actor::behavior_type buffers(bounded_pointer<buffers_actor, buffers_state> self, buffers_parts parts);

} // namespace weir
