#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "config/config_builder.hpp"
#include "config/config_snapshot.hpp"

namespace weir {

/// What a new version is made of. Lists of ids are sorted.
struct merge_order {
  config_snapshot_ptr in_force; ///< Null, or without jobs: the first.
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
  std::vector<job_id> put_on_hold; ///< Vanished with this version; the owner is to be told at once.
  std::vector<job_id> restored;    ///< Were on hold and are back.
  std::vector<job_id> expired;     ///< Were on hold for longer than `hold`, and are no longer in the config.
  std::uint64_t on_hold = 0;       ///< Of the new version.
};

/// Makes a version of the candidate's jobs, but
/// - a job that is in force and not in the candidate goes **on hold** (enabled or not), with `now` as its
///   since; when it was on hold for longer than `hold` it goes;
/// - a job in `held` stays as it is in force, or stays away if it is not in force;
/// - a job in `deleted` goes.
/// A job that is in the candidate again is no longer on hold. Accounts own the zones that the
/// candidate says, except those of held jobs. With nothing held or on hold the content is the candidate's.
///
/// Costs nothing but a walk over the changed parts if the candidate can be taken as it is (nothing held,
/// vanished or on hold, and the candidate is held by nobody else); else the tables are built anew.
merge_result merge(merge_order order);

} // namespace weir
