#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weir {

/// Writes a `.tar.gz` (ustar, gzip). Throws `std::system_error`. The file is new and for its owner only.
class tar_file {
 public:
  explicit tar_file(const std::string& path);
  ~tar_file();
  tar_file(const tar_file&) = delete;
  tar_file& operator=(const tar_file&) = delete;

  /// `name` at most 100 bytes, relative.
  void add(const std::string& name, std::string_view content, std::int64_t modified);
  /// Without it the file is cut off.
  void finish();

 private:
  void put(std::string_view bytes);
  struct stream;
  std::string path_;
  std::unique_ptr<stream> out_;
};

} // namespace weir
