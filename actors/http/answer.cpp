#include "actors/http/answer.hpp"

#include <fmt/format.h>

namespace weir::http {

namespace {

std::string_view phrase_of(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

/// Length of the UTF-8 sequence at the front of `text`, or 0 if there is none: overlong forms, surrogates and
/// code points above U+10FFFF are none.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf)
    return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    return byte(1) >= low && byte(1) <= high && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned low = first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    return byte(1) >= low && byte(1) <= high && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const char c = text.front();
    auto length = utf8_length(text);
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else if (length == 0)
      out += "\xef\xbf\xbd";
    else
      out.append(text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out.push_back('"');
}

std::string error_body(std::string_view error, std::string_view message) {
  std::string body = "{\"error\":";
  append_json_string(body, error);
  body += ",\"message\":";
  append_json_string(body, message);
  body += "}\n";
  return body;
}

answer error_answer(const problem& x) {
  answer result;
  result.status = x.status;
  result.body = error_body(x.error, x.message);
  result.challenge = x.status == 401;
  return result;
}

std::string render(const answer& x, bool close, bool without_body) {
  fmt::memory_buffer out;
  const auto add = std::back_inserter(out);
  fmt::format_to(add, "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", x.status, phrase_of(x.status),
                 x.content_type, x.body.size());
  // Answers are about one sender's data; no cache on the way has any business with them.
  fmt::format_to(add, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  if (x.retry_after_seconds > 0)
    fmt::format_to(add, "Retry-After: {}\r\n", x.retry_after_seconds);
  if (!x.allow.empty())
    fmt::format_to(add, "Allow: {}\r\n", x.allow);
  if (x.challenge)
    fmt::format_to(add, "WWW-Authenticate: Bearer realm=\"weir\"\r\n");
  if (close)
    fmt::format_to(add, "Connection: close\r\n");
  fmt::format_to(add, "\r\n");
  if (!without_body)
    out.append(x.body.data(), x.body.data() + x.body.size());
  return fmt::to_string(out);
}

} // namespace weir::http
