#pragma once

#include <atomic>

#include "messages/environment.hpp"

namespace weir {

/// A memory meter that shows what the test says. Thread-safe.
class fake_memory final : public memory_meter {
 public:
  explicit fake_memory(std::uint64_t resident_bytes = 64ull << 20, std::uint64_t available_bytes = 1ull << 30)
      : resident_(resident_bytes), available_(available_bytes) {}

  std::uint64_t resident() const override { return resident_; }
  std::uint64_t available() const override { return available_; }
  void set_resident(std::uint64_t bytes) { resident_ = bytes; }
  void set_available(std::uint64_t bytes) { available_ = bytes; }

 private:
  std::atomic<std::uint64_t> resident_, available_;
};

} // namespace weir
