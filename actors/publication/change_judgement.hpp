#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/publication/publication_view.hpp"
#include "config/forwarding_diff.hpp"
#include "config/forwarding_guards.hpp"

namespace weir {

/// What the guards make of a generated config, job by job: what may go on and what waits.
struct change_judgement {
  /// Refused as a whole; nothing else is set then.
  bool refused = false;
  std::string reason; ///< Of the refusal.
  std::string text;   ///< A sentence with the numbers, of the refusal or of the first guard that held.

  std::vector<job_id> held;         ///< Sorted; empty: everything may go on.
  std::vector<std::string> reasons; ///< Names of the guards that held, each once.
};

/// What `judge_change` compares. `in_force` has a version; `hour_ago` may be null or `in_force`.
struct judged_change {
  const config_snapshot* in_force = nullptr;
  const config_snapshot* hour_ago = nullptr;
  const config_snapshot* candidate = nullptr;
  config_diff since; ///< From `in_force` to `candidate`.
};

/// Finds the least part of a change that must wait so that the guards let the rest pass: the removals if it shrinks too
/// much, the additions if it grows too much, the moves if too much moves. What is explained waits only if nothing else
/// is left. `waiting` (sorted) waits whatever the guards say.
change_judgement judge_change(const guard_settings& settings, const guard_facts& facts, const judged_change& change,
                              std::vector<job_id> waiting);

/// Names a change of jobs, wherever and whenever it is seen again: SHA-256 over the ids and what becomes of each.
/// A job on hold counts as gone, because a generated config does not have it. `jobs` is sorted.
content_hash difference_of(const config_snapshot& after, const std::vector<job_id>& jobs);
/// What becomes of one job; all zero: it is gone.
content_hash state_of(const config_snapshot& after, job_id job);

/// Jobs that are on hold: how many, and the first of them.
struct jobs_on_hold {
  std::uint64_t count = 0;
  std::vector<job_id> first; ///< At most `most_holds_shown`.
};
jobs_on_hold holds_in(const config_snapshot& x);

/// The change as it is shown. With `only` (sorted), of these jobs alone.
change_summary summarize(const config_snapshot& before, const config_snapshot& after, const config_diff& difference,
                         const std::vector<job_id>* only = nullptr);

} // namespace weir
