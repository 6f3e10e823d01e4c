#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/admission.hpp"
#include "actors/backlog_wheel.hpp"
#include "actors/batch_memory.hpp"
#include "messages/environment.hpp"
#include "messages/interfaces.hpp"
#include "messages/node_status.hpp"
#include "store/gzip_member.hpp"
#include "store/store.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct shard_settings {
  std::uint64_t block_bytes = 256 << 10;           ///< Raw bytes at which a block is sealed (measured: +1 % at 1 MiB).
  std::uint32_t block_events = 10'000;             ///< The same in events, so that a cut can keep small record limits.
  std::chrono::milliseconds linger{50};            ///< Longest wait of an event in an open block.
  std::uint64_t default_quota_bytes = 10ull << 30; ///< Disk bytes of a job whose config names none.
  std::uint64_t hold_bytes = 1ull << 30;           ///< Most of them while a job is on hold: `config.hold_bytes`.
  std::uint64_t window_batches = 1'000'000;
  std::uint64_t open_bytes = 256ull << 20; ///< Raw, in open blocks; beyond it they are sealed at once.
};

/// What a shard counted since it was last asked.
struct shard_counts {
  std::array<std::uint64_t, seal_trigger_count> sealed_blocks{};
  std::array<std::uint64_t, shed_reason_count> shed_events{};
  std::array<std::uint64_t, shed_reason_count> refused_buffers{}; ///< Slices whose job got none.
  std::uint64_t created_buffers = 0;
  std::uint64_t repeated_events = 0;
};

/// How many jobs are beyond each level of their quota.
using buffer_levels = std::array<std::uint64_t, buffer_level_count>;

/// What a shard has to know of a job's settings; from the config snapshot.
struct job_limits {
  weir::revision revision{};
  std::uint64_t quota_bytes = 0;
  std::chrono::seconds interval{30};
  std::uint64_t max_events = 100'000; ///< Of one object; 0 = no limit.
  std::uint64_t max_bytes = 0;        ///< Of one object, raw; 0 = no limit.
  bool pushed = true;                 ///< False while the job is on hold or disabled.
  bool kept = true;                   ///< False if it left the config or is on hold: an empty buffer of it may go.
  tenant_key tenant = 0;              ///< Whose share of the buffers it takes.
};

/// The data of a shard's jobs: open blocks, sequences, deduplication, quotas, and when which job has
/// something to push. No actor and no thread in here; time is passed in.
class shard_state {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using limits_of = std::function<job_limits(job_id)>;
  using scope_of = std::function<std::string(job_id)>;

  shard_state(shard_settings how, environment world, std::shared_ptr<buffer_admission> admission,
              std::shared_ptr<node_status> status);

  /// Takes over what the store recovered. Once, before anything else.
  void recover(const std::vector<store::job_state>& jobs, const std::vector<store::known_slice>& known, time_point now);
  /// Changed settings; `lookup` stays in use until the next call. `scope` gives the bare id of a job's scope,
  /// or nothing; it is asked only when sealed events are shed.
  void configure(limits_of lookup, time_point now, scope_of scope = {});

  /// What the store knows of a job without a slot: its buffer was empty and was let go, and goes on where it was.
  void ask_what_is_known(std::function<std::optional<store::job_state>(job_id)> known) { known_ = std::move(known); }
  /// Looks on at the next `most` jobs, round and round, and lets go of the empty buffers of those that are not
  /// `kept` and have been at rest for `rest`: what a flood has left gives its room back. How many those were.
  std::size_t reclaim(std::size_t most, time_point now, std::chrono::milliseconds rest);

  /// Takes the slices of one body in. Repeated, refused and over-quota ones are settled at once;
  /// full blocks are sealed.
  void take(const slice_batch_ptr& slices, time_point now);

  /// Seals at most `most` blocks that have waited for the linger, or any if `all`. True if more are due.
  bool seal_waiting(time_point now, bool all, std::size_t most);
  bool anything_open() const noexcept { return !waiting_.empty(); }
  std::uint64_t open_bytes() const noexcept { return open_bytes_; }
  std::size_t open_blocks() const noexcept { return open_blocks_; }
  std::size_t jobs() const noexcept { return slot_of_.size(); }
  shard_counts take_counts() { return std::exchange(counts_, {}); }
  /// Looks on at the next `most` jobs, round and round; what the last complete round found.
  const buffer_levels& look_at_levels(std::size_t most);

  /// Blocks sealed and not handed out yet, oldest first, up to `most_bytes` but at least one; null if
  /// there are none.
  sealed_group_ptr take_sealed(std::uint64_t most_bytes);
  std::uint64_t sealed_bytes() const noexcept { return sealed_bytes_; }

  /// A group came back from the writer: settles its receipts.
  void returned(sealed_group& group, time_point now);
  std::uint64_t groups_under_way() const noexcept { return groups_under_way_; }

  /// Whatever no cut has taken is to be pushed now, whatever the jobs' intervals say. For shutdown.
  void hasten();
  /// Appends the jobs that have something to push and were not announced yet.
  void take_due(time_point now, std::vector<job_id>& due);

