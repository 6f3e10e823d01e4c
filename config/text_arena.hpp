#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace weir {

/// Text of many rows, appended and never changed, in chunks: it grows without copying what is there,
/// so a million jobs are read in without a peak. Addressed by a 32-bit offset, hence at most 4 GiB.
class text_arena {
 public:
  static constexpr std::size_t chunk_bytes = 1u << 20;

  /// Copies the pieces one behind the other; together at most `chunk_bytes`. Throws
  /// `std::length_error` beyond that or beyond 4 GiB in all.
  template <class... Pieces>
  std::uint32_t add(const Pieces&... pieces) {
    const auto size = (std::size_t{0} + ... + std::string_view(pieces).size());
    if (size > chunk_bytes)
      throw std::length_error("text is larger than a chunk of the arena");
    if (chunks_.empty() || used_ + size > chunk_bytes) {
      if ((chunks_.size() + 1) * chunk_bytes > std::uint64_t{1} << 32)
        throw std::length_error("the texts of all jobs exceed 4 GiB");
      chunks_.push_back(std::make_unique<char[]>(chunk_bytes));
      used_ = 0;
    }
    const auto offset = (chunks_.size() - 1) * chunk_bytes + used_;
    (append(pieces), ...);
    return static_cast<std::uint32_t>(offset);
  }

  std::string_view at(std::uint32_t offset, std::size_t size) const noexcept {
    return size == 0 ? std::string_view{}
                     : std::string_view{&chunks_[offset / chunk_bytes][offset % chunk_bytes], size};
  }

  std::size_t memory_bytes() const noexcept { return chunks_.size() * chunk_bytes; }

 private:
  void append(std::string_view piece) noexcept {
    if (!piece.empty())
      std::memcpy(&chunks_.back()[used_], piece.data(), piece.size());
    used_ += piece.size();
  }

  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t used_ = 0;
};

/// Rows in chunks: grows without copying, so without the peak of a doubling vector.
template <class Row, std::size_t RowsPerChunk = 4096>
class chunked_rows {
 public:
  void push_back(const Row& row) {
    if (size_ == chunks_.size() * RowsPerChunk)
      chunks_.push_back(std::make_unique<Row[]>(RowsPerChunk));
    chunks_[size_ / RowsPerChunk][size_ % RowsPerChunk] = row;
    ++size_;
  }
  const Row& operator[](std::size_t i) const noexcept { return chunks_[i / RowsPerChunk][i % RowsPerChunk]; }
  Row& operator[](std::size_t i) noexcept { return chunks_[i / RowsPerChunk][i % RowsPerChunk]; }
  std::size_t size() const noexcept { return size_; }
  std::size_t memory_bytes() const noexcept { return chunks_.size() * RowsPerChunk * sizeof(Row); }

 private:
  std::vector<std::unique_ptr<Row[]>> chunks_;
  std::size_t size_ = 0;
};

} // namespace weir
