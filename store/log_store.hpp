#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/log_state.hpp"
#include "store/segment_files.hpp"
#include "store/sidecar.hpp"
#include "store/store.hpp"

namespace weir::store {

class checkpoint_writer;
class relocation;
struct recovered;

/// The store over one directory. Sources: log_append.cpp (the writer's way), log_store.cpp (any
/// thread), log_upkeep.cpp (maintain).
///
/// What only the writer's thread touches stands under no lock. `files_`, `totals_` and the load of
/// segments are changed by it under `mutex_` and may be read by it without; the rest of `state_` is
/// always under `mutex_`, because a read that finds a bad block changes it.
class log_store final : public segmented_store {
 public:
  log_store(settings how, environment world, recovered&& from);
  ~log_store() override;

  caf::error append(const std::vector<append_record>& group) override;
  bool maintain() override;
  caf::error close() override;

  std::vector<job_state> jobs() const override;
  std::optional<job_state> job(job_id id) const override;
  std::vector<job_glance> walk(std::uint64_t& from, std::size_t most) const override;
  std::vector<known_slice> known_slices() const override;
  std::optional<done_batch> done(const batch_id& id) const override;
  std::vector<block_info> blocks(job_id id, std::size_t limit, std::optional<sequence_range> within) const override;
  std::vector<block_info> dead_letters(job_id id, std::size_t limit) const override;
  caf::expected<block_bytes> read(job_id id, const sequence_range& range, bool dead) const override;
  usage used() const override;
  ledger_totals ledger() const override;
  std::uint64_t unbalanced_accounts(std::size_t most) override;

  /// Preallocates what is missing of the reserve and, for a new store, writes its first checkpoint.
  caf::error start(bool checkpoint_now);
  const recovery_report& report() const { return report_; }

 private:
  friend class relocation;

  /// One record to write; meta and payload belong to somebody else.
  struct outgoing {
    record_header header;
    std::string_view meta;
    std::string_view payload;
  };
  enum class urgency { events, drain, upkeep };

  // log_append.cpp
  caf::error admit(const std::vector<append_record>& group, urgency& how);
  /// The first `trims` records are those of `collect_set_aside`.
  caf::error write_group(const std::vector<outgoing>& records, urgency how, std::size_t trims = 0);
  caf::error roll(urgency how);
  void seal();
  void fail_group();
  void let_take_effect(const std::vector<outgoing>& records, std::size_t trims);
  std::string first_bytes(std::uint16_t file) const;
  void collect_set_aside(std::vector<outgoing>& into);
  position here() const;

  // log_upkeep.cpp
  caf::error settle_bad();
  bool write_sidecar();
  bool step_checkpoint();
  void complete_checkpoint();
  bool recycle();
  bool expire_window();
  void mark_tail();
  bool is_covered(std::size_t file, position by) const;
  bool is_short() const;
  bool checkpoint_due() const;
  void look_at_disk(bool now);
  bool replenish();
  bool may_grow() const;
  disk_state judge() const;
  caf::error write_checkpoint_now();
  bool make_room();

  // log_store.cpp
  caf::expected<block_bytes> read_at(job_id id, const sequence_range& range, bool dead, const block_place& place,
                                     std::uint32_t segment, disk_file& file) const;
  /// False if the block is elsewhere by now, so that what was read says nothing about it.
  bool found_bad(job_id id, const sequence_range& range, bool dead, const block_place& place, const char* why) const;
  caf::expected<block_bytes> read_once(job_id id, const sequence_range& range, bool dead) const;

  const settings settings_;
  const environment world_;
  // When this store was opened, by both clocks: ages are never more than what has passed since then.
  const std::chrono::steady_clock::time_point opened_steady_ = world_.clock->steady();
  const std::chrono::system_clock::time_point opened_wall_ = world_.clock->wall();
  const std::uint64_t identity_;
  const recovery_report report_;
  const std::unique_ptr<disk_file> lock_; ///< Held open: no second process may write here.
  const record_codec codec_;
  group_encoder encoder_;

  mutable std::mutex mutex_;
  mutable log_state state_;
  mutable segment_files files_;
  usage totals_; ///< Counters and what `look_at_disk` saw.

  /// Blocks that reads found bad; their trims go into the next group.
  struct bad_block {
    job_id job{};
    sequence_range range;
    bool dead = false;
    block_place place;
  };
  mutable std::vector<bad_block> bad_;

  // Of the writer's thread.
  bool closed_ = false;
  std::optional<std::uint16_t> active_; ///< File that is written; none before the first group and after failures.
  std::uint32_t offset_ = 0;            ///< Durable end of the active segment.
  std::uint32_t last_segment_ = 0;      ///< The segment before the active one: what the next fence closes.
  std::uint16_t last_file_ = 0;
  std::uint32_t last_end_ = 0;
  std::uint32_t next_segment_ = 1;
  std::uint64_t group_number_ = 0;
  bool tail_marked_ = true; ///< Something behind the last group says that it was durable.
  log_state::group_effects effects_;
  std::vector<outgoing> outgoing_;
  std::vector<std::uint32_t> offsets_; ///< Of the group's records in the segment.
  std::vector<record_header> headers_;
  std::deque<std::string> trims_; ///< Metas of set-aside trims.

  sidecar_builder building_;
  struct pending_sidecar {
    std::uint16_t file = 0;
    std::uint32_t segment = 0;
    std::uint32_t end = 0;
    sidecar_builder content;
  };
  std::deque<pending_sidecar> sidecars_;

  std::unique_ptr<checkpoint_writer> checkpoint_;
  std::uint32_t checkpoint_number_ = 0;    ///< Highest ever begun.
  std::uint32_t checkpoint_latest_ = 0;    ///< The latest complete one.
  std::vector<std::uint32_t> checkpoints_; ///< All files that may be there.
  position checkpoint_covers_;             ///< Replay from the latest checkpoint begins here.
  position previous_covers_;               ///< Replay from the one before it; segments are recycled by this one.
  std::uint64_t checkpoint_bytes_ = 0;
  std::uint64_t written_at_checkpoint_ = 0;
  std::uint64_t written_foreground_ = 0;

  std::unique_ptr<relocation> relocation_;
  bool cannot_grow_ = false; ///< The last attempt at a new file met a full disk.
  std::chrono::steady_clock::time_point looked_{}, appended_{}, sidecars_from_{}, checkpointed_{};
};

} // namespace weir::store
