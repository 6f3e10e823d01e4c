#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "messages/environment.hpp"

namespace weir {

/// The bytes of one file of a `fake_disk`: what readers see, what the medium holds, and what was
/// written between. Not thread-safe. Pages are immutable once shared, so copies are cheap.
class paged_file {
 public:
  static constexpr std::uint64_t page_bytes = 4096;
  static constexpr std::uint64_t sector_bytes = 512;
  enum class crash_mode { lose_all, keep_all, mixed };

  /// Writes as far as `free_pages` lasts and takes what it used from it; returns the bytes written.
  std::uint64_t write(std::uint64_t offset, std::string_view bytes, std::uint64_t& free_pages);
  std::size_t read(std::uint64_t offset, char* into, std::size_t size) const;
  void truncate(std::uint64_t size);
  /// Pages that `reserve(size)` would newly take.
  std::uint64_t pages_to_reserve(std::uint64_t size) const;
  void reserve(std::uint64_t size);
  void sync();
  /// A write-back error: pending pages count as clean, and the medium does not have them.
  void fail_sync();
  void drop_caches();
  bool flip_bit(std::uint64_t offset, unsigned bit);

  std::uint64_t size() const { return size_; }
  std::uint64_t allocated_pages() const { return reserved_pages_ + pages_beyond_reserved_; }
  bool has_pending() const { return !dirty_.empty() || !sizes_.empty() || reserved_pages_ != durable_reserved_pages_; }
  std::string durable_contents() const;
  /// The file as found after a power cut: all durable.
  paged_file after_crash(random_source& random, crash_mode mode) const;

 private:
  using page = std::string;
  using page_pointer = std::shared_ptr<const page>; ///< Null is a hole: zeros.
  using page_map = std::map<std::uint64_t, page_pointer>;

  static page_pointer find(const page_map& pages, std::uint64_t number);
  static void put(page_map& pages, std::uint64_t number, page_pointer content);
  static page_pointer tear(const page_pointer& before, const page_pointer& after, random_source& random);
  void set_page(std::uint64_t number, page_pointer content);
  void set_size(std::uint64_t size);
  std::uint64_t size_after_crash(random_source& random) const;

  page_map now_, durable_;
  std::map<std::uint64_t, std::vector<page_pointer>> dirty_; ///< Contents since the last sync, newest last.
  std::set<std::uint64_t> lost_;                             ///< Clean, but not what the medium holds.
  std::vector<std::uint64_t> sizes_;                         ///< Since the last sync, newest last.
  std::uint64_t size_ = 0, durable_size_ = 0;
  std::uint64_t reserved_pages_ = 0, durable_reserved_pages_ = 0;
  std::uint64_t pages_beyond_reserved_ = 0;
};

} // namespace weir
