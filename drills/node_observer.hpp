#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "drills/scratch_node.hpp"

namespace weir::drills {

/// What an operator sees meanwhile: asks `/healthz` and `/v1/overload` five times a second, each over a connection
/// of its own, and looks at the memory of the process. In a thread of its own.
class node_observer {
 public:
  struct look {
    std::int64_t at_ns = 0; ///< Wall clock, when it was asked.
    double healthz_s = 0;   ///< How long the answers took; `unanswered` if there was none.
    double overload_s = 0;
    bool normal = true; ///< Of `/v1/overload`: no state is active, or only the expected one.
    std::uint64_t resident_bytes = 0;
  };
  static constexpr double unanswered = 60;

  /// `expected`: an overload state that says nothing here; empty: all of them count.
  explicit node_observer(const scratch_node& of, std::string expected = {});
  ~node_observer();
  node_observer(const node_observer&) = delete;
  node_observer& operator=(const node_observer&) = delete;

  void stop();
  std::vector<look> looks() const;
  /// Names of all overload states that were active at any look, in the order they were first seen.
  std::vector<std::string> states_seen() const;
  look latest() const;
  std::vector<std::string> states_now() const;
  /// Of `/v1/overload`: the highest number of buffers at any look.
  std::uint64_t most_buffers() const;

 private:
  void run();

  const scratch_node& node_;
  const std::string expected_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<look> looks_;
  std::vector<std::string> states_, now_;
  double most_buffers_ = 0;
  std::thread thread_;
};

} // namespace weir::drills
