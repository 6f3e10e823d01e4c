#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_snapshot.hpp"

namespace weir {

/// What became of one job between two forwarding configs. `entitled` means: enabled and not on hold.
enum class job_change : std::uint8_t {
  added,    ///< Entitled now; not there before, or off.
  restored, ///< Entitled again; was on hold.
  gone,     ///< Was entitled and is no longer in the config.
  held,     ///< Was entitled and is now on hold.
  off,      ///< Was entitled and its owner switched it off.
  moved,    ///< Entitled in both, with another destination.
  changed,  ///< Entitled in both, with other settings, or another tenant.
  other,    ///< Entitled in neither: a job that is off came, went or changed, or a hold ended.
};
constexpr std::size_t job_change_kinds = 8;

/// `added`, `restored`, …; for JSON and the console.
std::string_view name_of(job_change x) noexcept;

struct changed_job {
  job_id job{};
  job_change change = job_change::other;
};

/// Numbers of jobs by what became of them.
struct change_counts {
  std::uint64_t of[job_change_kinds] = {};

  std::uint64_t operator[](job_change x) const noexcept { return of[static_cast<std::size_t>(x)]; }
  std::uint64_t added() const noexcept; ///< `added` and `restored`.
  /// `gone`, `held` and `off`: no longer pushed, whoever wanted it.
  std::uint64_t removed() const noexcept;
  std::uint64_t moved() const noexcept { return (*this)[job_change::moved]; }
  std::uint64_t all() const noexcept;
};

struct tenant_changes {
  std::string tenant; ///< `accounts/<id>` or `zones/<id>`.
  change_counts counts;
};

/// The difference of two forwarding configs.
struct config_diff {
  config_version before_version{};
  config_version after_version{};
  content_hash before_content{};
  content_hash after_content{};
  /// Entitled jobs.
  std::uint64_t entries_before = 0;
  std::uint64_t entries_after = 0;
  /// Jobs that need a buffer: entitled ones and those on hold.
  std::uint64_t buffers_before = 0;
  std::uint64_t buffers_after = 0;

  change_counts counts;
  /// Every job that differs, by ascending id. 16 bytes each. A job that went to another scope or dataset is
  /// in it twice: `gone` and `added`.
  std::vector<changed_job> jobs;
  /// The tenants with most changes, at most `most_tenants`, largest first.
  std::vector<tenant_changes> tenants;
  std::uint64_t tenants_changed = 0; ///< Of all, also those not listed.

  static constexpr std::size_t most_tenants = 100;

  bool empty() const noexcept { return jobs.empty(); }
  /// The ids of all that differ, ascending, each once.
  std::vector<job_id> ids() const;
  /// The ids with one of these changes.
  std::vector<job_id> ids(std::initializer_list<job_change> of) const;
};

/// Compares two configs. Parts with equal hashes are not looked at, so that the cost follows from what
/// changed: equal configs cost nothing but counting, one changed job a 256th of the jobs. If either side holds no
/// settings (a node that only forwards), the tables are compared, and `changed`, `off` and `other` do not
/// occur: what is off is gone.
config_diff diff(const config_snapshot& before, const config_snapshot& after);

/// Numbers of entitled jobs and of all that need a buffer; a walk over the table.
struct entry_counts {
  std::uint64_t entitled = 0;
  std::uint64_t on_hold = 0; ///< With events to take; not those that were off when they vanished.
};
entry_counts count_entries(const config_snapshot& x) noexcept;

/// "17 added, 3 removed (2 on hold), 1 moved"; for logs and the console. "nothing changed" if so.
std::string summary(const change_counts& x);

} // namespace weir
