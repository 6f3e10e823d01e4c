#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <caf/expected.hpp>

#include "messages/environment.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"
#include "messages/store.pb.h"
#include "store/ledger.hpp"

/// The node's one segmented log: what every job's events, cuts and accounts are written to.
/// docs/store-format.md describes it to the byte. No actors here.
namespace weir::store {

/// What a record is. The numbers are on disk and never change their meaning.
enum class record_kind : std::uint8_t {
  block = 1,       ///< Events of one job, one gzip member.
  pack = 2,        ///< Runs of many jobs (reserved; see ADR 0004).
  cut = 3,         ///< What one object holds; at most one is open per job.
  commit = 4,      ///< The object is at its destination: its events are delivered and trimmed.
  trim = 5,        ///< Events end without delivery, with the reason.
  ledger = 6,      ///< The account of a body without a name.
  checkpoint = 7,  ///< State of all jobs, ledger totals, deduplication window.
  fence = 8,       ///< First record of a segment: where the one before it ends for good.
  closing = 9,     ///< The end of a generation.
  dead = 10,       ///< Dead-lettered events, in the job's quota.
  spool = 11,      ///< A body that waits for a remote receiver (reserved).
  batch_done = 12, ///< The account and the stored answer of a named body.
  key_id = 13,     ///< Encryption key in force from here on (reserved).
  retained = 14,   ///< Delivered block kept for replay (reserved).
};

/// One record to append. The bytes are shared with the caller, not copied.
struct append_record {
  record_kind kind{};
  job_id job{};
  sequence_range range;                       ///< Zero for node-wide records.
  std::string meta;                           ///< The kind's protobuf message, serialised.
  std::shared_ptr<const std::string> payload; ///< The gzip member of a block; else null.
};

/// A durable block, as the index knows it.
struct block_info {
  sequence_range range;
  std::uint32_t payload_bytes = 0;     ///< Of the gzip member.
  std::uint32_t record_bytes = 0;      ///< Header, meta and payload on disk.
  std::uint32_t raw_bytes_at_most = 0; ///< Of the events, rounded up by at most an eighth (8 bits in the index).
  std::uint32_t arrival_seconds = 0;   ///< Of the first event, wall clock since 1970.
};

/// A block's bytes, read back and checked.
struct block_bytes {
  sequence_range range;
  proto::BlockMeta meta;
  std::string payload;
};

/// What recovery knows of a job.
struct job_state {
  job_id job{};
  generation current{}; ///< Of new events. Its next sequence is proven by the log.
  sequence next = 1;
  std::uint64_t buffered_events = 0;
  std::uint64_t buffered_bytes = 0; ///< Record bytes on disk, dead letters included.
  std::uint64_t oldest_ns = 0;      ///< Arrival of the oldest buffered event, wall clock, up to 63 s early; 0 = none.
  /// The generation was ended by a closing record, or damage took the proof of its last sequence:
  /// new events need a new generation.
  bool closed = false;
  /// The first event that is neither delivered nor trimmed: front generation and sequence. Without
  /// blocks: `current` and `next`. It may lie inside a block.
  generation front{};
  sequence mark = 1;
  std::optional<proto::Cut> open_cut;
};

/// What a walk over all jobs sees of one; see `segmented_store::walk`.
struct job_glance {
  job_id job{};
  std::uint64_t buffered_events = 0;
  std::uint64_t oldest_ns = 0; ///< As `job_state::oldest_ns`.
  bool has_cut = false;        ///< A cut is open.
  bool has_dead_letters = false;
};

/// A slice of a named body that is durable while its body is not done; rebuilt at recovery.
struct known_slice {
  batch_id batch;
  job_id job{};
};

struct done_batch {
  batch_id batch;
  std::uint64_t body_digest = 0;
  std::uint32_t status = 0;
  std::string answer;
};

struct recovery_report {
  std::chrono::milliseconds took{};
  std::uint64_t segments = 0;
  std::uint64_t blocks = 0;
  std::uint64_t torn_bytes = 0;        ///< Behind the last durable group: never acknowledged.
  std::uint64_t set_aside_records = 0; ///< Failed their checksum although durable: an alert.
};

struct settings {
  std::string directory;                     ///< `<data_dir>/store`.
  std::uint64_t segment_bytes = 64ull << 20; ///< measured/: recycling, small disks.
  std::uint64_t group_bytes = 1ull << 20;    ///< Most bytes of one group.
  std::uint32_t spare_segments = 3;          ///< For trims, commits and relocation on a full disk.
  std::uint32_t free_reserve = 2;            ///< Fewer recycled segments than this start relocation.
  double alert_at = 0.80;                    ///< From here on the state is `low`.
  double refuse_new_buffers_at = 0.90;       ///< Share of `max_bytes` or of the file system in use.
  double refuse_appends_at = 0.95;
  std::uint64_t max_bytes = 0;              ///< Of the whole store; 0 = what the file system has.
  std::uint64_t window_batches = 1'000'000; ///< Deduplication window.
  std::chrono::hours window_age{24};
};

enum class disk_state : std::uint8_t { normal, low, refuse_new_buffers, refuse_appends };

struct usage {
  disk_state state = disk_state::normal;
  std::uint64_t segments = 0, free_segments = 0, segment_bytes = 0;
  std::uint64_t live_bytes = 0; ///< Of blocks not yet trimmed.
  std::uint64_t disk_available = 0, disk_total = 0;
  std::uint64_t index_bytes = 0; ///< Memory of the index.
  std::uint64_t buffers = 0, blocks = 0;
  std::uint64_t groups = 0, failed_groups = 0, written_bytes = 0, relocated_bytes = 0, set_aside_records = 0;
};

/// The contract. `append` and `maintain` belong to one thread, the writer's; the rest may be called
/// from any thread and takes a short lock, never per event.
class segmented_store {
 public:
  struct opened {
    std::unique_ptr<segmented_store> store;
    recovery_report report;
  };
  /// Recovers what is there (only the tail is scanned) or makes an empty store. Afterwards writing
  /// goes on in a new segment. Errors: `refused` (a format this build does not know; another
  /// process has it), `store_failed`.
  static caf::expected<opened> open(settings how, const environment& world);
  virtual ~segmented_store() = default;

