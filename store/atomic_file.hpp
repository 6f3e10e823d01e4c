#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "messages/environment.hpp"

namespace weir::store {

/// A file that appears whole or not at all: written under another name, synced, renamed, its
/// directory synced. In steps, so that no step keeps the disk for long. Dropped before `finish`, it
/// removes what it wrote.
class atomic_file {
 public:
  atomic_file(weir::disk& where, std::string directory, std::string name);
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  /// Appends and syncs.
  std::error_code write(std::string_view bytes);
  /// Gives it its name. After an error it may or may not have it, and is whole if it has.
  std::error_code finish();
  std::uint64_t bytes() const { return offset_; }

 private:
  weir::disk& disk_;
  std::string directory_, path_, temporary_;
  std::unique_ptr<disk_file> file_;
  std::uint64_t offset_ = 0;
  bool named_ = false;
};

} // namespace weir::store
