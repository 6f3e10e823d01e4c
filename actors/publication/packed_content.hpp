#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

namespace weir {

/// What `write` writes, packed with zstd while it comes: the file of a million jobs is 170 MB and is never in memory as
/// a whole. Nothing if `write` says false or the packing fails.
std::optional<std::string> packed_content(const std::function<bool(std::ostream& into)>& write);

/// Reads what `packed_content` made, a piece at a time; damage makes the stream bad.
class unpacking_stream : public std::istream {
 public:
  explicit unpacking_stream(std::string packed);
  ~unpacking_stream() override;

 private:
  class source;
  std::unique_ptr<source> source_;
};

} // namespace weir
