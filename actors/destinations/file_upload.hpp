#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "actors/destinations/file_network.hpp"

namespace weir {

/// Where a file upload goes.
struct file_target {
  std::string directory;
  std::string path;      ///< `directory/name`
  std::string temporary; ///< `directory/.name.part`
};

/// Takes a `file://` address apart and checks it against the roots; else `why` says what is wrong.
std::optional<file_target> parse_file_target(const std::string& url, const file_settings& settings, std::string& why);

/// One file being written. Used by one thread of the pool at a time; knows no other uploads.
class file_upload {
 public:
  enum class step : std::uint8_t {
    wants_window,    ///< All it had is written.
    needs_directory, ///< Renamed, or there already: final once its directory is synced.
    finished,        ///< `outcome` says how.
  };

  file_upload(file_target target, std::optional<std::uint64_t> length, disk& where);
  /// Removes what is unfinished.
  ~file_upload();
  file_upload(const file_upload&) = delete;
  file_upload& operator=(const file_upload&) = delete;

  step begin();
  step write(const std::string& window, bool last);
  /// After the directory's sync.
  void seal(std::error_code error);
  void give_up(std::string why);

  const std::string& directory() const noexcept { return target_.directory; }
  const upload_outcome& outcome() const noexcept { return outcome_; }
  std::uint64_t written() const noexcept { return written_; }

 private:
  step fail(const char* what, std::error_code error);
  step publish();
  std::error_code open_temporary();

  file_target target_;
  std::optional<std::uint64_t> length_;
  disk& disk_;
  std::unique_ptr<disk_file> file_;
  bool has_temporary_ = false;
  std::uint64_t written_ = 0;
  upload_outcome outcome_;
};

} // namespace weir
