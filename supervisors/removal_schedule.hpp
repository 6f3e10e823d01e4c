#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "config/config_snapshot.hpp"
#include "messages/interfaces.hpp"

namespace weir {

/// When what a job has may be removed after it went from the config. Removing cannot be undone, so it is
/// slow: a job that was on hold when it went has had its time; one that its owner deleted waits for a hold,
/// and so does one of which nobody here knows why it is missing, as after a restart. A job that comes back
/// meanwhile is forgotten here. Not thread-safe.
class removal_schedule {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `hold` is `config.hold`.
  explicit removal_schedule(std::chrono::milliseconds hold) : hold_(hold) {}

  /// Another version is in force. Walks all jobs of the old one if its content differs, about 0.1 s a million.
  void replaced(const config_snapshot& old, const config_snapshot& now_in_force, time_point now);

  /// For a job that is not in the config and has something: how it is to be removed, or nothing yet.
  std::optional<remove_events> due(job_id job, time_point now);

  /// All jobs that have something were asked about since the last call: the others need not be remembered.
  void end_round();

  std::size_t size() const noexcept { return gone_.size(); }

 private:
  struct gone_job {
    time_point from{}; ///< It may be removed from then on.
    bool deleted = false;
    bool asked = true; ///< In this round.
  };

  std::chrono::milliseconds hold_;
  std::unordered_map<std::uint64_t, gone_job> gone_;
};

} // namespace weir
