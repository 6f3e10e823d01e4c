#pragma once

#include <optional>
#include <string>

#include "tests/support/fake_disk.hpp"
#include "tests/support/process.hpp"

namespace weir {

/// A mounted file system that loses on command what was not synced; `weir_lossy_disk` behind it, whose
/// `file_system.hpp` says what it is. Put a node's data directory into `path()`, then, for a power cut:
///
///     disk.power_off();  weir.kill();  disk.crash(seed);  // and start weir again
///
/// Without `power_off` first, the node may still write between the kill and the crash. Throws
/// `std::runtime_error` if it cannot be mounted or a command is refused.
class lossy_disk {
 public:
  lossy_disk();
  /// Unmounts; open files of still running processes fail from then on.
  ~lossy_disk();
  lossy_disk(const lossy_disk&) = delete;
  lossy_disk& operator=(const lossy_disk&) = delete;

  /// Why there can be no such disk on this machine; none if there can.
  static std::optional<std::string> missing();

  const std::string& path() const noexcept { return mount_point_; }
  std::string operator/(const std::string& name) const { return mount_point_ + '/' + name; }

  using pending_fate = fake_disk::pending_fate;
  void crash(std::uint64_t seed, std::optional<pending_fate> fate = {});
  void power_off() { send("power-off"); }
  void power_off_at(std::uint64_t nth_change);
  void fail(const std::string& kind, int error, std::uint64_t nth = 1, std::uint64_t times = 1,
            const std::string& path_part = "");
  void heal() { send("heal"); }
  void delay_syncs(std::chrono::milliseconds by);
  void set_capacity(std::uint64_t bytes);
  void set_read_only(bool on) { send(on ? "read-only on" : "read-only off"); }
  /// `name` is relative to the mount point.
  void flip_bit(const std::string& name, std::uint64_t offset, unsigned bit);

  struct counts {
    std::uint64_t changes = 0, syncs = 0, faults = 0, used_bytes = 0;
    bool pending = false, off = false;
  };
  counts status();
  /// Any command of `weir_lossy_disk --help`; the rest of its answer behind `ok`.
  std::string send(const std::string& line);

 private:
  temporary_directory directory_{"weir-lossy"};
  std::string mount_point_ = directory_ / "disk";
  std::string socket_ = directory_ / "control";
  std::optional<process> server_;
};

} // namespace weir
