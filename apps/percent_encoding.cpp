#include "apps/percent_encoding.hpp"

#include <cctype>

#include <fmt/format.h>

namespace weir {

std::string percent_encoded(std::string_view text) {
  std::string result;
  for (const unsigned char c : text)
    if (std::isalnum(c) || std::string_view{"-._~"}.find(static_cast<char>(c)) != std::string_view::npos)
      result += static_cast<char>(c);
    else
      result += fmt::format("%{:02X}", c);
  return result;
}

} // namespace weir
