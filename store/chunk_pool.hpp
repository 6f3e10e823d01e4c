#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weir::store {

/// Pieces of memory in seven sizes, named by 32-bit handles: half of a pointer, and no allocator's
/// overhead. Memory is taken in slabs and reused, never given back. Not thread-safe.
class chunk_pool {
 public:
  using handle = std::uint32_t;
  static constexpr handle none = ~handle{0};
  static constexpr std::size_t classes = 7;

  explicit chunk_pool(const std::array<std::uint32_t, classes>& sizes) : sizes_(sizes) {}

  handle take(std::size_t size_class) {
    auto& pool = pools_[size_class];
    if (!pool.free.empty()) {
      auto index = pool.free.back();
      pool.free.pop_back();
      return make(size_class, index);
    }
    auto in_slab = per_slab(size_class);
    if (pool.taken == pool.slabs.size() * in_slab)
      pool.slabs.push_back(std::make_unique<char[]>(in_slab * sizes_[size_class]));
    return make(size_class, pool.taken++);
  }

  void give_back(handle x) { pools_[class_of(x)].free.push_back(x & index_mask); }

  char* at(handle x) const {
    auto size_class = class_of(x);
    auto in_slab = per_slab(size_class);
    auto index = x & index_mask;
    return pools_[size_class].slabs[index / in_slab].get() + (index % in_slab) * sizes_[size_class];
  }

  static std::size_t class_of(handle x) { return x >> 29; }

  /// Of all slabs and free lists.
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < classes; ++i)
      sum += pools_[i].slabs.size() * per_slab(i) * sizes_[i] + pools_[i].free.capacity() * sizeof(std::uint32_t);
    return sum;
  }

 private:
  static constexpr std::uint32_t slab_bytes = 16 << 10;
  static constexpr handle index_mask = (handle{1} << 29) - 1;

  static handle make(std::size_t size_class, std::uint32_t index) {
    return static_cast<handle>(size_class << 29) | index;
  }
  std::size_t per_slab(std::size_t size_class) const { return slab_bytes / sizes_[size_class]; }

  struct pool {
    std::vector<std::unique_ptr<char[]>> slabs;
    std::vector<std::uint32_t> free;
    std::uint32_t taken = 0;
  };
  std::array<std::uint32_t, classes> sizes_;
  std::array<pool, classes> pools_;
};

} // namespace weir::store
