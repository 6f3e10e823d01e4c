#include "supervisors/operator_desk.hpp"

#include <exception>

#include <pthread.h>

#include "telemetry/log.hpp"

namespace weir {

operator_desk::operator_desk(std::vector<work> duties, std::chrono::milliseconds period)
    : duties_(std::move(duties)), period_(period), thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "operator");
}

operator_desk::~operator_desk() {
  {
    std::lock_guard lock{mutex_};
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool operator_desk::post(work task) {
  {
    std::lock_guard lock{mutex_};
    if (ending_ || waiting_.size() >= most_waiting)
      return false;
    waiting_.push_back(std::move(task));
  }
  changed_.notify_all();
  return true;
}

void operator_desk::run() {
  const auto guarded = [](const work& what) {
    try {
      what();
    } catch (const std::exception& why) {
      log::error("operator-desk-failed", "{}", why.what());
    }
  };
  auto next = std::chrono::steady_clock::now() + period_;
  std::unique_lock lock{mutex_};
  while (!ending_) {
    changed_.wait_until(lock, next, [this] { return ending_ || !waiting_.empty(); });
    if (ending_)
      return;
    if (!waiting_.empty()) {
      const auto task = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      guarded(task);
      lock.lock();
    }
    if (std::chrono::steady_clock::now() < next)
      continue;
    lock.unlock();
    for (const auto& duty : duties_)
      guarded(duty);
    next = std::chrono::steady_clock::now() + period_;
    lock.lock();
  }
}

} // namespace weir
