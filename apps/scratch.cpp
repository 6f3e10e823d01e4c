#include "apps/scratch.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>

namespace weir {

namespace {

namespace fs = std::filesystem;

std::string make_one_up(std::string& error) {
  const auto* given = std::getenv("TMPDIR");
  std::string name = fmt::format("{}/weir-scratch-XXXXXX", given != nullptr && *given == '/' ? given : "/tmp");
  if (::mkdtemp(name.data()) == nullptr) {
    error = fmt::format("no directory can be made as {}: {}", name, std::generic_category().message(errno));
    return {};
  }
  return name;
}

bool use_named(const std::string& path, std::string& error) {
  std::error_code why;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    error = fmt::format("{} cannot be made: {}", path, std::generic_category().message(errno));
  else if (!fs::is_directory(fs::symlink_status(path, why)))
    error = fmt::format("{} is not a directory", path);
  else if (!fs::is_empty(path, why) || why)
    error = fmt::format("{} is not empty; a scratch node begins with nothing", path);
  return error.empty();
}

} // namespace

std::optional<scratch_place> scratch_place::make(const std::string& wanted, std::string& error) {
  const bool mine = wanted.empty();
  const auto path = mine ? make_one_up(error) : wanted;
  if (!error.empty() || (!mine && !use_named(path, error)))
    return std::nullopt;
  std::error_code why;
  auto real = fs::canonical(path, why).string();
  if (why) {
    error = fmt::format("{}: {}", path, why.message());
    return std::nullopt;
  }
  return scratch_place{std::move(real), mine};
}

scratch_place::scratch_place(scratch_place&& other) noexcept
    : path_(std::exchange(other.path_, {})), mine_(std::exchange(other.mine_, false)) {}

scratch_place::~scratch_place() {
  std::error_code ignored; // what is left behind is in a directory for temporary files
  if (mine_ && !path_.empty())
    fs::remove_all(path_, ignored);
}

} // namespace weir
