#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "config/config_builder.hpp"
#include "config/config_snapshot.hpp"

namespace weir {

/// What a new version is made of. Lists of ids are sorted.
struct merge_order {
  config_snapshot_ptr in_force; ///< Null: the candidate is the first, and taken as it is.
  /// As it was generated, without jobs on hold. Moved in, it need not be copied where it can be taken as it is.
  config_snapshot_ptr candidate;
  /// Jobs whose change waits for an operator: they stay as they are in force.
  std::vector<job_id> held;
  /// Jobs that their owners deleted: they go at once and are not put on hold.
  std::vector<job_id> deleted;
  std::chrono::system_clock::time_point now{};
  std::chrono::milliseconds hold{24 * 3'600'000}; ///< `config.hold`
  snapshot_identity identity;
};

struct merge_result {
  config_snapshot_ptr snapshot;
  bool unchanged = false;          ///< Nothing differs from what is in force, which `snapshot` is: no new version.
  std::vector<job_id> put_on_hold; ///< Vanished with this version; the owner is to be told at once.
  std::vector<job_id> restored;    ///< Were on hold and are back.
  /// Are no longer in the config: on hold for longer than `hold`, or of a dataset that is gone.
  std::vector<job_id> expired;
  std::uint64_t on_hold = 0; ///< Of the new version.
};

/// Makes a version of the candidate's jobs, but
/// - a job that is in force and not in the candidate goes **on hold** (enabled or not), with `now` as its
///   since; when it was on hold for longer than `hold` it goes;
/// - a job in `held` stays as it is in force, or stays away if it is not in force;
/// - a job in `deleted` goes.
/// A job that is in the candidate again is no longer on hold. One that is on hold in the candidate (an old
/// version that is rolled back to) counts as not in it. Accounts own the zones that the candidate says, but zones of
/// jobs that stay as they are keep their owner. With nothing held or on hold the content is the candidate's.
///
/// Costs a walk over the changed parts if the result is the candidate as it is, which nobody else holds, or the
/// version in force as it is; otherwise the tables are built anew, about as long as reading the jobs.
merge_result merge(merge_order order);

/// The same content under another version. Costs nothing if nobody else holds the snapshot (move it in);
/// otherwise a copy is made, about as long as reading the jobs.
config_snapshot_ptr restamped(config_snapshot_ptr of, snapshot_identity identity);

} // namespace weir
