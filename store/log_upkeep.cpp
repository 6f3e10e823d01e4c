#include <algorithm>

#include "store/atomic_file.hpp"
#include "store/checkpoint.hpp"
#include "store/log_store.hpp"
#include "store/relocation.hpp"

namespace weir::store {
namespace {

using namespace std::chrono_literals;

constexpr auto look_every = 1s; ///< At the file system's free space.
constexpr auto mark_after = 1s; ///< Without appends, the last group is marked as durable.
constexpr auto retry_sidecar_after = 1s;
constexpr auto checkpoint_pause = 5s; ///< Between those that are made only because the disk is beyond a watermark.
constexpr std::size_t most_pending_sidecars = 8; ///< Beyond it the oldest is given up: its segment is scanned.
constexpr std::size_t expire_a_step = 10'000;
constexpr std::uint64_t checkpoint_share = 16; ///< At most one byte of checkpoint per this many of log.
constexpr std::uint64_t steps_a_segment = 64;  ///< A step of a checkpoint is 1 MiB with segments of 64 MiB.
constexpr std::uint64_t replay_segments = 8;   ///< What recovery has to go through, when nothing else asks.
constexpr std::size_t keep_free = 4;           ///< Recycled files beyond the reserves; more go back.

} // namespace

caf::error log_store::start(bool checkpoint_now) {
  appended_ = world_.clock->steady();
  if (checkpoint_now)
    if (auto error = write_checkpoint_now())
      return error;
  while (files_.count_free() < settings_.spare_segments && replenish()) {
  }
  look_at_disk(true);
  return {};
}

bool log_store::maintain() {
  if (closed_)
    return false;
  look_at_disk(false);
  if (settle_bad())
    look_at_disk(true); // The blocks are out of the index already; their trims go with a later group.
  if (!sidecars_.empty() && world_.clock->steady() >= sidecars_from_ && write_sidecar())
    return true;
  if (checkpoint_ || checkpoint_due())
    return step_checkpoint();
  if (recycle() || replenish() || expire_window())
    return true;
  if (relocation_->step())
    return true;
  mark_tail();
  return false;
}

caf::error log_store::close() {
  if (closed_)
    return {};
  if (auto error = settle_bad())
    return error;
  seal();
  for (auto left = sidecars_.size(); left > 0; --left)
    write_sidecar(); // Those that fail are scanned for at the next start.
  checkpoint_.reset();
  if (auto error = write_checkpoint_now())
    return error;
  closed_ = true;
  return {};
}

caf::error log_store::settle_bad() {
  outgoing_.clear();
  collect_set_aside(outgoing_);
  return outgoing_.empty() ? caf::error{} : write_group(outgoing_, urgency::drain, trims_.size());
}

bool log_store::write_sidecar() {
  auto next = std::move(sidecars_.front());
  sidecars_.pop_front();
  auto& file = files_.at(next.file);
  if (file.segment != next.segment)
    return true; // Recycled meanwhile.
  atomic_file to(files_.where(), files_.directory(), segment_files::sidecar_name(next.segment));
  auto error = to.write(next.content.header(identity_, next.segment, next.file, next.end));
  if (!error)
    error = to.write(next.content.body());
  if (!error)
    error = to.finish();
  std::lock_guard guard(mutex_);
  if (!error) {
    file.has_sidecar = true;
    totals_.written_bytes += to.bytes();
    return true;
  }
  // Tried again later, as long as not too many wait: a start can do without, it only takes longer. And
  // a checkpoint, which comes behind it, may be what makes the room.
  sidecars_from_ = world_.clock->steady() + retry_sidecar_after;
  if (sidecars_.size() < most_pending_sidecars && !closed_)
    sidecars_.push_back(std::move(next));
  return false;
}

// -- checkpoints -------------------------------------------------------------------------------

bool log_store::is_covered(std::size_t number, position by) const {
  const auto& x = files_.at(number);
  if (!x.exists || x.segment == 0 || !x.sealed || by < position{x.segment, x.end})
    return false;
  const auto& load = state_.load[number];
  return load.blocks == 0 && load.changed <= by;
}

bool log_store::is_short() const {
  return !may_grow() && files_.count_free() < settings_.spare_segments + settings_.free_reserve;
}

bool log_store::checkpoint_due() const {
  auto written = totals_.written_bytes - written_at_checkpoint_;
  auto cheap = written >= checkpoint_share * checkpoint_bytes_;
  if (cheap && written >= replay_segments * settings_.segment_bytes)
    return true;
  // Beyond a watermark nothing may be written any more, so nothing else would ever ask for the checkpoint that
  // gives drained segments back.
  auto beyond = judge() != disk_state::normal && world_.clock->steady() - checkpointed_ >= checkpoint_pause;
  auto in_need = is_short() || beyond;
  if (!in_need && !(cheap && written >= settings_.segment_bytes))
    return false;
  // Does a segment wait for it? It is reused once both checkpoints that are kept can do without it.
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const auto& x = files_.at(i);
    if (x.exists && x.segment != 0 && x.sealed && state_.load[i].blocks == 0 && !is_covered(i, previous_covers_))
      return true;
  }
  return false;
}

