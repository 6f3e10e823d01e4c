#pragma once

#include <atomic>
#include <cstdint>

#include "messages/environment.hpp"

namespace weir {

/// What the networks have done since the start; for metrics and the egress audit. Any thread.
struct network_counters {
  std::atomic<std::uint64_t> started{0};
  std::atomic<std::uint64_t> stored{0};
  std::atomic<std::uint64_t> existed{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> bytes{0};          ///< Of bodies, as far as they were taken.
  std::atomic<std::uint64_t> egress_blocked{0}; ///< Connects to an address that policy refuses, and bad paths.
  std::atomic<std::uint64_t> connections{0};    ///< Opened.
  std::atomic<std::uint64_t> directory_syncs{0};

  void count(upload_result result) noexcept {
    switch (result) {
      case upload_result::stored:
        ++stored;
        break;
      case upload_result::exists:
        ++existed;
        break;
      case upload_result::refused:
        ++refused;
        break;
      case upload_result::failed:
        ++failed;
        break;
    }
  }
};

} // namespace weir
