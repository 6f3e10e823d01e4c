#include "apps/config_world.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace weir {

namespace {

// A number in a file of /sys/fs/cgroup; 0 for none, for "max" and for what cannot be read.
std::uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? value : 0;
}

// The least limit from the process's own cgroup up to the root, for versions 1 and 2.
std::uint64_t cgroup_memory_bytes() {
  std::uint64_t least = 0;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto v2 = controllers.empty();
    if (!v2 && controllers.find("memory") == std::string::npos)
      continue;
    const std::filesystem::path root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const auto* name = v2 ? "memory.max" : "memory.limit_in_bytes";
    for (auto group = std::filesystem::path(line.substr(second + 1)).relative_path();; group = group.parent_path()) {
      const auto limit = number_in((root / group / name).string());
      if (limit != 0 && (least == 0 || limit < least))
        least = limit;
      if (group.empty())
        break;
    }
  }
  return least;
}

machine_facts this_machine() {
  machine_facts facts;
  const auto pages = sysconf(_SC_PHYS_PAGES);
  const auto page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0)
    facts.memory_bytes = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page);
  if (const auto limit = cgroup_memory_bytes(); limit != 0)
    facts.memory_bytes = facts.memory_bytes == 0 ? limit : std::min(facts.memory_bytes, limit);
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0)
    facts.cores = static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&cores)));
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY)
    facts.open_files = files.rlim_max;
  return facts;
}

std::unique_ptr<std::istream> open_file(const std::string& path, file_facts& facts, std::string& error) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    error = std::generic_category().message(errno);
    return nullptr;
  }
  facts.bytes = static_cast<std::uint64_t>(status.st_size);
  facts.mode = status.st_mode & 07777;
  facts.regular = S_ISREG(status.st_mode);
  if (!facts.regular) {
    error = "not a regular file";
    return nullptr;
  }
  errno = 0;
  auto stream = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*stream) {
    error = std::generic_category().message(errno == 0 ? EIO : errno);
    return nullptr;
  }
  return stream;
}

// Of the nearest folder that is there already.
std::uint64_t disk_bytes_at(const std::string& path) {
  std::error_code ignored;
  auto folder = std::filesystem::absolute(path, ignored);
  while (!std::filesystem::exists(folder, ignored) && folder.has_relative_path())
    folder = folder.parent_path();
  struct statvfs status {};
  return statvfs(folder.c_str(), &status) == 0 ? std::uint64_t{status.f_blocks} * status.f_frsize : 0;
}

} // namespace

config_world real_config_world() {
  config_world world;
  world.machine = this_machine();
  world.open = open_file;
  world.variable = [](const std::string& name) -> std::optional<std::string> {
    const auto* value = std::getenv(name.c_str());
    if (value == nullptr)
      return std::nullopt;
    return value;
  };
  world.disk_bytes = disk_bytes_at;
  return world;
}

} // namespace weir
