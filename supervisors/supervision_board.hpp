#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "messages/supervision.hpp"

namespace weir {

/// What all supervisors of a node last said about their children, for the console, the control API
/// and metrics. They look here instead of asking: a supervisor of the data tree may be seconds
/// behind a flood, and control never waits for it (ADR 0001). Thread-safe; the lock is held for one
/// step, or for a copy of what was asked for.
class supervision_board {
 public:
  struct row {
    std::string supervisor;
    child_status child;
  };
  struct tally {
    std::string supervisor;
    std::uint64_t running = 0;
    std::uint64_t restarting = 0;
    std::uint64_t parked = 0;
    std::uint64_t restarts = 0; ///< Children started again since the process began; those forgotten count too.
  };

  /// For `supervisor_spec::observe`.
  void note(const child_transition& step);

  /// Children in this state, or all; by supervisor and id. At most `limit`.
  std::vector<row> list(std::optional<child_state> state, std::size_t limit) const;
  /// One row for each supervisor that ever had a child; supervisors' names are a small fixed set.
  std::vector<tally> tallies() const;

 private:
  struct department {
    std::map<std::string, child_status> children;
    std::uint64_t restarts = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, department, std::less<>> departments_;
};

} // namespace weir
