#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "actors/http/asio.hpp"
#include "messages/environment.hpp"

namespace weir::http {

class connection;

/// One thread with its own event loop and the connections that live on it. A connection never changes its
/// thread, so nothing of it needs a lock.
class io_thread : public std::enable_shared_from_this<io_thread> {
 public:
  static constexpr std::size_t scratch_bytes = 64u << 10;

  io_thread(std::string name, std::shared_ptr<clock_source> clock, std::chrono::milliseconds sweep_every);
  ~io_thread();

  void start();
  /// Closes all connections, ends the loop and joins. Not from the thread itself.
  void stop();

  asio::io_context& loop() noexcept { return loop_; }
  std::chrono::steady_clock::time_point now() const { return clock_->steady(); }
  const std::shared_ptr<clock_source>& clock() const noexcept { return clock_; }

  /// On the thread itself only.
  void adopt(std::shared_ptr<connection> added);
  void forget(const connection* gone);
  template <class F>
  void for_each(F&& f) {
    // A connection may end, and be forgotten, while it is visited.
    const auto all = connections_;
    for (const auto& [key, each] : all)
      f(*each);
  }

  /// Where bytes go that nobody wants; never read, hence shared by all connections of the thread.
  asio::mutable_buffer scratch() noexcept { return {scratch_.get(), scratch_bytes}; }

 private:
  void run();
  void sweep_later();

  std::string name_;
  std::shared_ptr<clock_source> clock_;
  std::chrono::milliseconds sweep_every_;
  std::unique_ptr<char[]> scratch_;
  // Keeps the connections, whose handlers live in the loop: so the loop goes first.
  std::unordered_map<const connection*, std::shared_ptr<connection>> connections_;
  asio::io_context loop_{1};
  asio::steady_timer sweep_timer_{loop_};
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace weir::http
