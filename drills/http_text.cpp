#include "drills/http_text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace weir::drills {

namespace {

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
           return std::tolower(x) == std::tolower(y);
         });
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

template <class Number>
bool to_number(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

} // namespace

std::optional<http_answer_view> read_http_answer(std::string_view text) {
  const auto head_end = text.find("\r\n\r\n");
  if (head_end == std::string_view::npos || text.substr(0, 9) != "HTTP/1.1 ")
    return std::nullopt;
  http_answer_view answer;
  if (!to_number(text.substr(9, 3), answer.status))
    return std::nullopt;
  auto head = text.substr(0, head_end + 2);
  std::size_t length = 0;
  for (auto at = head.find("\r\n") + 2; at < head.size();) {
    const auto end = head.find("\r\n", at);
    const auto line = head.substr(at, end - at);
    at = end + 2;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos)
      return std::nullopt;
    const auto name = line.substr(0, colon), value = trim(line.substr(colon + 1));
    if (same_name(name, "content-length")) {
      if (!to_number(value, length))
        return std::nullopt;
    } else if (same_name(name, "retry-after")) {
      if (unsigned seconds = 0; to_number(value, seconds))
        answer.retry_after_s = std::min(seconds, 60u);
    } else if (same_name(name, "connection")) {
      answer.keep_alive = !same_name(value, "close");
    }
  }
  if (text.size() - head_end - 4 < length)
    return std::nullopt;
  answer.body = text.substr(head_end + 4, length);
  return answer;
}

} // namespace weir::drills