  /// How to ask whether a body is done. Between `forget` and the next repeat only the store knows.
  void ask_whether_done(std::function<bool(const batch_id&)> is_done) { is_done_ = std::move(is_done); }
  void forget(const batches_done& done);
  void apply(const cut_made& cut, time_point now);
  void apply(const space_freed& freed);
  void apply(const backlog_taken& taken, time_point now);

  /// Whoever is told of due jobs has begun anew and knows of none: all that were announced and have not
  /// come to rest are due once more, those with nothing but an open cut among them.
  void announce_again();
  /// At most `most` jobs whose backlog was taken: what is left of them is to be compared with the store.
  std::vector<job_id> take_unsure(std::size_t most);
  /// What the store has of a job that no cut has taken, and its bytes on disk. Counts drift when messages
  /// are lost with an actor or blocks are set aside; while nothing is under way they are put right.
  /// Else the job stays among the unsure ones.
  void compare(job_id job, std::uint64_t uncut_events, std::uint64_t stored_bytes, time_point now);

  shard_state(const shard_state&) = delete;
  shard_state& operator=(const shard_state&) = delete;
  ~shard_state();

 private:
  static constexpr std::uint32_t no_slot = ~0u;

  /// Sealed and not handed out yet.
  struct waiting_block {
    sealed_block block;
    time_point since{};     ///< It was opened.
    bool with_next = false; ///< Holds a part of the same slice as the next one: durable together or not at all.
  };

  /// A run of lines of one slice, waiting in an open block.
  struct piece {
    slice_batch_ptr from;
    std::uint32_t first_line = 0;
    std::uint32_t lines = 0;
    ticket duty;
  };
  struct job_slot {
    job_id job{};
    weir::generation current{};
    sequence next = 1;         ///< Of the next event to be sealed.
    sequence durable_next = 1; ///< Of the next event behind what is on disk.
    std::uint64_t stored_bytes = 0;
    std::uint64_t under_way_bytes = 0;
    job_limits limits;
    // the open block
    std::vector<piece> pieces;
    std::uint64_t open_bytes = 0;
    std::uint32_t open_events = 0;
    time_point opened_at{};
    // what no cut has taken yet; signed, because a cut may be heard of before its blocks are
    std::int64_t uncut_events = 0;
    std::int64_t uncut_bytes = 0;
    time_point uncut_since{};
    time_point used{};      ///< When it was last opened, cut or trimmed.
    bool announced = false; ///< Its buffer knows; nothing more to say until it answers.
    bool watched = false;   ///< In the wheel.
    bool unsure = false;    ///< Among those to be compared with the store.
  };

  std::uint32_t find_or_open(job_id job, time_point now, std::optional<shed_reason>& refused);
  /// Why no buffer may be opened for whomever; nothing if this is for admission to say.
  std::optional<shed_reason> short_of() const;
  /// Of a buffer that comes to be: in a place that was left, or behind all others.
  std::uint32_t place(job_slot slot);
  bool at_rest(const job_slot& slot) const;
  bool settle_if_known(const slice_batch& batch, slice& x);
  void add(std::uint32_t slot, const slice_batch_ptr& from, slice& x, time_point now);
  void seal(std::uint32_t slot, seal_trigger why);
  void shed(slice& x, shed_reason reason);
  void settle(sealed_block& block, const sealed_group& group, time_point now);
  void roll_back();
  void doubt(std::uint32_t slot);
  bool is_due(const job_slot& job, time_point now) const;
  void watch(std::uint32_t slot, time_point now);
  weir::generation new_generation();

  shard_settings settings_;
  environment world_;
  std::shared_ptr<buffer_admission> admission_;
  std::shared_ptr<node_status> status_;
  limits_of lookup_;
  scope_of scope_;
  shard_counts counts_;

  std::unordered_map<std::uint64_t, std::uint32_t> slot_of_;
  std::vector<job_slot> slots_;
  std::vector<std::uint32_t> vacant_; // slots without a job
  std::uint64_t not_kept_ = 0;        // slots whose jobs are not `kept`
  std::size_t reclaim_cursor_ = 0;
  bool crowded_ = false; // open blocks held more than they may when the last body came
  std::function<std::optional<store::job_state>(job_id)> known_;
  std::deque<std::pair<time_point, std::uint32_t>> waiting_; // open blocks, oldest first
  backlog_wheel wheel_;
  std::vector<std::uint32_t> due_now_;
  batch_memory memory_;
  store::member_sealer sealer_;
  std::vector<std::string_view> pieces_; // of the block being sealed

  std::deque<waiting_block> sealed_;
  std::vector<job_id> unsure_;
  std::function<bool(const batch_id&)> is_done_;
  std::uint64_t sealed_bytes_ = 0;
  std::uint64_t open_bytes_ = 0;
  std::size_t open_blocks_ = 0;
  std::uint64_t groups_under_way_ = 0;
  std::uint64_t epoch_ = 1;
  std::size_t level_cursor_ = 0; ///< Of this round of `look_at_levels`.
  buffer_levels levels_{}, levels_last_{};
};

} // namespace weir
