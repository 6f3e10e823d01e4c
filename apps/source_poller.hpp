#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "actors/config_source.hpp"
#include "apps/real/https_reader.hpp"

namespace weir {

/// Looks at an external generator's config in a thread of its own, for which a slow or dead generator is nobody else's
/// matter.
class source_poller {
 public:
  /// The source that `config.forwarding` names; null for `jobs`. `changed` is called from the thread whenever the
  /// source says something else than before.
  static std::unique_ptr<source_poller> start(const node_config& config, const config_world& world,
                                              std::function<void()> changed);
  /// Ends a look under way; waits for about a second at most.
  ~source_poller();
  source_poller(const source_poller&) = delete;
  source_poller& operator=(const source_poller&) = delete;

  /// What was found last. From any thread.
  config_reading last() const { return source_->last(); }

 private:
  source_poller(std::unique_ptr<config_source> source, https_reader* remote, std::chrono::milliseconds period,
                std::function<void()> changed);
  void run();

  std::unique_ptr<config_source> source_;
  https_reader* remote_; // in `source_`; null for a file
  std::chrono::milliseconds period_;
  std::function<void()> changed_;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool ending_ = false;
  std::thread thread_;
};

} // namespace weir
