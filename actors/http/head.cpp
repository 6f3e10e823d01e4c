#include "actors/http/head.hpp"

#include <algorithm>
#include <array>

#include "actors/http/asio.hpp"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace weir::http {

namespace {

namespace beast_http = boost::beast::http;

bool is_token(char c) noexcept {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
    return true;
  return std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

bool is_visible(char c) noexcept {
  return c > 0x20 && c < 0x7f;
}

bool equals_lower(std::string_view text, std::string_view lower) noexcept {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

problem bad_head(std::string message) {
  return {400, http_trouble::bad_head, "bad_request", std::move(message)};
}
problem bad_framing(std::string message) {
  return {400, http_trouble::bad_framing, "bad_framing", std::move(message)};
}

/// Fields that may stand once only: with two, which one counts would be a guess.
constexpr std::array<std::string_view, 8> single_fields{"content-length", "transfer-encoding", "host",
                                                        "authorization",  "idempotency-key",   "content-encoding",
                                                        "expect",         "content-type"};

/// What the raw bytes must be, checked before any parser that may be more lenient sees them. Boost.Beast 1.81
/// takes obs-fold, `Content-Length: 5, 5`, and `Transfer-Encoding: chunked, identity` as a body of no bytes.
class strict_check {
 public:
  strict_check(std::string_view raw, const head_limits& limits) : rest_(raw), limits_(limits) {}

  std::optional<problem> run() {
    std::string_view line;
    if (!take_line(line))
      return bad_head("each line of the head must end with CR LF, and hold no other CR, LF or NUL");
    if (auto fault = check_request_line(line))
      return fault;
    for (;;) {
      if (!take_line(line))
        return bad_head("each line of the head must end with CR LF, and hold no other CR, LF or NUL");
      if (line.empty())
        break;
      if (auto fault = check_field(line))
        return fault;
    }
    if (seen("transfer-encoding") && seen("content-length"))
      return bad_framing("send either Content-Length or Transfer-Encoding, never both");
    if (seen("transfer-encoding") && version_1_0_)
      return bad_framing("HTTP/1.0 has no Transfer-Encoding; send Content-Length");
    if (!version_1_0_ && !seen("host"))
      return bad_head("HTTP/1.1 needs one Host field");
    return std::nullopt;
  }

 private:
  /// A line without its CR LF; false if it has no such end, or control characters in it.
  bool take_line(std::string_view& line) {
    const auto end = rest_.find('\n');
    if (end == std::string_view::npos || end == 0 || rest_[end - 1] != '\r')
      return false;
    line = rest_.substr(0, end - 1);
    rest_.remove_prefix(end + 1);
    return std::all_of(line.begin(), line.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= 0x20 ? c != 0x7f : c == '\t'; });
  }

  std::optional<problem> check_request_line(std::string_view line) {
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == 0 || first == last)
      return bad_head("the first line must be METHOD, one blank, TARGET, one blank, HTTP/1.1");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, last - first - 1);
    const auto version = line.substr(last + 1);
    if (!std::all_of(method.begin(), method.end(), is_token))
      return bad_head("the method must be a token, such as POST");
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
      if (version.substr(0, 5) == "HTTP/")
        return problem{505, http_trouble::bad_head, "bad_version", "speak HTTP/1.1 (HTTP/1.0 is taken, too)"};
      return bad_head("the first line must end with HTTP/1.1");
    }
    version_1_0_ = version == "HTTP/1.0";
    if (target.size() > limits_.target)
      return problem{414, http_trouble::head_too_large, "target_too_long", "shorten path and query"};
    if (target.empty() || target.front() != '/' || !std::all_of(target.begin(), target.end(), is_visible))
      return bad_head("the target must begin with / and hold visible ASCII characters only; encode others as %XX");
    return std::nullopt;
  }

  std::optional<problem> check_field(std::string_view line) {
    if (++fields_ > limits_.fields)
      return problem{431, http_trouble::head_too_large, "too_many_fields", "send fewer header fields"};
    if (line.front() == ' ' || line.front() == '\t')
      return bad_head("a header field must not be folded over several lines");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0
        || !std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon), is_token))
      return bad_head("a header field must be NAME: VALUE, without blanks before the colon");
    const auto name = line.substr(0, colon);
    auto value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t'))
      value.remove_suffix(1);
    return check_known(name, value);
  }

  std::optional<problem> check_known(std::string_view name, std::string_view value) {
    for (std::size_t i = 0; i < single_fields.size(); ++i) {
      if (!equals_lower(name, single_fields[i]))
        continue;
      const bool framing = i < 2;
      if (seen_[i])
        return framing ? bad_framing("send Content-Length or Transfer-Encoding once")
                       : bad_head(
                           "Host, Authorization, Idempotency-Key, Content-Encoding, Content-Type and Expect "
                           "may stand once only");
      seen_[i] = true;
      if (i == 0 && (value.empty() || value.size() > 19 || !std::all_of(value.begin(), value.end(), [](char c) {
                       return c >= '0' && c <= '9';
                     })))
        return bad_framing("Content-Length must be a number in decimal digits");
      if (i == 1 && !equals_lower(value, "chunked"))
        return bad_framing("the only Transfer-Encoding is chunked; compress with Content-Encoding");
    }
    return std::nullopt;
  }

  bool seen(std::string_view name) const {
    for (std::size_t i = 0; i < single_fields.size(); ++i)
      if (single_fields[i] == name)
        return seen_[i];
    return false;
  }

  std::string_view rest_;
  const head_limits& limits_;
  std::size_t fields_ = 0;
  bool version_1_0_ = false;
  std::array<bool, single_fields.size()> seen_{};
};

