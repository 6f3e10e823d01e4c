#include "supervisors/run_mark.hpp"

#include <charconv>
#include <utility>

#include "config/whole_file.hpp"
#include "messages/environment.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

constexpr std::size_t most_bytes = 64;

/// The number in the file. Whatever else is there, the file is: one process at least did not remove it.
std::uint64_t count_in(const std::string& text) {
  std::uint64_t count = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), count);
  return why == std::errc{} && count > 0 ? count : 1;
}

} // namespace

run_mark::run_mark(std::shared_ptr<disk> on, const std::string& directory)
    : disk_(std::move(on)), directory_(directory), path_(directory + "/running") {
  std::string text;
  const auto missing = read_whole_file(*disk_, path_, most_bytes, text);
  if (missing != std::errc::no_such_file_or_directory)
    unclean_ = count_in(text);
  if (unclean_ > 0)
    log::warn("unclean-start", "the process before this one did not end in order, {} in a row", unclean_);
  if (auto why = replace_whole_file(*disk_, path_, std::to_string(unclean_ + 1) + "\n"))
    log::warn("run-mark", "{} could not be written: {}; a later start cannot tell how this one ended", path_,
              why.message());
}

void run_mark::end() {
  auto why = disk_->remove(path_);
  if (!why)
    why = disk_->sync_directory(directory_);
  if (why)
    log::warn("run-mark", "{} could not be removed: {}; the next start takes this end for a crash", path_,
              why.message());
}

} // namespace weir