bool log_store::step_checkpoint() {
  if (!checkpoint_) {
    checkpoint_ = std::make_unique<checkpoint_writer>(files_, identity_, ++checkpoint_number_, here(),
                                                      settings_.segment_bytes / steps_a_segment);
    checkpoints_.push_back(checkpoint_number_);
    written_at_checkpoint_ = totals_.written_bytes;
  }
  auto made = checkpoint_->step(state_, mutex_, files_, here(), next_segment_, group_number_);
  if (!made) {
    checkpoint_.reset();
    written_at_checkpoint_ = 0;
    return make_room();
  }
  if (*made == checkpoint_writer::progress::done)
    complete_checkpoint();
  return true;
}

void log_store::complete_checkpoint() {
  previous_covers_ = checkpoint_covers_;
  checkpoint_covers_ = checkpoint_->covers();
  checkpoint_bytes_ = checkpoint_->bytes();
  std::vector<std::uint32_t> kept;
  for (auto number : checkpoints_) {
    auto needed = number == checkpoint_->number() || number == checkpoint_latest_;
    if (!needed) {
      auto error = files_.where().remove(files_.path(segment_files::checkpoint_name(number)));
      needed = error && error != std::errc::no_such_file_or_directory; // Tried again next time.
    }
    if (needed)
      kept.push_back(number);
  }
  checkpoints_ = std::move(kept);
  checkpoint_latest_ = checkpoint_->number();
  checkpointed_ = world_.clock->steady();
  std::lock_guard guard(mutex_);
  totals_.written_bytes += checkpoint_bytes_;
  written_at_checkpoint_ = totals_.written_bytes;
  checkpoint_.reset();
}

caf::error log_store::write_checkpoint_now() {
  auto tries = files_.count_free() + 1;
  while (true) {
    auto before = checkpoint_latest_;
    if (!step_checkpoint() || (!checkpoint_ && checkpoint_latest_ == before && --tries == 0))
      return make_error(errc::store_failed, "the checkpoint could not be written");
    if (checkpoint_latest_ != before)
      return {};
  }
}

// A checkpoint that found no room gets that of a free segment: only with it can the others be reused.
bool log_store::make_room() {
  look_at_disk(true);
  if (totals_.disk_available >= 2 * checkpoint_bytes_ + (1 << 20))
    return false; // It failed for another reason; the next call tries again.
  std::lock_guard guard(mutex_);
  auto free = files_.first_free();
  if (!free || files_.count_free() < 2 || files_.remove(*free))
    return false;
  cannot_grow_ = true;
  return true;
}

// -- segments ----------------------------------------------------------------------------------

bool log_store::recycle() {
  std::lock_guard guard(mutex_);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    auto& x = files_.at(i);
    if (!is_covered(i, previous_covers_) || x.pins != 0)
      continue;
    if (x.has_sidecar)
      files_.where().remove(files_.path(segment_files::sidecar_name(x.segment))); // Else the next start does.
    state_.assign(static_cast<std::uint16_t>(i), 0);
    x.segment = 0;
    x.end = 0;
    x.sealed = false;
    x.has_sidecar = false;
    return true;
  }
  if (files_.count_free() > settings_.spare_segments + settings_.free_reserve + keep_free)
    if (auto free = files_.first_free())
      return !files_.remove(*free);
  return false;
}

