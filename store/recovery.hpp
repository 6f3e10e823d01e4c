#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/expected.hpp>

#include "store/checkpoint.hpp"
#include "store/log_state.hpp"
#include "store/segment_files.hpp"
#include "store/segment_scan.hpp"
#include "store/sidecar.hpp"

namespace weir::store {

/// What a directory held, ready to go on from.
struct recovered {
  recovered(segment_files where, std::uint64_t window_batches) : state(window_batches), files(std::move(where)) {}

  std::uint64_t identity = 0;
  bool is_new = false;         ///< Nothing was there.
  bool checkpoint_now = false; ///< Damage was accounted for and must not be found a second time.
  log_state state;
  segment_files files;
  std::unique_ptr<disk_file> lock;
  std::uint32_t last_segment = 0;
  std::uint16_t last_file = 0;
  std::uint32_t last_end = 0;
  std::uint32_t next_segment = 1;
  std::uint64_t group_number = 0;
  std::uint32_t checkpoint_number = 0;        ///< Highest seen.
  std::vector<std::uint32_t> old_checkpoints; ///< All that are there.
  std::uint32_t loaded_checkpoint = 0;
  position checkpoint_covers, previous_covers;
  std::uint64_t checkpoint_bytes = 0;
  struct sidecar {
    std::uint16_t file = 0;
    std::uint32_t segment = 0;
    std::uint32_t end = 0;
    sidecar_builder content;
  };
  std::vector<std::uint32_t> unread; ///< Segments kept for the checkpoint before; perhaps half recycled.
  std::size_t damages_before = 0;    ///< Of `state.damages`: those the checkpoint told of.
  std::vector<sidecar> sidecars;     ///< Of segments that were scanned: still to be written.
  recovery_report report;
};

/// Recovers a store: checkpoint, then the sidecars of its segments, then what came after it.
///
/// Every record takes effect exactly as it did while running: the state of each job is taken from its
/// part of the checkpoint, which names the position up to which it holds, and records behind that
/// position are applied to it in order.
class recovery {
 public:
  /// `look_only`: for a disk that refuses changes; takes no lock and makes no store.
  recovery(const settings& how, const environment& world, bool look_only = false);
  caf::expected<recovered> run();

 private:
  struct segment_source {
    std::uint16_t file = 0;
    std::uint32_t segment = 0;
    std::optional<std::uint32_t> end; ///< Known from a fence or the checkpoint.
    bool header_damaged = false;
    bool needed = true; ///< False: kept for the checkpoint before this one, and not read.
  };
  enum class pass { load, apply };

  caf::error take_lock();
  caf::error look_around();
  caf::error pick_checkpoint();
  caf::error begin_new();
  caf::error identify_files();
  caf::error identify(std::uint16_t file);
  void take_table();
  caf::error follow_chain();
  caf::error has_durable_group(std::uint16_t file, std::uint32_t segment, bool& yes);
  caf::error fence_of(std::uint16_t file, std::uint32_t segment, std::uint32_t& previous, std::uint32_t& end);
  caf::error read_segments();
  void account_for_lost();
  caf::error read_segment(segment_source& x, pass what);
  bool read_by_sidecar(segment_source& x, pass what);
  caf::error read_by_scan(segment_source& x, pass what);
  void take(const record_view& x, pass what, std::uint32_t arrival_seconds);
  void take_damage(const scanned_damage& x, const segment_source& from, pass what, bool first_look);
  void load_block(const record_view& x, std::uint32_t arrival_seconds);
  bool is_behind_all(block_index::slot job, const sequence_range& range) const;
  void merge_late_blocks();
  void count_load();
  void settle_files();
  void lose_segment(std::uint32_t segment);

  const settings& settings_;
  const environment& world_;
  const bool look_only_;
  recovered result_;
  checkpoint_image image_;
  std::optional<record_codec> codec_;
  std::vector<std::uint32_t> checkpoints_;                   ///< Numbers found, ascending.
  std::map<std::uint16_t, segment_header> headers_;          ///< By file; readable ones.
  std::map<std::uint16_t, std::uint32_t> by_group_;          ///< Segment by file, from its first group alone.
  std::vector<segment_source> sources_;                      ///< In the order of segment ids.
  std::vector<std::uint32_t> sidecars_;                      ///< Segment ids of those found.
  std::map<std::uint32_t, std::vector<indexed_block>> late_; ///< By slot: out of order, because relocated.
  std::map<std::uint32_t, std::uint16_t> newer_;             ///< Files of segments behind the checkpoint, by id.
  std::uint32_t highest_ = 0;                                ///< Highest segment id seen anywhere.
  bool lost_records_ = false;                                ///< Damage took records of which nothing is known.
  bool damaged_blocks_ = false;                              ///< Damage took blocks that the checkpoint knew.
};

} // namespace weir::store
