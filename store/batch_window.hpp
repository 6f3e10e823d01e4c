#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "messages/ids.hpp"
#include "store/byte_codec.hpp"
#include "store/store.hpp"

namespace weir::store {

/// The deduplication window: bodies that are done, with their answers, and slices that are durable
/// while their body is not done. Both sides forget the oldest beyond `most` bodies, and whatever is
/// older than the window's age. Not thread-safe. Equal answers are kept once.
class batch_window {
 public:
  explicit batch_window(std::uint64_t most) : most_(most) {}

  /// A block with events of `batch` is durable.
  void learn(const batch_id& batch, job_id job, std::uint32_t at_seconds);
  /// The body is done; its slices need not be known any more.
  void finish(const batch_id& batch, std::uint64_t digest, std::uint32_t status, std::string_view answer,
              std::uint32_t at_seconds);

  std::optional<done_batch> done(const batch_id& batch) const;
  std::vector<known_slice> known() const;

  /// Forgets at most `steps` bodies that are older than `oldest_seconds`. True if more are.
  bool expire(std::uint32_t oldest_seconds, std::size_t steps);

  std::uint64_t bytes() const;

  // -- checkpoints -----------------------------------------------------------------------------

  std::uint64_t first_done() const { return first_; } ///< Number of the oldest body that is done.
  std::uint64_t end_done() const { return first_ + done_.size(); }
  void save_done(std::uint64_t number, byte_writer& to) const;
  void load_done(byte_reader& from);
  void save_known(byte_writer& to) const;
  void load_known(byte_reader& from);

 private:
  struct done_entry {
    batch_id batch;
    std::uint64_t digest = 0;
    std::uint32_t status = 0;
    std::uint32_t at_seconds = 0;
    const std::string* answer = nullptr;
  };
  struct open_entry {
    std::vector<job_id> jobs;
    std::uint32_t at_seconds = 0;
  };

  void forget_first_done();
  void forget_first_known();
  const std::string* share(std::string_view answer);

  std::uint64_t most_;
  std::deque<done_entry> done_; ///< Oldest first; numbers from `first_` on.
  std::uint64_t first_ = 0;
  std::unordered_map<batch_id, std::uint64_t> done_by_id_; ///< Looked up, never walked.
  std::unordered_map<std::string, std::uint64_t> answers_; ///< Text to number of users; nodes never move.
  std::unordered_map<batch_id, open_entry> open_;          ///< Looked up, never walked.
  std::deque<batch_id> open_order_;                        ///< As first seen; some are done meanwhile.
};

} // namespace weir::store
