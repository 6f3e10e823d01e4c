#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "apps/real/real_environment.hpp"

namespace weir {
namespace {

constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

/// The first number of a file, or none if the file is absent or says `max`.
std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  if (in >> value)
    return value;
  return std::nullopt;
}

/// The tightest of `file` in `directory` and in every directory above it up to `top`: a limit of an
/// outer cgroup holds for the inner ones.
std::uint64_t tightest_limit(const std::string& top, std::string directory, const char* file) {
  auto limit = no_limit;
  while (true) {
    if (auto found = read_number(directory + '/' + file))
      limit = std::min(limit, *found);
    if (directory.size() <= top.size())
      return limit;
    directory.erase(directory.find_last_of('/'));
  }
}

bool has_word(const std::string& list, const std::string& word) {
  return (',' + list + ',').find(',' + word + ',') != std::string::npos;
}

/// This process's path in the hierarchy: of version 2 if `controller` is empty. proc_pid_cgroup(5).
std::optional<std::string> cgroup_path(const std::string& root, const std::string& controller) {
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    auto first = line.find(':');
    auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    auto controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : has_word(controllers, controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

/// One line of proc_pid_mountinfo(5), as far as it matters here.
struct mount {
  std::string shown_root, point, type, options;
};

std::optional<mount> parse_mount(const std::string& line) {
  std::istringstream in(line);
  mount result;
  std::string skipped;
  in >> skipped >> skipped >> skipped >> result.shown_root >> result.point;
  while (in >> skipped && skipped != "-") {
  }
  in >> result.type >> skipped >> result.options;
  if (!in)
    return std::nullopt;
  return result;
}

std::uint64_t cgroup_limit(const std::string& root) {
  auto limit = no_limit;
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    auto found = parse_mount(line);
    if (!found)
      continue;
    auto second = found->type == "cgroup2";
    if (!second && !(found->type == "cgroup" && has_word(found->options, "memory")))
      continue;
    auto path = cgroup_path(root, second ? "" : "memory");
    if (!path)
      continue;
    // In a container the mount may show only a part of the hierarchy, or another part than ours.
    auto& shown = found->shown_root;
    if (shown != "/" && path->rfind(shown, 0) == 0)
      path->erase(0, shown.size());
    else if (shown != "/")
      path->clear();
    if (path->find("/..") != std::string::npos || *path == "/")
      path->clear();
    auto top = root + found->point;
    limit = std::min(limit, tightest_limit(top, top + *path, second ? "memory.max" : "memory.limit_in_bytes"));
  }
  return limit;
}

std::uint64_t machine_memory(const std::string& root) {
  std::ifstream in(root + "/proc/meminfo");
  std::string key;
  for (std::string line; std::getline(in, line);) {
    std::uint64_t kibibytes = 0;
    if (std::istringstream(line) >> key >> kibibytes && key == "MemTotal:")
      return kibibytes * 1024;
  }
  throw std::system_error(ENOENT, std::generic_category(), "MemTotal in " + root + "/proc/meminfo");
}

class real_memory final : public memory_meter {
 public:
  explicit real_memory(const std::string& root)
      : root_(root == "/" ? "" : root),
        page_bytes_(static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))),
        machine_bytes_(machine_memory(root_)) {
    auto path = root_ + "/proc/self/statm";
    statm_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (statm_ < 0)
      throw std::system_error(errno, std::generic_category(), path);
  }
  ~real_memory() override { ::close(statm_); }

  std::uint64_t resident() const override {
    std::array<char, 128> text;
    auto n = ::pread(statm_, text.data(), text.size(), 0);
    // "size resident shared …" in pages. Should a read ever fail, the last answer is better than 0,
    // which would open every gate.
    const char* end = n > 0 ? text.data() + n : text.data();
    const char* second = std::find(static_cast<const char*>(text.data()), end, ' ');
    std::uint64_t pages = 0;
    if (second != end && std::from_chars(second + 1, end, pages).ec == std::errc{})
      last_ = pages * page_bytes_;
    return last_;
  }

  std::uint64_t available() const override { return std::min(machine_bytes_, cgroup_limit(root_)); }

 private:
  std::string root_;
  std::uint64_t page_bytes_;
  std::uint64_t machine_bytes_;
  int statm_ = -1;
  mutable std::atomic<std::uint64_t> last_{0};
};

} // namespace

std::shared_ptr<memory_meter> make_real_memory(const std::string& root) {
  return std::make_shared<real_memory>(root);
}

} // namespace weir