// One file more than the reserve, so that the next roll finds one ready.
bool log_store::replenish() {
  if (files_.count_free() > settings_.spare_segments || !may_grow())
    return false;
  std::lock_guard guard(mutex_);
  std::uint16_t made = 0;
  if (auto error = files_.create(made)) {
    if (error == std::errc::no_space_on_device)
      cannot_grow_ = true;
    return false; // Whatever else it was, the roll that needs it will try again.
  }
  return true;
}

bool log_store::may_grow() const {
  auto count = files_.count();
  return !cannot_grow_ && count < segment_files::most_files
         && (settings_.max_bytes == 0 || (count + 1) * settings_.segment_bytes <= settings_.max_bytes);
}

void log_store::look_at_disk(bool now) {
  auto time = world_.clock->steady();
  if (!now && time - looked_ < look_every)
    return;
  looked_ = time;
  disk::space space;
  if (world_.disk->free_space(settings_.directory, space))
    return; // What was seen last stands.
  std::lock_guard guard(mutex_);
  totals_.disk_available = space.available;
  totals_.disk_total = space.total;
  if (space.available >= 2 * settings_.segment_bytes)
    cannot_grow_ = false;
}

disk_state log_store::judge() const {
  auto free = files_.count_free();
  double share = 0;
  if (totals_.disk_total > 0) {
    auto used = totals_.disk_total - std::min(totals_.disk_total, totals_.disk_available);
    used -= std::min(used, free * settings_.segment_bytes);
    share = static_cast<double>(used) / static_cast<double>(totals_.disk_total);
  }
  if (settings_.max_bytes > 0) {
    auto all = settings_.max_bytes / settings_.segment_bytes;
    auto usable = all > settings_.spare_segments ? all - settings_.spare_segments : 0;
    auto occupied = files_.count() - free;
    share = std::max(share, usable == 0 ? 1.0 : static_cast<double>(occupied) / static_cast<double>(usable + 1));
  }
  if (share >= settings_.refuse_appends_at)
    return disk_state::refuse_appends;
  // Without room to grow, events may fill the active segment, but take no spare one, nor what is left
  // of one that a trim has taken.
  auto full = !active_ || files_.at(*active_).end + settings_.group_bytes > settings_.segment_bytes;
  if (!may_grow() && (free < settings_.spare_segments || (free == settings_.spare_segments && full)))
    return disk_state::refuse_appends;
  if (share >= settings_.refuse_new_buffers_at)
    return disk_state::refuse_new_buffers;
  return share >= settings_.alert_at ? disk_state::low : disk_state::normal;
}

// -- window and tail ---------------------------------------------------------------------------

bool log_store::expire_window() {
  // A wall clock that jumps ahead makes nobody's key old: a repeat would be stored twice.
  const auto passed =
      std::chrono::duration_cast<std::chrono::system_clock::duration>(world_.clock->steady() - opened_steady_);
  const auto now = std::min(world_.clock->wall(), opened_wall_ + passed);
  auto wall = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  auto oldest = wall - std::chrono::duration_cast<std::chrono::seconds>(settings_.window_age);
  if (oldest.count() <= 0)
    return false;
  std::lock_guard guard(mutex_);
  return state_.window.expire(static_cast<std::uint32_t>(oldest.count()), expire_a_step);
}

// Damage in the very last group cannot be told from a torn write. When nothing has come for a while,
// an empty group is put behind it: from then on the last group is known to have been durable.
void log_store::mark_tail() {
  if (tail_marked_ || !active_ || offset_ + group_header_bytes > settings_.segment_bytes
      || world_.clock->steady() - appended_ < mark_after)
    return;
  static const std::vector<outgoing> nothing;
  if (!write_group(nothing, urgency::upkeep))
    tail_marked_ = true;
}

} // namespace weir::store
