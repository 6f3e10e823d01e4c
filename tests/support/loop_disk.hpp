#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace weir {

/// A small ext4 of its own, in a file. Only this process and those it starts see the mount, and it goes
/// with the last of them. Throws `std::runtime_error` if it cannot be made.
class loop_disk {
 public:
  /// `make_options` are for mkfs.ext4, as in {"-N", "32"}.
  explicit loop_disk(std::uint64_t bytes, const std::vector<std::string>& make_options = {});
  ~loop_disk();
  loop_disk(const loop_disk&) = delete;
  loop_disk& operator=(const loop_disk&) = delete;

  /// The probe: why there can be no such disk on this machine; none if there can.
  static std::optional<std::string> missing();

  const std::string& path() const noexcept { return mount_point_; }
  std::string operator/(const std::string& name) const { return mount_point_ + '/' + name; }

  std::uint64_t free_bytes() const;
  std::uint64_t free_inodes() const;
  /// The file system turns read-only under those who write, as after an error of its own. (A plain
  /// `remount,ro` is refused by the kernel as long as any file is open for writing.)
  void turn_read_only();
  /// What an operator does then: detaches it, has it checked, and mounts it at the same place for writing. Who
  /// has files of it open keeps them, read-only, until they are opened anew.
  void mount_again();
  /// A file that takes all the space there is.
  void fill(const std::string& name);
  /// As many empty files as there are inodes left; their paths.
  std::vector<std::string> fill_inodes(const std::string& prefix);

 private:
  void mount_image();

  temporary_directory directory_{"weir-loop"};
  std::string mount_point_ = directory_ / "disk";
  std::string device_;
};

} // namespace weir
