#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/atomic_file.hpp"
#include "store/log_state.hpp"
#include "store/position.hpp"
#include "store/segment_files.hpp"

namespace weir::store {

/// Writes a checkpoint in bounded steps while the log goes on.
///
/// Each part (some thousand jobs, some thousand finished bodies, …) is taken at one moment and says
/// at which position of the log that was; recovery applies to it what comes behind. So nothing is
/// copied as a whole and nobody waits. See docs/store-format.md, "Checkpoint".
class checkpoint_writer {
 public:
  enum class progress { more, done };

  /// A step writes about `step_bytes`.
  checkpoint_writer(const segment_files& files, std::uint64_t identity, std::uint32_t number, position from,
                    std::size_t step_bytes);

  /// Writes the next parts. `here` is the log's durable end; the state's lock is taken meanwhile.
  caf::expected<progress> step(const log_state& state, std::mutex& guard, const segment_files& files, position here,
                               std::uint32_t next_segment, std::uint64_t group_number);

  std::uint32_t number() const { return number_; }
  position covers() const { return covers_; } ///< Everything before this need not be read again.
  std::uint64_t bytes() const { return file_.bytes(); }

 private:
  enum class stage { jobs, senders, done_bodies, damages, end, finished };

  void add_part(std::uint32_t kind, position at, const std::string& body);
  void add_jobs(const log_state& state, position here);
  void add_senders(const log_state& state, position here);
  void add_done(const log_state& state, position here);
  void add_damages(const log_state& state, position here);
  void add_end(const log_state& state, const segment_files& files, position here, std::uint32_t next_segment,
               std::uint64_t group_number);

  atomic_file file_;
  std::uint32_t number_;
  position covers_;
  std::size_t step_bytes_;
  std::string buffer_;
  std::string body_;
  std::uint32_t parts_ = 0;
  stage stage_ = stage::jobs;
  std::uint64_t next_ = 0; ///< Of what the stage counts.
};

/// A checkpoint as read back. What it says of jobs, ledger and window goes into a `log_state`.
struct checkpoint_image {
  std::uint64_t identity = 0;
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;
  position covers;

  struct job_part {
    job_table::slot end = 0; ///< One past its last slot.
    position at;
  };
  std::vector<job_part> jobs;
  position senders_at, window_at;

  struct mark {
    generation of{};
    sequence first = 0; ///< First live event.
  };
  struct job_marks {
    std::vector<mark> marks;           ///< Generations with live blocks, in order.
    std::vector<sequence_range> holes; ///< Set aside among them.
  };
  /// By slot. Most jobs of a large store have no blocks.
  std::vector<std::unique_ptr<job_marks>> marks;

  struct segment {
    std::uint32_t segment = 0;
    std::uint16_t file = 0;
    std::uint32_t end = 0;
    bool sealed = false;
    bool live = false;
    bool needed = true; ///< False: this checkpoint can do without it, so it may be recycled by now.
  };
  std::vector<segment> segments;
  std::uint32_t active_segment = 0; ///< Segments with higher ids came later.
  std::uint32_t next_segment = 1;
  std::uint64_t group_number = 0;

  /// Up to where a job's state already holds; 0 for jobs that are not in it.
  position job_at(job_table::slot job) const;
};

/// None if it is damaged or not of a readable version. `state` must be new.
std::optional<checkpoint_image> load_checkpoint(std::string_view bytes, log_state& state);

} // namespace weir::store
