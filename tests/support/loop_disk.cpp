#include "tests/support/loop_disk.hpp"

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace weir {
namespace {

/// Once for the process: mounts from now on are seen here and below only.
void keep_mounts_to_oneself() {
  static const bool done =
      ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (!done)
    throw std::system_error(errno, std::generic_category(), "unshare");
}

void run(const temporary_directory& place, const std::string& program, const std::vector<std::string>& arguments) {
  command what{program, arguments};
  what.output_file = what.error_file = place / "log";
  if (run_program(what) != 0)
    throw std::runtime_error(program + ": " + read_file(what.output_file));
}

struct statvfs look_at(const std::string& path) {
  struct statvfs result {};
  if (::statvfs(path.c_str(), &result) != 0)
    throw std::system_error(errno, std::generic_category(), path);
  return result;
}

} // namespace

std::optional<std::string> loop_disk::missing() {
  if (::geteuid() != 0)
    return "mounting needs root";
  if (::access("/dev/loop-control", R_OK | W_OK) != 0)
    return "there is no /dev/loop-control";
  return std::nullopt;
}

loop_disk::loop_disk(std::uint64_t bytes, const std::vector<std::string>& make_options) {
  if (auto reason = missing())
    throw std::runtime_error("no loop disk: " + *reason);
  keep_mounts_to_oneself();
  const auto image = directory_ / "image";
  write_file(image, "");
  std::filesystem::resize_file(image, bytes);
  std::filesystem::create_directory(mount_point_);
  std::vector<std::string> make{"-q", "-F", "-m", "0"};
  make.insert(make.end(), make_options.begin(), make_options.end());
  make.push_back(image);
  run(directory_, "/sbin/mkfs.ext4", make);
  mount_image();
}

loop_disk::~loop_disk() {
  ::umount2(mount_point_.c_str(), MNT_DETACH);
}

std::uint64_t loop_disk::free_bytes() const {
  const auto about = look_at(mount_point_);
  return static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
}

std::uint64_t loop_disk::free_inodes() const {
  return look_at(mount_point_).f_favail;
}

void loop_disk::turn_read_only() {
  run(directory_, "mount", {"-o", "remount,abort", mount_point_});
}

void loop_disk::mount_again() {
  // What the journal has as committed must be in place before somebody else looks, and nothing of the old mount may
  // come behind.
  run(directory_, "/sbin/blockdev", {"--flushbufs", "--setro", device_});
  if (::umount2(mount_point_.c_str(), MNT_DETACH) != 0)
    throw std::system_error(errno, std::generic_category(), "umount " + mount_point_);
  command check{"/sbin/e2fsck", {"-f", "-y", directory_ / "image"}};
  check.output_file = check.error_file = directory_ / "log";
  if (const auto code = run_program(check); code != 0 && code != 1) // 1: put right
    throw std::runtime_error("e2fsck: " + read_file(check.output_file));
  mount_image();
}

/// On a loop device of its own, which goes with the mount.
void loop_disk::mount_image() {
  command attach{"/sbin/losetup", {"--find", "--show", directory_ / "image"}};
  attach.output_file = directory_ / "device";
  attach.error_file = directory_ / "log";
  if (run_program(attach) != 0)
    throw std::runtime_error("losetup: " + read_file(attach.error_file));
  device_ = read_file(attach.output_file);
  device_.erase(device_.find_last_not_of('\n') + 1);
  run(directory_, "/sbin/blockdev", {"--setrw", device_}); // it may have been `mount_again`'s
  run(directory_, "mount", {device_, mount_point_});
  run(directory_, "/sbin/losetup", {"--detach", device_});
}

void loop_disk::fill(const std::string& name) {
  const auto path = mount_point_ + '/' + name;
  const auto handle = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (handle < 0)
    throw std::system_error(errno, std::generic_category(), path);
  // What is left shrinks by the file's own extents: ask for less until nothing goes in any more.
  std::uint64_t size = 0;
  for (auto step = free_bytes(); step >= 4096;) {
    if (::posix_fallocate(handle, static_cast<off_t>(size), static_cast<off_t>(step)) == 0)
      size += step;
    else
      step /= 2;
  }
  ::close(handle);
}

std::vector<std::string> loop_disk::fill_inodes(const std::string& prefix) {
  std::vector<std::string> made;
  for (;;) {
    const auto path = mount_point_ + '/' + prefix + std::to_string(made.size());
    const auto handle = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (handle < 0 && errno == ENOSPC)
      return made;
    if (handle < 0)
      throw std::system_error(errno, std::generic_category(), path);
    ::close(handle);
    made.push_back(path);
  }
}

} // namespace weir
