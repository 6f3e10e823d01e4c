#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "messages/environment.hpp"

namespace weir::store {

/// One preallocated file, whatever segment it holds.
struct segment_file {
  bool exists = false;
  std::uint32_t segment = 0; ///< 0 = free.
  std::uint32_t end = 0;     ///< Where its durable groups end.
  bool sealed = false;       ///< Nothing is appended any more.
  bool has_sidecar = false;
  std::uint32_t pins = 0; ///< Readers under way: the file must not be recycled.
  std::shared_ptr<disk_file> handle;
  bool writable = false; ///< What the handle was opened for.
};

/// The store's directory: preallocated segment files by number, and the names of everything else.
/// Keeps at most `most_open` of them open. Not thread-safe.
class segment_files {
 public:
  static constexpr std::size_t most_files = 0xfffe; ///< 16 bits in the index, one value taken.
  static constexpr std::size_t most_open = 256;

  segment_files(std::shared_ptr<disk> where, std::string directory, std::uint64_t segment_bytes)
      : disk_(std::move(where)), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

  std::size_t size() const { return files_.size(); }
  segment_file& at(std::size_t number) { return files_[number]; }
  const segment_file& at(std::size_t number) const { return files_[number]; }
  std::size_t count() const;      ///< Of files that exist.
  std::size_t count_free() const; ///< Of files that hold no segment.
  std::optional<std::uint16_t> find(std::uint32_t segment) const;

  /// Notes a file found at start-up.
  void found(std::uint16_t number);
  enum class purpose { reading, writing };
  /// The open file; opens it if need be, for no more than what is asked: reads go on from a read-only disk.
  std::error_code open(std::uint16_t number, std::shared_ptr<disk_file>& handle, purpose why = purpose::reading);
  /// Opens each anew when it is needed next; readers that have one go on. After a failure: the file system
  /// may have been mounted anew, and a handle of the old one would fail for ever.
  void close_all();
  /// The free file with the lowest number.
  std::optional<std::uint16_t> first_free() const;
  /// Makes a preallocated, free file, durable with its name. Errors leave nothing behind.
  std::error_code create(std::uint16_t& number);
  /// Takes a free file away for good.
  std::error_code remove(std::uint16_t number);

  const std::string& directory() const { return directory_; }
  weir::disk& where() const { return *disk_; }
  std::uint64_t segment_bytes() const { return segment_bytes_; }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  static std::string segment_name(std::uint16_t number);
  static std::string sidecar_name(std::uint32_t segment);
  static std::string checkpoint_name(std::uint32_t number);
  static constexpr const char* lock_name = "lock";
  static constexpr const char* temporary_suffix = ".new";
  /// The number in a name made by one of the above with this prefix and suffix.
  static std::optional<std::uint32_t> number_in(const std::string& name, const std::string& prefix,
                                                const std::string& suffix);

 private:
  void close_some();

  std::shared_ptr<disk> disk_;
  std::string directory_;
  std::uint64_t segment_bytes_;
  std::vector<segment_file> files_;
  std::size_t open_ = 0;
  std::size_t close_next_ = 0;
};

} // namespace weir::store
