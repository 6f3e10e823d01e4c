#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weir {

/// A thread for what operators ask and what a node does for them once in a while: answers that take longer than the
/// control listener's thread may be held (the ledger of a million jobs takes a second), ledger marks, the heartbeat.
/// It belongs to the control side: it reads what the node offers and waits for no actor.
class operator_desk {
 public:
  using work = std::function<void()>;

  static constexpr std::size_t most_waiting = 64;

  /// `duties` are called in turn, every `period`, until the end. They must not throw and should take well under a
  /// second.
  explicit operator_desk(std::vector<work> duties, std::chrono::milliseconds period = std::chrono::seconds{1});
  /// Ends after what it is at; what still waits is dropped.
  ~operator_desk();
  operator_desk(const operator_desk&) = delete;
  operator_desk& operator=(const operator_desk&) = delete;

  /// Has `task` done soon; false if `most_waiting` wait already. An exception from it is logged.
  bool post(work task);

 private:
  void run();

  const std::vector<work> duties_;
  const std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<work> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

} // namespace weir