std::string to_string(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

std::optional<std::string> field_of(const beast_http::request<beast_http::empty_body>& message,
                                    beast_http::field name) {
  const auto position = message.find(name);
  if (position == message.end())
    return std::nullopt;
  return to_string(position->value());
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> percent_decode(std::string_view raw) {
  std::string result;
  result.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '%') {
      if (i + 2 >= raw.size() || hex_digit(raw[i + 1]) < 0 || hex_digit(raw[i + 2]) < 0)
        return std::nullopt;
      c = static_cast<char>(hex_digit(raw[i + 1]) * 16 + hex_digit(raw[i + 2]));
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return std::nullopt;
    result.push_back(c);
  }
  return result;
}

} // namespace

std::variant<request_head, problem> read_head(std::string_view raw, const head_limits& limits) {
  if (auto fault = strict_check{raw, limits}.run())
    return *std::move(fault);
  beast_http::request_parser<beast_http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.bytes) + 1);
  parser.body_limit(boost::none);
  error_code ec;
  const auto used = parser.put(asio::const_buffer{raw.data(), raw.size()}, ec);
  // The check above and the parser must agree on the whole head; where they do not, nobody may guess.
  if (ec || !parser.is_header_done() || used != raw.size())
    return bad_head("the head is not a valid one of HTTP/1.1");
  const auto& message = parser.get();
  request_head head;
  head.method = to_string(message.method_string());
  const auto target = to_string(message.target());
  const auto mark = target.find('?');
  head.path = target.substr(0, mark);
  if (mark != std::string::npos)
    head.query = target.substr(mark + 1);
  head.version_1_0 = message.version() == 10;
  // HTTP/1.0 would need to be told that a connection is kept; nothing that old is worth it.
  head.keep_alive = !head.version_1_0 && message.keep_alive();
  head.chunked = parser.chunked();
  if (const auto length = field_of(message, beast_http::field::content_length))
    head.content_length = std::stoull(*length);
  if (const auto expect = field_of(message, beast_http::field::expect)) {
    if (!equals_lower(*expect, "100-continue"))
      return problem{417, http_trouble::bad_request, "bad_expectation", "the only Expect is 100-continue"};
    head.expect_continue = !head.version_1_0;
  }
  head.authorization = field_of(message, beast_http::field::authorization);
  if (const auto key = message.find("Idempotency-Key"); key != message.end())
    head.idempotency_key = to_string(key->value());
  head.content_encoding = field_of(message, beast_http::field::content_encoding);
  return head;
}

std::optional<problem> early_fault(std::string_view so_far, std::size_t from) {
  if (so_far.empty())
    return std::nullopt;
  // A TLS record of kind handshake, version 3.x.
  if (so_far.front() == 0x16)
    return problem{400, http_trouble::tls_on_plain_port, "plain_port", "this port speaks HTTP without TLS"};
  if (!is_token(so_far.front()))
    return bad_head("this is not a request of HTTP/1.1");
  for (auto end = so_far.find('\n', from); end != std::string_view::npos; end = so_far.find('\n', end + 1))
    if (end == 0 || so_far[end - 1] != '\r')
      return bad_head("each line of the head must end with CR LF");
  return std::nullopt;
}

std::optional<query_parameters> parse_query(std::string_view raw) {
  query_parameters result;
  while (!raw.empty()) {
    const auto end = std::min(raw.find('&'), raw.size());
    const auto part = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    if (part.empty())
      continue;
    const auto equals = std::min(part.find('='), part.size());
    auto name = percent_decode(part.substr(0, equals));
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())));
    if (!name || !value)
      return std::nullopt;
    for (const auto& [known, unused] : result)
      if (known == *name)
        return std::nullopt;
    result.emplace_back(*std::move(name), *std::move(value));
  }
  return result;
}

} // namespace weir::http
