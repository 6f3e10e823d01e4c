#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace weir {

class disk;

/// Tells whether the process before this one ended in order: a file `running` in the data directory that is there
/// for as long as a node runs. Out of memory, a crash, kill -9 and a power cut leave it behind.
class run_mark {
 public:
  /// Reads what the process before left and sets the mark. A disk that refuses is logged, not obeyed: a node must
  /// start without it. `directory` exists.
  run_mark(std::shared_ptr<disk> on, const std::string& directory);

  /// How many processes in a row before this one did not end in order; 0 after one that did.
  std::uint64_t unclean_starts() const noexcept { return unclean_; }

  /// This process ends in order.
  void end();

 private:
  std::shared_ptr<disk> disk_;
  std::string directory_, path_;
  std::uint64_t unclean_ = 0;
};

} // namespace weir
