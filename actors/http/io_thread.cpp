#include "actors/http/io_thread.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

#include "actors/http/connection.hpp"
#include "telemetry/log.hpp"

namespace weir::http {

io_thread::io_thread(std::string name, std::shared_ptr<clock_source> clock, std::chrono::milliseconds sweep_every)
    : name_(std::move(name)), clock_(std::move(clock)), sweep_every_(sweep_every), scratch_(new char[scratch_bytes]) {}

io_thread::~io_thread() {
  stop();
}

void io_thread::start() {
  sweep_later();
  thread_ = std::thread{[this] { run(); }};
}

void io_thread::run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  for (;;) {
    // Outside input never ends the process: what a handler throws (no memory, above all) costs the connection
    // whose handler it was, by its deadline.
    try {
      loop_.run();
      return;
    } catch (const std::exception& x) {
      log::error("http-handler-failed", "thread {} goes on after an exception: {}", name_, x.what());
    }
  }
}

void io_thread::stop() {
  if (!thread_.joinable())
    return;
  asio::post(loop_, [this] {
    stopping_ = true;
    sweep_timer_.cancel();
    for_each([](connection& each) { each.close(); });
  });
  thread_.join();
}

void io_thread::adopt(std::shared_ptr<connection> added) {
  const auto* key = added.get();
  auto& kept = connections_[key] = std::move(added);
  auto self = kept;
  if (stopping_)
    self->close();
  else
    self->start();
}

void io_thread::forget(const connection* gone) {
  connections_.erase(gone);
}

void io_thread::sweep_later() {
  sweep_timer_.expires_after(sweep_every_);
  sweep_timer_.async_wait([this](error_code ec) {
    if (ec || stopping_)
      return;
    sweep_later(); // first, so that a sweep which throws is not the last one
    const auto time = now();
    for_each([&](connection& each) { each.sweep(time); });
  });
}

} // namespace weir::http
