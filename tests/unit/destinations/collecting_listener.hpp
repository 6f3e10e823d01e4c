#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "messages/environment.hpp"

namespace weir::testing {

/// Plays the pusher towards a network: hands each upload's windows over as they are asked for, and
/// keeps how it ended.
class collecting_listener : public upload_listener, public std::enable_shared_from_this<collecting_listener> {
 public:
  explicit collecting_listener(network& net) : network_(net) {}

  /// Begins an upload of `body`, cut into windows of `window` bytes.
  void push(std::uint64_t upload, upload_order order, std::string body, std::size_t window = 256 << 10) {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      auto& x = uploads_[upload];
      x = {};
      x.body = std::move(body);
      x.window = window;
    }
    network_.start(upload, std::move(order), shared_from_this());
  }

  /// From now on no window is handed over.
  void starve(std::uint64_t upload) {
    const std::lock_guard<std::mutex> hold(mutex_);
    uploads_[upload].starved = true;
  }

  void on_wants_window(std::uint64_t upload) override {
    std::string window;
    auto last = false;
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      auto& x = uploads_[upload];
      ++x.windows_wanted;
      changed_.notify_all();
      if (x.starved)
        return;
      window = x.body.substr(x.at, x.window);
      x.at += window.size();
      last = x.at == x.body.size();
    }
    network_.supply(upload, std::move(window), last);
  }

  void on_finished(std::uint64_t upload, upload_outcome outcome) override {
    const std::lock_guard<std::mutex> hold(mutex_);
    auto& x = uploads_[upload];
    x.ends += 1;
    x.outcome = std::move(outcome);
    changed_.notify_all();
  }

  upload_outcome wait(std::uint64_t upload) {
    std::unique_lock<std::mutex> hold(mutex_);
    const auto ended = changed_.wait_for(hold, std::chrono::seconds{30}, [&] { return uploads_[upload].ends > 0; });
    REQUIRE_MESSAGE(ended, "upload " << upload << " never ended");
    CHECK_EQ(uploads_[upload].ends, 1);
    return uploads_[upload].outcome;
  }

  void wait_for_window(std::uint64_t upload, int count = 1) {
    std::unique_lock<std::mutex> hold(mutex_);
    REQUIRE(
        changed_.wait_for(hold, std::chrono::seconds{30}, [&] { return uploads_[upload].windows_wanted >= count; }));
  }

  int windows_wanted(std::uint64_t upload) {
    const std::lock_guard<std::mutex> hold(mutex_);
    return uploads_[upload].windows_wanted;
  }

 private:
  struct upload_state {
    std::string body;
    std::size_t window = 0;
    std::size_t at = 0;
    bool starved = false;
    int windows_wanted = 0;
    int ends = 0;
    upload_outcome outcome;
  };

  network& network_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, upload_state> uploads_;
};

} // namespace weir::testing
