#pragma once

#include <optional>
#include <string>

namespace weir {

/// The directory of a scratch node: empty when it begins, for this user alone, and removed in the end unless somebody
/// named it.
class scratch_place {
 public:
  /// `wanted` must be empty or not be there; without a name, one below `TMPDIR` or /tmp is made up. Nothing, and a
  /// sentence, if it cannot be had.
  static std::optional<scratch_place> make(const std::string& wanted, std::string& error);
  scratch_place(scratch_place&& other) noexcept;
  scratch_place& operator=(scratch_place&&) = delete;
  ~scratch_place();

  const std::string& path() const noexcept { return path_; } ///< Absolute, without links in it.

 private:
  scratch_place(std::string path, bool mine) : path_(std::move(path)), mine_(mine) {}

  std::string path_;
  bool mine_;
};

} // namespace weir
