#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "messages/environment.hpp"
#include "messages/settled_level.hpp"
#include "telemetry/node_metrics.hpp"

namespace weir {

/// A limit as it stands: what an operator needs to know of it in one line.
struct overload_row {
  overload_state state{};
  std::string limit_path; ///< The key of weir.toml that sets it.
  std::string unit;       ///< Of value and limit: `bytes`, `buffers`, …
  std::string action;     ///< What the node does while the state is active.
  double value = 0;
  double limit = 0;
  bool active = false;
  std::chrono::system_clock::time_point since; ///< It is, or is not, active.
};

/// All limits of a node and the states they bring about, in the order of design section 7.
///
/// A state is entered at once and left when its cause was away for as long as the row says, so none flickers.
/// `look` is called ten times a second by the node's watch, and by whoever asks, so that an answer is
/// right even while the watch is late. It reads atomics and takes short locks; it asks no actor. Thread-safe.
class overload_board {
 public:
  struct reading {
    double value = 0;
    double limit = 0;
    bool active = false; ///< As it is this instant.
  };
  struct watched {
    overload_state state{};
    std::string limit_path;
    std::string unit;
    std::string action;
    std::chrono::milliseconds leave_after{0};
    /// Called by one thread at a time.
    std::function<reading(std::chrono::steady_clock::time_point now)> read;
  };

  /// `metrics` may be null: then nothing is shown.
  overload_board(std::vector<watched> limits, std::shared_ptr<clock_source> clock,
                 std::shared_ptr<overload_metrics> metrics);

  void look();
  /// As of the last look.
  std::vector<overload_row> report() const;

 private:
  struct entry {
    watched limit;
    settled_level<bool> settled;
    overload_row shown;
  };

  std::shared_ptr<clock_source> clock_;
  std::shared_ptr<overload_metrics> metrics_;
  mutable std::mutex mutex_;
  std::vector<entry> entries_;
};

} // namespace weir
