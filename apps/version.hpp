#pragma once

#include <string_view>

namespace weir {

/// As in CMakeLists.txt and CHANGELOG.md.
constexpr std::string_view version = WEIR_VERSION;

} // namespace weir
