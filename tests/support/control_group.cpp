#include "tests/support/control_group.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/process.hpp"

namespace weir {
namespace {

bool write_to(const std::string& path, const std::string& value) {
  const int handle = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (handle < 0)
    return false;
  const auto written = ::write(handle, value.data(), value.size());
  ::close(handle);
  return written == static_cast<ssize_t>(value.size());
}

std::string root_of(const std::string& controller) {
  return "/sys/fs/cgroup/" + controller;
}

} // namespace

control_group::control_group(std::string controller) : controller_(std::move(controller)) {
  static std::atomic<int> made{0};
  path_ = root_of(controller_) + "/weir-test-" + std::to_string(::getpid()) + "-" + std::to_string(++made);
  if (::mkdir(path_.c_str(), 0755) != 0)
    throw std::runtime_error(path_ + ": " + std::strerror(errno));
}

control_group::~control_group() {
  std::ifstream left(path_ + "/cgroup.procs");
  for (std::string id; std::getline(left, id);)
    write_to(root_of(controller_) + "/cgroup.procs", id);
  // What has just ended may still be counted for an instant.
  wait_for([this] { return ::rmdir(path_.c_str()) == 0; }, std::chrono::seconds(5));
}

std::optional<std::string> control_group::missing(const std::string& controller) {
  try {
    control_group probe(controller);
    const auto* file = controller == "cpu" ? "cpu.cfs_quota_us" : "memory.limit_in_bytes";
    if (!probe.set(file, controller == "cpu" ? "20000" : "1073741824"))
      return probe.path_ + "/" + file + " cannot be written";
    return std::nullopt;
  } catch (const std::exception& why) {
    return why.what();
  }
}

void control_group::take(pid_t id) {
  if (!set("cgroup.procs", std::to_string(id)))
    throw std::runtime_error(path_ + " does not take process " + std::to_string(id));
}

void control_group::release(pid_t id) {
  if (!write_to(root_of(controller_) + "/cgroup.procs", std::to_string(id)))
    throw std::runtime_error(root_of(controller_) + " does not take process " + std::to_string(id));
}

bool control_group::set(const std::string& file, const std::string& value) {
  return write_to(path_ + "/" + file, value);
}

std::uint64_t control_group::number(const std::string& file) const {
  std::ifstream in(path_ + "/" + file);
  std::uint64_t value = 0;
  in >> value;
  return value;
}

std::uint64_t control_group::number(const std::string& file, const std::string& key) const {
  std::ifstream in(path_ + "/" + file);
  std::string name;
  for (std::uint64_t value = 0; in >> name >> value;)
    if (name == key)
      return value;
  return 0;
}

} // namespace weir
