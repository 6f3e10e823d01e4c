#include "actors/destinations/request_checks.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace weir {

namespace {

constexpr std::size_t max_url_bytes = 16 << 10;
constexpr std::size_t max_value_bytes = 8 << 10;
constexpr std::size_t max_headers = 64;
constexpr std::size_t max_line_bytes = 200;
/// Shorter values stand in any text by chance; hiding them would only garble it.
constexpr std::size_t min_secret_bytes = 6;

bool is_token_character(char c) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
         || others.find(c) != std::string_view::npos;
}

bool is_printable(char c) {
  return c >= 0x20 && c < 0x7f;
}

std::string lowered(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

/// What frames the message or is ours to say.
bool is_reserved(std::string_view lower) {
  constexpr std::array<std::string_view, 12> names{
      "host", "content-length", "transfer-encoding", "connection", "expect",           "content-encoding",
      "te",   "trailer",        "upgrade",           "keep-alive", "proxy-connection", "x-weir-batch"};
  return std::find(names.begin(), names.end(), lower) != names.end();
}

std::optional<std::string> refuse_header(const std::string& name, const std::string& value) {
  if (name.empty() || name.size() > 128 || !std::all_of(name.begin(), name.end(), is_token_character))
    return "a header's name is empty, too long or has a character that names cannot have";
  if (is_reserved(lowered(name)))
    return "the header " + name + " cannot be set: the sender sets it itself";
  if (value.size() > max_value_bytes)
    return "the value of the header " + name + " is longer than 8 KiB";
  if (!std::all_of(value.begin(), value.end(), is_printable))
    return "the value of the header " + name + " has a character beyond printable ASCII";
  return std::nullopt;
}

void hide(std::string& text, std::string_view hidden) {
  if (hidden.size() < min_secret_bytes)
    return;
  for (auto at = text.find(hidden); at != std::string::npos; at = text.find(hidden, at + 3))
    text.replace(at, hidden.size(), "***");
}

void hide_secrets(std::string& text, const upload_order& order) {
  for (const auto& [name, value] : order.headers) {
    hide(text, value);
    // `Bearer abc` and `Splunk abc`: the server may repeat the second word only.
    if (const auto space = value.rfind(' '); space != std::string::npos)
      hide(text, std::string_view{value}.substr(space + 1));
  }
  const std::string_view url = order.url;
  const auto question = url.find('?');
  if (question == std::string_view::npos)
    return;
  auto query = url.substr(question + 1);
  hide(text, query);
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto parameter = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const auto equals = parameter.find('=');
    hide(text, equals == std::string_view::npos ? parameter : parameter.substr(equals + 1));
  }
}

} // namespace

std::optional<std::string> refuse_request(const upload_order& order) {
  const std::string_view url = order.url;
  if (url.size() > max_url_bytes)
    return "the address is longer than 16 KiB";
  if (!std::all_of(url.begin(), url.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
    return "the address has a space, a control or a non-ASCII character";
  const auto is_https = url.substr(0, 8) == "https://";
  const auto is_http = url.substr(0, 7) == "http://";
  if (!is_https && !is_http)
    return "the address begins with neither https:// nor http://";
  if (is_http && !order.allow_insecure_http)
    return "http:// sends logs in the clear and is not allowed here";
  const auto authority = url.substr(is_https ? 8 : 7, url.find_first_of("/?#", 8) - (is_https ? 8 : 7));
  if (authority.find('@') != std::string_view::npos)
    return "the address holds a user name; use a header";
  if (!std::all_of(order.identity.begin(), order.identity.end(), is_printable))
    return "the batch id has a character that a header cannot have";
  if (order.headers.size() > max_headers)
    return "there are more than 64 headers";
  for (const auto& [name, value] : order.headers) {
    if (auto why = refuse_header(name, value))
      return why;
  }
  return std::nullopt;
}

std::string sanitised(std::string_view text, const upload_order& order) {
  // Secrets go first: cutting or cleaning could leave a part of one that is no longer recognised.
  std::string whole{text.substr(0, 4096)};
  hide_secrets(whole, order);
  std::string result;
  for (const char c : whole) {
    if (result.size() == max_line_bytes) {
      result += "...";
      break;
    }
    const auto printable = is_printable(c) ? c : c == '\n' || c == '\r' || c == '\t' ? ' ' : '?';
    if (printable == ' ' && (result.empty() || result.back() == ' '))
      continue;
    result += printable;
  }
  while (!result.empty() && result.back() == ' ')
    result.pop_back();
  return result;
}

} // namespace weir
