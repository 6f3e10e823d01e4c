#include "config/last_known_good.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "config/whole_file.hpp"
#include "messages/environment.hpp"

namespace weir {

namespace {

std::string main_path(const std::string& directory) {
  return directory + "/last-known-good";
}

std::string spare_path(const std::string& directory) {
  return directory + "/last-known-good.spare";
}

struct copy {
  forwarding_config_result read;
  bool there = false;
};

copy read_copy(disk& on, const std::string& path, const forwarding_expectations& expected) {
  copy result;
  std::error_code error;
  const auto stream = open_stream(on, path, error);
  result.there = error.value() != ENOENT;
  if (stream) {
    result.read = load_forwarding_config(*stream, expected);
    return result;
  }
  result.read.reason = config_refusal::unreadable;
  result.read.text = fmt::format("cannot be opened: {}", error.message());
  return result;
}

} // namespace

std::string_view name_of(good_copy x) noexcept {
  static constexpr std::string_view names[] = {"none", "main", "spare"};
  return names[static_cast<std::size_t>(x)];
}

last_known_good::last_known_good(disk& on, std::string directory) : disk_(on), directory_(std::move(directory)) {}

std::error_code last_known_good::write_copy(const config_snapshot& snapshot, const config_signer& signer,
                                            const std::string& path) {
  return replace_whole_file(disk_, path,
                            [&](std::ostream& into) { return write_forwarding_config(snapshot, into, &signer); });
}

std::error_code last_known_good::write(const config_snapshot& snapshot, const config_signer& signer) {
  // The main copy first: it is never older than the spare one.
  if (const auto error = write_copy(snapshot, signer, main_path(directory_)))
    return error;
  return write_copy(snapshot, signer, spare_path(directory_));
}

last_known_good_result last_known_good::load(const forwarding_expectations& expected) {
  last_known_good_result result;
  auto main = read_copy(disk_, main_path(directory_), expected);
  if (main.read.snapshot) {
    result.snapshot = std::move(main.read.snapshot);
    result.used = good_copy::main;
    return result;
  }
  result.main_reason = main.read.reason;
  result.main_text = fmt::format("'{}': {}", main_path(directory_), main.read.text);
  auto spare = read_copy(disk_, spare_path(directory_), expected);
  if (spare.read.snapshot) {
    result.snapshot = std::move(spare.read.snapshot);
    result.used = good_copy::spare;
    return result;
  }
  result.spare_reason = spare.read.reason;
  result.spare_text = fmt::format("'{}': {}", spare_path(directory_), spare.read.text);
  result.first_start = !main.there && !spare.there;
  return result;
}

} // namespace weir
