#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <caf/expected.hpp>

#include "messages/environment.hpp"
#include "store/store.hpp"

/// Looks at a store's files without changing any of them: for `weir store inspect` and `verify`, for
/// tests and for people in trouble. Works beside a running node, whose last group it may then see torn.
namespace weir::store {

/// One record as it lies on disk, its checksums good.
struct inspected_record {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0; ///< In the segment's file.
  std::uint32_t bytes = 0;  ///< Header, meta, payload and padding.
  record_kind kind{};
  bool relocated = false;
  job_id job{};
  sequence_range range;
  std::string meta; ///< The kind's protobuf message, serialised.
  std::uint32_t payload_bytes = 0;
};

/// One segment file.
struct inspected_segment {
  std::string file;          ///< Name within the directory.
  std::uint32_t segment = 0; ///< 0: free.
  bool in_use = false;       ///< Part of the log; false for what waits to be reused.
  std::uint32_t end = 0;     ///< Where its durable groups end.
  std::uint64_t groups = 0, records = 0;
  std::map<record_kind, std::uint64_t> by_kind;
  std::uint64_t payload_bytes = 0;
  bool has_sidecar = false;
};

/// Something that is not as it should be.
struct store_problem {
  enum class severity : std::uint8_t {
    note,   ///< Normal after a crash: a torn tail, a missing sidecar.
    damage, ///< Bytes that were durable are bad.
  };
  severity how = severity::damage;
  std::string file;
  std::uint64_t offset = 0;
  std::string what; ///< One sentence.
  job_id job{};     ///< Whose events, if that can be told; else 0.
  sequence_range range;
};

struct inspection {
  std::uint64_t identity = 0; ///< Of the store.
  std::uint32_t format = 0;
  std::uint32_t checkpoint = 0; ///< Number of the latest good one.
  std::uint64_t checkpoint_bytes = 0;
  std::vector<inspected_segment> segments; ///< By segment id; free files last.
  std::vector<store_problem> problems;
  std::uint64_t jobs = 0, blocks = 0, buffered_events = 0, dead_letters = 0; ///< As a start would find them.

  bool damaged() const noexcept {
    for (const auto& x : problems)
      if (x.how == store_problem::severity::damage)
        return true;
    return false;
  }
};

struct inspect_options {
  /// Reads every byte of every segment and checks every checksum. Otherwise only checkpoints and
  /// sidecars are read, and segments without one.
  bool verify = true;
  /// Told of every record of the log in order; only with `verify`. False stops the walk.
  std::function<bool(const inspected_record&)> on_record;
};

/// Errors: `refused` (no store there, or of another format), `store_failed` (the disk).
caf::expected<inspection> inspect_store(const std::string& directory, disk& where, const inspect_options& how = {});

} // namespace weir::store
