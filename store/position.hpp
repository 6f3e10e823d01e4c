#pragma once

#include <cstdint>

namespace weir::store {

/// A place in the log: segment id and offset. Ids only grow, so positions order records in time.
struct position {
  std::uint32_t segment = 0; ///< 0 is before everything: ids begin at 1.
  std::uint32_t offset = 0;

  std::uint64_t packed() const noexcept { return (std::uint64_t{segment} << 32) | offset; }
  static position unpack(std::uint64_t x) noexcept {
    return {static_cast<std::uint32_t>(x >> 32), static_cast<std::uint32_t>(x)};
  }
  friend bool operator<(position a, position b) noexcept { return a.packed() < b.packed(); }
  friend bool operator<=(position a, position b) noexcept { return a.packed() <= b.packed(); }
  friend bool operator==(position a, position b) noexcept { return a.packed() == b.packed(); }
};

} // namespace weir::store
