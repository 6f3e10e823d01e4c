#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace weir {

/// Bodies that were taken and have no answer yet, by the name of their sender's token. The ledger is durable and
/// so cannot know of them; this is its column for what is on the way. Thread-safe; two short locks a body.
class bodies_under_way {
 public:
  struct counts {
    std::uint64_t bodies = 0;
    std::uint64_t bytes = 0; ///< Raw, after decompression.
  };

  /// A body is on the way until the last copy of the result is gone.
  std::shared_ptr<const void> enter(const std::string& sender, std::uint64_t bytes);

  /// Every sender that ever had one here. As many as tokens.
  std::map<std::string, counts> all() const;

 private:
  struct cell {
    std::atomic<std::uint64_t> bodies{0}, bytes{0};
  };

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<cell>> cells_;
};

} // namespace weir
