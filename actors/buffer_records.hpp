#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "messages/environment.hpp"
#include "messages/ids.hpp"
#include "store/store.hpp"

/// The records by which a buffer decides, and the decisions that need only the store: no actor here.
namespace weir {

/// Wall clock in nanoseconds since 1970.
std::uint64_t wall_ns(const environment& world);

/// One moment, as both clocks saw it.
struct both_clocks {
  std::chrono::steady_clock::time_point steady;
  std::chrono::system_clock::time_point wall;
};
both_clocks look_at(const clock_source& clock);

/// What the wall says, but never more than time can have passed since `began`: a wall clock that jumps
/// ahead makes nothing old. (Set back, it makes everything younger, and events stay longer.) In ns.
std::uint64_t careful_wall_ns(const environment& world, const both_clocks& began);

store::append_record cut_record(job_id job, const proto::Cut& cut);
store::append_record commit_record(job_id job, const proto::Cut& part, std::uint64_t at_ns);
store::append_record trim_record(job_id job, const sequence_range& range, proto::Trim::Reason reason);

/// The events of `part` as a dead letter with the reason, and the trim that takes them out of the
/// queue; both belong into one group. Errors: those of reading.
caf::expected<std::vector<store::append_record>> dead_letter_records(const store::segmented_store& store, job_id job,
                                                                     const proto::Cut& part, int status,
                                                                     const std::string& reason, std::uint64_t at_ns);

/// Of `expired_range`: as if everything had expired.
constexpr std::uint64_t of_any_age = ~std::uint64_t{0};

/// The oldest events that arrived before `before_seconds`, as one range of one generation; of an open
/// cut all parts that are left or none. At most 10,000 blocks at a time, or those of the open cut.
std::optional<sequence_range> expired_range(const store::segmented_store& store, job_id job,
                                            const std::optional<proto::Cut>& open, std::uint64_t before_seconds);

/// Dead letters that were made before a moment, and the records that remove them.
struct expired_letters {
  std::vector<store::append_record> records;
  std::uint64_t bytes = 0; ///< On disk.
};

/// When the oldest dead letter of a job was made, wall clock, in ns. Reads it; nothing if there is none or it
/// cannot be read at present.
std::optional<std::uint64_t> oldest_dead_letter_ns(const store::segmented_store& store, job_id job);

/// The oldest dead letters of a job, whatever their age; at most 64 at once.
expired_letters all_dead_letters(const store::segmented_store& store, job_id job);

/// The oldest dead letters of a job that were made before `before_ns`, wall clock; at most 64 at once. Reads
/// those, and one more.
expired_letters expired_dead_letters(const store::segmented_store& store, job_id job, std::uint64_t before_ns);

} // namespace weir
