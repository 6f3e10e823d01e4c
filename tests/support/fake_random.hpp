#pragma once

#include <mutex>

#include "messages/environment.hpp"

namespace weir {

/// SplitMix64 from a seed: the same seed gives the same numbers on every machine. Thread-safe, but
/// which thread gets which number is then up to the scheduler; for a repeatable run use it from one.
class fake_random final : public random_source {
 public:
  explicit fake_random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() override {
    std::lock_guard guard(mutex_);
    auto z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

 private:
  std::mutex mutex_;
  std::uint64_t state_;
};

} // namespace weir
