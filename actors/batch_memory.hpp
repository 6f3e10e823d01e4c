#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "messages/ids.hpp"

namespace weir {

/// What a shard remembers of named bodies that are not done yet: which jobs have their events, and
/// whether these are on disk. It makes a repeat of a body harmless. Once the body is done, the
/// stored answer takes over and the shard forgets it. Not thread-safe.
class batch_memory {
 public:
  enum class knowledge : std::uint8_t {
    unknown,   ///< Take it.
    under_way, ///< Taken, not durable yet: whoever repeats it should come again.
    durable,   ///< On disk: settle as repeated.
  };

  /// Remembers at most `limit` bodies; beyond it the oldest is forgotten (`limits.window_batches`).
  explicit batch_memory(std::size_t limit = 1'000'000) : limit_(limit) {}

  /// True if anything is known of the body: only then need its slices be asked for one by one.
  bool knows(const batch_id& batch) const { return batches_.find(batch) != batches_.end(); }
  knowledge of(const batch_id& batch, job_id job) const;

  /// Marks the jobs' events as under way. `jobs` may hold some that are known already.
  void begin(const batch_id& batch, std::vector<job_id> jobs);
  void durable(const batch_id& batch, job_id job);
  /// The events did not reach the disk: a repeat has to bring them again.
  void failed(const batch_id& batch, job_id job);
  void done(const batch_id& batch);

  std::size_t size() const noexcept { return batches_.size(); }

 private:
  struct entry {
    job_id job{};
    bool on_disk = false;
  };
  using entries = std::vector<entry>; // sorted by job

  entry* find(const batch_id& batch, job_id job);
  void forget_oldest();

  std::size_t limit_;
  std::unordered_map<batch_id, entries> batches_;
  std::deque<batch_id> order_;
};

} // namespace weir
