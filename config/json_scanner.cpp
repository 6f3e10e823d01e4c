#include "config/json_scanner.hpp"

#include <fmt/format.h>

#include "config/forwarding_bytes.hpp"

namespace weir {

namespace {

using traits = std::streambuf::traits_type;

// Deeper than any job; whoever parses the text would refuse it too, but later.
constexpr std::size_t max_depth = 64;

bool is_space(int x) noexcept {
  return x == ' ' || x == '\t' || x == '\n' || x == '\r';
}

} // namespace

void json_scanner::not_json(std::string_view name, std::string_view what) {
  refuse(config_refusal::unparsable, fmt::format("is not JSON at {}: {}", name, what));
}

void json_scanner::ends(std::string_view name) {
  refuse(config_refusal::truncated, fmt::format("ends in {}", name));
}

int json_scanner::peek_behind_space() {
  auto x = from_.sgetc();
  while (is_space(x))
    x = from_.snextc();
  return x;
}

bool json_scanner::next_is(char x) {
  if (peek_behind_space() != traits::to_int_type(x))
    return false;
  from_.sbumpc();
  return true;
}

void json_scanner::expect(char x, std::string_view name) {
  if (next_is(x))
    return;
  if (traits::eq_int_type(from_.sgetc(), traits::eof()))
    ends(name);
  not_json(name, fmt::format("'{}' is needed", x));
}

void json_scanner::expect_end() {
  if (!traits::eq_int_type(peek_behind_space(), traits::eof()))
    refuse(config_refusal::unparsable, "goes on behind its end");
}

char json_scanner::take(std::string_view name) {
  const auto x = from_.sbumpc();
  if (traits::eq_int_type(x, traits::eof()))
    ends(name);
  return traits::to_char_type(x);
}

void json_scanner::add(char x, std::string_view name, std::size_t most) {
  if (text_.size() == most)
    refuse(config_refusal::too_large, fmt::format("has more than {} bytes in {}", most, name));
  text_ += x;
}

void json_scanner::rest_of_string(std::string_view name, std::size_t most) {
  for (auto x = take(name);; x = take(name)) {
    add(x, name, most);
    if (x == '"')
      return;
    if (x == '\\')
      add(take(name), name, most);
  }
}

void json_scanner::rest_of_nested(std::string_view name, std::size_t most) {
  for (std::size_t depth = 1; depth != 0;) {
    const auto x = take(name);
    add(x, name, most);
    if (x == '"')
      rest_of_string(name, most);
    else if (x == '{' || x == '[')
      ++depth;
    else if (x == '}' || x == ']')
      --depth;
    if (depth > max_depth)
      not_json(name, "it is nested too deeply");
  }
}

void json_scanner::rest_of_plain(std::string_view name, std::size_t most) {
  for (auto x = from_.sgetc();; x = from_.snextc()) {
    if (traits::eq_int_type(x, traits::eof()))
      ends(name);
    if (is_space(x) || x == ',' || x == '}' || x == ']')
      return;
    add(traits::to_char_type(x), name, most);
  }
}

const std::string& json_scanner::value(std::string_view name, std::size_t most) {
  text_.clear();
  if (traits::eq_int_type(peek_behind_space(), traits::eof()))
    ends(name);
  const auto first = take(name);
  if (first == ',' || first == '}' || first == ']' || first == ':')
    not_json(name, "a value is missing");
  add(first, name, most);
  if (first == '"')
    rest_of_string(name, most);
  else if (first == '{' || first == '[')
    rest_of_nested(name, most);
  else
    rest_of_plain(name, most);
  return text_;
}

} // namespace weir
