#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace weir {

/// Open-addressing hash from a 64-bit hash to a 32-bit row number; the rows live elsewhere and hold
/// the keys. Eight bytes a slot, at most 5/8 full, linear probing: a miss usually costs one cache
/// line, a hit one more for the row. No allocation in `find`. Rows cannot be removed.
class flat_index {
 public:
  static constexpr std::uint32_t npos = 0xffff'ffff;

  /// The row for which `equal(row)` holds among those inserted under `hash`, or `npos`.
  template <class Equal>
  std::uint32_t find(std::uint64_t hash, Equal&& equal) const noexcept {
    if (slots_.empty())
      return npos;
    const auto tag = tag_of(hash);
    for (auto at = home(tag);; at = at + 1 == slots_.size() ? 0 : at + 1) {
      const auto& slot = slots_[at];
      if (slot.row == npos)
        return npos;
      if (slot.tag == tag && equal(slot.row))
        return slot.row;
    }
  }

  /// The caller has made sure by `find` that the key is new.
  void insert(std::uint64_t hash, std::uint32_t row) {
    if ((rows_ + 1) * 8 > slots_.size() * 5)
      rehash(rows_ < 8 ? 16 : rows_ * 2 * 8 / 5);
    place(slots_, tag_of(hash), row);
    ++rows_;
  }

  /// Makes room for `rows` in all, so that nothing is rehashed on the way there.
  void reserve(std::size_t rows) {
    if (rows * 8 > slots_.size() * 5)
      rehash(rows * 8 / 5 + 1);
  }

  std::size_t size() const noexcept { return rows_; }
  std::size_t memory_bytes() const noexcept { return slots_.capacity() * sizeof(slot); }

 private:
  struct slot {
    std::uint32_t tag = 0;
    std::uint32_t row = npos;
  };

  // The lower half of a multiplied hash; the tag alone finds the home slot, so a rehash needs no keys.
  static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>((hash * 0x9e37'79b9'7f4a'7c15ull) >> 32);
  }
  std::size_t home(std::uint32_t tag) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{tag} * slots_.size()) >> 32);
  }
  static void place(std::vector<slot>& slots, std::uint32_t tag, std::uint32_t row) noexcept {
    auto at = static_cast<std::size_t>((std::uint64_t{tag} * slots.size()) >> 32);
    while (slots[at].row != npos)
      at = at + 1 == slots.size() ? 0 : at + 1;
    slots[at] = {tag, row};
  }
  void rehash(std::size_t size) {
    std::vector<slot> bigger(size);
    for (const auto& x : slots_)
      if (x.row != npos)
        place(bigger, x.tag, x.row);
    slots_ = std::move(bigger);
  }

  std::vector<slot> slots_;
  std::size_t rows_ = 0;
};

} // namespace weir
