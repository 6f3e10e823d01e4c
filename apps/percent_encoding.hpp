#pragma once

#include <string>
#include <string_view>

namespace weir {

/// As RFC 3986 writes a value in a URL: everything but its unreserved characters as `%` and two hexadecimal digits.
std::string percent_encoded(std::string_view text);

} // namespace weir