  // -- the writer's thread -------------------------------------------------------------------

  /// Makes all records durable by one write and one fdatasync and only then lets them take effect
  /// on index and ledger, in order; or none of them. At most `group_bytes` but for a single larger
  /// record. Errors: `store_failed` (writing goes on in a new segment that fences the old one),
  /// `disk_full` (only if the group holds a block or dead record and the state is `refuse_appends`).
  virtual caf::error append(const std::vector<append_record>& group) = 0;

  /// One bounded step (at most ~10 ms of disk time) of upkeep: checkpoint, sidecars, recycling,
  /// relocation, expiry of the window. True if more is due at once.
  virtual bool maintain() = 0;

  /// Writes a checkpoint and a sidecar so that the next start scans nothing. For shutdown.
  virtual caf::error close() = 0;

  // -- any thread ----------------------------------------------------------------------------

  /// Every job with a buffer, for the shards at start-up.
  virtual std::vector<job_state> jobs() const = 0;
  virtual std::optional<job_state> job(job_id id) const = 0;
  /// Looks on at the next `most` jobs from `from` on (0: the first) in an order that never changes, and
  /// moves `from` behind them, or to 0 after the last. Those that have anything, events, a cut or dead letters.
  virtual std::vector<job_glance> walk(std::uint64_t& from, std::size_t most) const = 0;
  virtual std::vector<known_slice> known_slices() const = 0;
  virtual std::optional<done_batch> done(const batch_id& id) const = 0;

  /// The buffered blocks of a job from `from` on, oldest first, at most `limit`. Never blocks that
  /// are trimmed. Generations come in the order they began.
  virtual std::vector<block_info> blocks(job_id id, std::size_t limit,
                                         std::optional<sequence_range> within = std::nullopt) const = 0;

  /// Dead letters of a job, oldest first.
  virtual std::vector<block_info> dead_letters(job_id id, std::size_t limit) const = 0;

  /// Reads one block and checks it. Errors: `not_found` (trimmed meanwhile), `corrupt` (now set
  /// aside and counted; its neighbours are fine), `store_failed` (the disk says no at present).
  virtual caf::expected<block_bytes> read(job_id id, const sequence_range& range, bool dead = false) const = 0;

  virtual usage used() const = 0;
  /// The account of every event, as durable. See store/ledger.hpp. Each account is of one moment; jobs and senders
  /// that are looked at later are of a later one.
  virtual ledger_totals ledger() const = 0;
  /// Looks on at the next `most` jobs' accounts, round and round: how many do not balance. Asked once per scrape.
  virtual std::uint64_t unbalanced_accounts(std::size_t most) = 0;
};

} // namespace weir::store
