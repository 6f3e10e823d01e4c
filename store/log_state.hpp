#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "messages/store.pb.h"
#include "store/account_book.hpp"
#include "store/batch_window.hpp"
#include "store/block_index.hpp"
#include "store/position.hpp"
#include "store/record_codec.hpp"
#include "store/store.hpp"

namespace weir::store {

/// A record that is durable, wherever it was read from: log, sidecar or the group just written.
struct record_view {
  const record_header& header;
  std::string_view meta;
  position at;
  std::uint16_t file = 0;

  block_place place() const {
    return {file, at.offset, static_cast<std::uint32_t>(round_up_8(header.meta_bytes)), header.payload_bytes};
  }
};

struct dead_letter {
  sequence_range range;
  block_place place;
};

/// Bytes that were durable and are bad.
struct damage {
  position at;
  job_id job{}; ///< 0 and an empty range if the header itself is bad.
  sequence_range range;
  std::string reason;
};

/// What a segment file holds that is still needed.
struct segment_load {
  std::uint32_t blocks = 0;
  std::uint64_t bytes = 0;
  position changed;          ///< Of the last record that took a block away.
  std::uint32_t segment = 0; ///< Which segment the file holds now; 0 = free.
};

/// Everything the log says, as the records so far make it. The same records in the same order give
/// the same state, while running and at recovery. Not thread-safe.
class log_state {
 public:
  using slot = job_table::slot;

  /// Recovery only: which parts of the state a record still has to change.
  class filter {
   public:
    virtual ~filter() = default;
    virtual bool job(slot job, position at) const = 0;
    virtual bool senders(position at) const = 0;
    virtual bool window(position at) const = 0;
  };
  const filter* only = nullptr;

  explicit log_state(std::uint64_t window_batches) : window(window_batches) {}

  /// Why a record cannot be appended, in one sentence; empty if it can. `seen` holds what records
  /// before it in the same group do to its job.
  struct group_effects;
  std::string check(const append_record& x, group_effects& seen) const;

  /// Lets a durable record take effect. False if its meta cannot be parsed.
  bool apply(const record_view& x);

  /// A record that was durable and whose body is bad; its header still says what it was about.
  void apply_damaged(const record_view& x);
  /// Ends all generations: damage took records of which nothing is known, so no job's last sequence
  /// is proven any more.
  void close_all();

  /// Takes a block whose bytes proved bad out of the index and accounts for it, as its SET_ASIDE trim
  /// will do again, to no effect, once it is durable. None if it is gone already.
  std::optional<indexed_block> set_aside(job_id job, const sequence_range& range, std::string reason);
  void remember(damage x);

  /// Arrival of the events of the block applied last; 0 after other records.
  std::uint32_t arrival_seconds() const { return arrival_seconds_; }

  job_state state_of(slot job) const;
  /// Nothing if the job has neither events nor a cut nor dead letters.
  std::optional<job_glance> glance_at(slot job) const;
  bool has_buffer(slot job) const { return index.jobs().at(job).generation != 0; }
  const dead_letter* find_dead(job_id job, const sequence_range& range) const;

  /// The file holds another segment from now on, or none (0).
  void assign(std::uint16_t file, std::uint32_t segment);
  void add_load(const block_place& x);
  void remove_load(const block_place& x, position at);

  block_index index;
  account_book accounts;
  batch_window window;
  std::map<job_id, proto::Cut> cuts;
  std::map<job_id, std::vector<dead_letter>> dead;
  std::deque<damage> damages;     ///< The latest `most_damages`.
  std::uint64_t damaged = 0;      ///< All of them.
  std::vector<segment_load> load; ///< By file number.
  std::uint64_t buffers = 0;      ///< Jobs that ever had a block.
  /// Damage took records of which nothing is known: a gap between two blocks is then such a record.
  bool gaps_are_damage = false;

  static constexpr std::size_t most_damages = 1'000;

 private:
  void apply_block(const record_view& x, const proto::BlockMeta& meta);
  void apply_dead(const record_view& x);
  void apply_account(const proto::BodyAccount& x, position at);
  bool concerns(slot job, position at) const { return !only || only->job(job, at); }
  void apply_trim(const record_view& x, proto::Trim::Reason reason);
  void end_events(slot job, job_id id, const sequence_range& range, event_end how, position at);
  void expire_dead(const record_view& x);
  void close_cut(slot job, job_id id, generation of);

  proto::BlockMeta block_meta_; // kept, so that its memory is reused
  std::vector<indexed_block> removed_;
  std::uint32_t arrival_seconds_ = 0;
};

/// What the records of one group do to jobs, while the group is checked. Kept from group to group.
struct log_state::group_effects {
  struct entry {
    job_id job{};
    generation of{};
    std::optional<sequence> next;    ///< After blocks of the group.
    std::optional<sequence> trimmed; ///< After trims and commits of the group.
    bool closed = false;
  };
  std::vector<entry> entries;                   ///< In the order of first mention.
  std::unordered_map<job_id, std::size_t> last; ///< A job's latest entry; looked up, never walked.

  void clear() {
    entries.clear();
    last.clear();
  }
  entry* find(job_id job);
  entry& change(job_id job, generation of);
};

} // namespace weir::store
