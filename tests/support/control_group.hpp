#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

namespace weir {

/// A control group (version 1) of its own that takes processor time or memory from a process of a test. Removed at
/// the end, when its processes are gone or have been moved out. Throws `std::runtime_error` if it cannot be made.
class control_group {
 public:
  /// `controller` is `cpu` or `memory`.
  explicit control_group(std::string controller);
  ~control_group();
  control_group(const control_group&) = delete;
  control_group& operator=(const control_group&) = delete;

  /// The probe: why there can be no such group on this machine; none if there can.
  static std::optional<std::string> missing(const std::string& controller);

  /// The process with all its threads, and the children it has from now on.
  void take(pid_t id);
  /// Back to the group of all.
  void release(pid_t id);
  /// False if the system does not take it, as for a limit below what cannot be reclaimed.
  bool set(const std::string& file, const std::string& value);
  std::uint64_t number(const std::string& file) const;
  /// Of a file with `key value` lines, as `memory.oom_control`.
  std::uint64_t number(const std::string& file, const std::string& key) const;

 private:
  std::string controller_, path_;
};

} // namespace weir
