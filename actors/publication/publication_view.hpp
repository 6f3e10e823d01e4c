#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/ids.hpp"

/// What the publisher shows and what it is told: plain values that the control routes, the command line and tests
/// share.
namespace weir {

/// Time as the publisher is told it: stages and patience run by `steady`, approvals and holds by `wall`, because they
/// outlive the process.
struct publication_moment {
  std::chrono::steady_clock::time_point steady;
  std::chrono::system_clock::time_point wall;
};

/// Where a rollout is. Ordered as it goes; `returning` puts the former content back.
enum class rollout_stage : std::uint8_t { idle, receivers, canary, tenth, all, returning };
constexpr std::size_t rollout_stage_count = 6;
std::string_view name_of(rollout_stage stage) noexcept;

/// How the rollout of a version ended, as it stands in the history.
enum class version_outcome : std::uint8_t {
  rolling_out, ///< Not over yet, or its process died meanwhile.
  complete,    ///< In force everywhere and last known good.
  stopped,     ///< A role refused it, did not answer or the health gate closed: the former content was put back.
  interrupted, ///< The publisher ended before the rollout did.
};
std::string_view name_of(version_outcome outcome) noexcept;

/// Changes of one tenant's jobs.
struct tenant_change {
  std::string tenant;
  std::uint64_t added = 0;
  std::uint64_t removed = 0; ///< Gone, or newly on hold.
  std::uint64_t moved = 0;   ///< To another destination.
  std::uint64_t changed = 0; ///< Anything else.

  std::uint64_t total() const noexcept { return added + removed + moved + changed; }
};

struct change_summary {
  tenant_change in_all;                 ///< `tenant` is empty.
  std::vector<tenant_change> by_tenant; ///< Most changed first, at most `most_tenants_shown`.
  std::uint64_t tenants = 0;            ///< All that have changes.
};
constexpr std::size_t most_tenants_shown = 100;

/// A change that waits for an operator.
struct held_change {
  content_hash hash{};              ///< What approves it: `approval_hash` when it was first held.
  std::vector<std::string> reasons; ///< Names of the guards that fired.
  std::string text;                 ///< A sentence with the numbers.
  change_summary changes;
  config_version parent{}; ///< In force when it was first held.
  std::chrono::system_clock::time_point since;
  std::string who; ///< Who caused it, as the source says.
  struct approval {
    std::string who;
    std::chrono::system_clock::time_point at;
    std::chrono::system_clock::time_point expires;
  };
  std::optional<approval> approved; ///< Given but not yet used: a rollout is under way, or it is frozen.
};

/// One version of the history.
struct version_row {
  config_version version{};
  config_version parent{};
  content_hash content{};
  std::chrono::system_clock::time_point created;
  std::chrono::system_clock::time_point finished; ///< Epoch: not yet.
  std::string why;                                ///< `first`, `change`, `approved`, `rollback`, `return`, `hold_over`.
  std::string who;
  version_outcome outcome = version_outcome::rolling_out;
  std::string text; ///< Why it was stopped; empty otherwise.
  std::uint64_t entries = 0;
  std::uint64_t jobs = 0;
  bool has_content = false; ///< The bytes are still kept, so that it can be shown and put back.
};

/// One row of the audit trail: who did what, when, to which version or hash, and what came of it.
struct audit_row {
  std::uint64_t id = 0;
  std::chrono::system_clock::time_point at;
  std::string who;  ///< Name of a token; `publisher` for what it did by itself.
  std::string what; ///< `refused`, `held`, `withdrawn`, `published`, `completed`, `stopped`, `approved`, …
  config_version version{};
  std::string hash; ///< Hex; empty if there is none.
  std::string result;
  std::string text; ///< A sentence; no secret.
};

/// What an operator may order.
struct config_command {
  enum class order : std::uint8_t { approve, reject, rollback, freeze, unfreeze, publish };
  order what = order::publish;
  content_hash hash{};      ///< Of `approve` and `reject`.
  config_version version{}; ///< Of `rollback`.
  std::string who;          ///< Name of the token; never empty.
  std::string why;          ///< The operator's own words; may be empty.
};
std::string_view name_of(config_command::order what) noexcept;

struct command_result {
  std::string error; ///< Stable name: `not_held`, `expired`, `unknown_version`, …; empty if it was done.
  std::string text;  ///< A sentence, also when it was done.
  config_version version{};

  bool done() const noexcept { return error.empty(); }
};

constexpr std::size_t most_holds_shown = 100;

/// The publisher's state at a glance; a copy that may be kept.
struct publication_view {
  config_version in_force{};
  content_hash content{};
  std::chrono::system_clock::time_point in_force_since;
  std::uint64_t entries = 0;
  std::uint64_t jobs = 0;
  std::uint64_t on_hold = 0;        ///< Jobs that vanished and are still buffered.
  std::vector<job_id> on_hold_jobs; ///< The first of them, at most `most_holds_shown`.

  rollout_stage stage = rollout_stage::idle;
  config_version rolling_out{}; ///< 0: none.
  std::string rollout_text;     ///< What the stage waits for.

  struct frozen_state {
    std::string who;
    std::string why;
    std::chrono::system_clock::time_point since;
  };
  std::optional<frozen_state> frozen;

  std::vector<held_change> held;

  struct source_state {
    bool ok = false;
    std::string reason; ///< Name of the refusal.
    std::string text;
    std::chrono::system_clock::time_point last_good; ///< Epoch: never.
    std::uint64_t failures = 0;                      ///< In a row.
  } source;
  std::chrono::seconds age{}; ///< Since the source last confirmed or changed what is in force.
  bool stale = false;         ///< Older than `config.stale_after`.

  struct role_version {
    std::string role; ///< `receiver` or `forwarder`.
    std::size_t index = 0;
    config_version version{};
    std::string reason; ///< Why it refused what it was offered last.
  };
  std::vector<role_version> roles;

  std::string last_known_good_problem; ///< Why the last one could not be written; empty: it was.
  std::string history_problem;         ///< Why the history cannot be written; then nothing is published.
};

} // namespace weir
