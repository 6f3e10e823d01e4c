#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// The text of concatenated gzip members; none if they are damaged, end early, hold anything behind
/// them, or expand beyond `most` bytes. By zlib, so that it agrees with nothing the node itself does.
std::optional<std::string> gunzip(std::string_view members, std::size_t most = std::size_t{1} << 30);
/// One member.
std::string gzip(std::string_view text, int level = 6);

} // namespace weir
