#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/ids.hpp"

/// Proves from delivered files alone that nothing is missing or doubled, and with a sender's receipts
/// that every event it has an acknowledgement for arrived.
namespace weir::audit {

/// One run of a job's sequences, as delivered.
struct generation_report {
  weir::generation generation{};
  sequence last = 0;
  std::uint64_t missing = 0; ///< Sequences from 1 to `last` that no member holds.
  std::uint64_t doubled = 0; ///< Sequences that more than one member holds.
  sequence first_missing = 0;
  sequence first_doubled = 0;
};

struct job_report {
  job_id job{};
  std::uint64_t objects = 0;
  std::uint64_t members = 0;
  std::uint64_t events = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t packed_bytes = 0;
  std::uint64_t doubled_events = 0;   ///< Same event under two sequences.
  std::uint64_t unreadable = 0;       ///< Lines that are no JSON objects.
  std::uint64_t receipts_missing = 0; ///< Acknowledged and not delivered.
  std::vector<generation_report> generations;
};

/// An acknowledged event that did not arrive.
struct missing_event {
  job_id job{}; ///< 0: no job of the zone is known.
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;
  std::string ray;
  std::string zone;
  std::string body; ///< Its body's `Idempotency-Key`.
};

struct report {
  std::uint64_t files = 0;
  std::uint64_t members = 0;
  std::uint64_t foreign_members = 0; ///< Without identity: Weir did not seal them.
  std::uint64_t events = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t packed_bytes = 0;
  std::vector<job_report> jobs;
  std::vector<std::string> bad_files; ///< With the reason; the first 100.
  std::uint64_t bad_file_count = 0;

  std::uint64_t gaps = 0; ///< Sequences missing, of all jobs.
  std::uint64_t doubled_sequences = 0;
  std::uint64_t doubled_events = 0;
  std::uint64_t unreadable = 0;

  bool with_receipts = false;
  std::uint64_t acknowledged_bodies = 0;
  std::uint64_t acknowledged_events = 0;
  std::uint64_t expected = 0;        ///< Acknowledged events of zones with a job, for each such job.
  std::uint64_t missing = 0;         ///< Of these; all of them were given to `on_missing`.
  std::uint64_t missing_unnamed = 0; ///< By count only: in bodies of which the node filtered, shed or refused a part.
  std::uint64_t missing_zones = 0;   ///< The node accepted them, yet no job of their zones is known.

  /// Nothing is missing, doubled, unreadable or broken.
  bool clean() const noexcept;
};

/// Reads objects one by one, then receipts, then judges. Not thread-safe.
class auditor {
 public:
  auditor();
  ~auditor();

  /// A job that is known to want a zone's events; without such knowledge a zone counts as wanted if
  /// anything of it was delivered. Before all else.
  void expect(job_id job, std::string_view zone);
  /// The same for a zone whose job is not known.
  void expect_zone(std::string_view zone);

  /// One object. Damage is noted in the report, and what is good before it still counts. Errors in
  /// opening are noted too. Returns the bytes read.
  std::uint64_t read_object(const std::string& path);

  /// A sender's receipts, after all objects. `on_missing` is called for each missing event. Throws
  /// what `generate::read_receipts` throws.
  ///
  /// Of a body that was accepted as a whole each event is checked: those of zones with jobs must be
  /// there, for each job; and the node must have said "not entitled" of exactly the others, so that
  /// a job of which nothing at all arrived is found too. Where the node filtered, shed or refused a
  /// part, nobody knows which events those were; then only the number that arrived is held against
  /// the number that was accepted.
  void read_receipts(const std::string& path, const std::function<void(const missing_event&)>& on_missing);

  /// Call once, at the end.
  report finish();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace weir::audit
