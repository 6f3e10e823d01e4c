#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir {

/// What somebody wants of a node.
struct plan_request {
  double events_per_second = 0;              ///< Of all jobs together; above 0.
  std::uint64_t jobs = 0;                    ///< Configured; above 0.
  std::uint64_t active_jobs = 0;             ///< That get events within a minute; 0: all.
  double event_bytes = 654;                  ///< Of one event; default: that of the measurements.
  std::chrono::hours outage{24};             ///< For which the disk has to hold what no destination takes.
  std::chrono::seconds interval{30};         ///< Between a job's objects.
  std::uint64_t job_bytes = 10ull << 30;     ///< `limits.job_bytes`
  std::chrono::seconds max_age{72 * 3600};   ///< `buffer.max_age`
  std::optional<std::uint64_t> memory, disk; ///< What there is; for what it suffices is said then.
};

/// What that takes. Each number follows from measured ones, which bench/RESULTS.md names with their machine; between
/// them it is interpolated over the logarithm, beyond them it stays at the nearest.
struct capacity_plan {
  double stored_bytes_per_event = 0; ///< In the log, compressed, with record headers.
  double stored_bytes_per_second = 0;
  double cpu_seconds_per_million = 0; ///< Whole process, deliveries included.
  double cores = 0;                   ///< Busy with it.
  std::uint64_t memory_used = 0;      ///< RSS at this load.
  std::uint64_t memory_limit = 0; ///< `limits.memory` so that the first step of the memory ladder stays out of reach.
  std::uint64_t disk_for_outage = 0;      ///< A file system or `limits.store_max_bytes` for `outage`.
  std::uint64_t job_bytes_for_outage = 0; ///< Quota of an average job for it.
  double objects_per_second = 0;
  std::optional<double> hours_covered; ///< By `disk`; at most `max_age` and the quota of an average job.
  std::string hours_bound_by;          ///< `disk`, `buffer.max_age`, `limits.job_bytes`.
  std::optional<bool> memory_suffices;
  std::vector<std::string> warnings; ///< Sentences.
};

capacity_plan plan_capacity(const plan_request& wanted);

/// As tables and sentences for people.
std::string render_plan(const plan_request& wanted, const capacity_plan& plan);
/// The same as JSON with the names above.
std::string plan_json(const plan_request& wanted, const capacity_plan& plan);

} // namespace weir
