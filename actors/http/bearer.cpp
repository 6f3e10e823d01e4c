#include "actors/http/bearer.hpp"

#include <algorithm>

namespace weir::http {

std::optional<std::string_view> bearer_token(const request_head& head) {
  if (!head.authorization)
    return std::nullopt;
  std::string_view value = *head.authorization;
  constexpr std::string_view scheme = "bearer ";
  if (value.size() <= scheme.size() || !std::equal(scheme.begin(), scheme.end(), value.begin(), [](char a, char b) {
        return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : b);
      }))
    return std::nullopt;
  value.remove_prefix(scheme.size());
  while (!value.empty() && value.front() == ' ')
    value.remove_prefix(1);
  if (value.empty())
    return std::nullopt;
  return value;
}

} // namespace weir::http
