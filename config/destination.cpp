#include "config/destination.hpp"

#include <openssl/sha.h>

#include <algorithm>

#include <fmt/format.h>

namespace weir {

namespace {

constexpr std::string_view header_prefix = "header_";

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

int hex_digit(char c) noexcept {
  if (is_digit(c))
    return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Decodes %XX and, in parameters, '+' for a space as URL libraries do. False for a broken escape.
bool percent_decoded(std::string_view text, bool plus_is_space, std::string& into) {
  into.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
        return false;
      into += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      into += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return true;
}

std::uint64_t fingerprint_of(std::string_view scheme, std::string_view host, std::uint16_t port,
                             std::string_view path) {
  const auto text = fmt::format("{}\n{}\n{}\n{}", scheme, host, port, path);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::uint64_t result = 0;
  for (int i = 0; i < 8; ++i)
    result = result << 8 | digest[i];
  return result;
}

// Of a decoded path that begins with '/'. Refuses what could leave it, and what a log line or a
// header could be broken with.
std::string path_error(std::string_view path) {
  if (path.size() > max_destination_path_bytes)
    return fmt::format("the path has {} bytes; at most {} are allowed", path.size(), max_destination_path_bytes);
  if (std::any_of(path.begin(), path.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\'; }))
    return "the path has a control character or a backslash in it";
  std::string_view rest = path.substr(std::min<std::size_t>(1, path.size()));
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const auto segment = rest.substr(0, slash);
    if (segment == "." || segment == "..")
      return "the path has a '.' or '..' part; write the path it leads to";
    if (segment.size() > 255)
      return "a part of the path is longer than 255 bytes";
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  return {};
}

// Both written by the operator or checked: absolute, without `..`.
bool lies_under(std::string_view path, std::string_view root) noexcept {
  while (!root.empty() && root.back() == '/')
    root.remove_suffix(1);
  return path.substr(0, root.size()) == root && (path.size() == root.size() || path[root.size()] == '/');
}

std::string parse_file(std::string_view rest, const destination_rules& rules, destination& into) {
  into.kind = destination_kind::file;
  if (rest.empty() || rest.front() != '/')
    return "a file destination is an absolute path after file://, such as file:///var/log/push";
  if (rest.find_first_of("?#") != std::string_view::npos)
    return "a file destination takes no parameters";
  if (!percent_decoded(rest, false, into.path))
    return "the path has a broken %XX escape";
  if (auto error = path_error(into.path); !error.empty())
    return error;
  if (into.path.find("//") != std::string::npos)
    return "the path has an empty part ('//')";
  while (into.path.size() > 1 && into.path.back() == '/')
    into.path.pop_back();
  if (into.path == "/")
    return "the root directory cannot be a destination; name a directory such as file:///var/log/push";
  for (const auto& closed : rules.closed_roots)
    if (lies_under(into.path, closed) || lies_under(closed, into.path))
      return "the directory holds the node's own data";
  const auto in_root = std::any_of(rules.file_roots.begin(), rules.file_roots.end(),
                                   [&](const std::string& root) { return lies_under(into.path, root); });
  if (!in_root && (rules.require_file_root || !rules.file_roots.empty()))
    return "the directory is not under one of destinations.file_roots";
  into.fingerprint = fingerprint_of("file", {}, 0, into.path);
  return {};
}

bool valid_host_name(std::string_view host) noexcept {
  if (host.empty() || host.size() > 253)
    return false;
  while (!host.empty()) {
    const auto dot = host.find('.');
    const auto label = host.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
      return false;
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; }))
      return false;
    host.remove_prefix(dot == std::string_view::npos ? host.size() : dot + 1);
  }
  return true;
}

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// `host` or `host:port` to host and port, checked against the policy where it is a literal address.
std::string parse_authority(std::string_view authority, std::uint16_t default_port, const destination_rules& rules,
                            destination& into) {
  if (authority.find('@') != std::string_view::npos)
    return "user and password do not belong in front of the host; use header_Authorization";
  auto host = authority;
  std::string_view port;
  bool has_port = false;
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    if (end == std::string_view::npos)
      return "the host's '[' is not closed";
    port = host.substr(end + 1);
    host = host.substr(0, end + 1);
    has_port = !port.empty();
    if (has_port && port.front() != ':')
      return "a port comes after ':'";
    port.remove_prefix(has_port ? 1 : 0);
  } else if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
    has_port = true;
  }
  into.port = default_port;
  if (has_port) {
    if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit))
      return "the port is not a number of 1 to 65535";
    const auto value = std::stoul(std::string{port});
    if (value == 0 || value > 65535)
      return "the port is not a number of 1 to 65535";
    into.port = static_cast<std::uint16_t>(value);
  }
  if (!host.empty() && host.back() == '.')
    host.remove_suffix(1);
  if (host.empty())
    return "the host is missing";
  if (host.find('%') != std::string_view::npos)
    return "the host has a '%' in it; neither escapes nor zone ids are allowed there";
  into.host = lowered(host);
  // A name ending in a number is an address to some resolvers, so it must be a proper one.
  const auto last = into.host.substr(into.host.rfind('.') + 1);
  const auto numeric = !last.empty() && (std::all_of(last.begin(), last.end(), is_digit) || last.substr(0, 2) == "0x");
  if (into.host.front() == '[' || numeric || into.host == "localhost" || ends_with(into.host, ".localhost")) {
    const auto is_local_name = ends_with(into.host, "localhost");
    const auto address = is_local_name ? parse_literal_address("127.0.0.1") : parse_literal_address(into.host);
    if (!address)
      return "the host is neither a name nor an address";
    if (auto refused = rules.addresses.refuse(*address, into.port))
      return *refused;
    if (!is_local_name)
      into.host = address->is_v4() ? address->text() : fmt::format("[{}]", address->text());
    return {};
  }
  if (!valid_host_name(into.host))
    return "the host is neither a name nor an address";
  return {};
}

bool is_token_char(char c) noexcept {
  return is_alpha(c) || is_digit(c) || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

// Those that frame a message, name its target or belong to this program.
bool is_forbidden_header(std::string_view name) {
  static constexpr std::string_view names[] = {
      "host",    "content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive", "te", "trailer",
      "upgrade", "expect",         "http2-settings",    "content-range",    "range"};
  const auto text = lowered(name);
  return std::find(std::begin(names), std::end(names), text) != std::end(names) || text.substr(0, 6) == "proxy-"
         || text.substr(0, 7) == "x-weir-";
}

std::string add_header(std::string_view raw_name, std::string_view raw_value, destination& into) {
  std::string name;
  std::string value;
  if (!percent_decoded(raw_name, true, name) || name.empty() || name.size() > 128
      || !std::all_of(name.begin(), name.end(), is_token_char))
    return "a header_ parameter does not name a header (letters, digits and '-', at most 128)";
  if (is_forbidden_header(name))
    return fmt::format("header_{}: this header may not be set", name);
  if (!percent_decoded(raw_value, true, value))
    return fmt::format("header_{}: the value has a broken %XX escape", name);
  if (value.empty() || value.size() > max_header_value_bytes)
    return fmt::format("header_{}: the value has {} bytes; 1 to {} are allowed", name, value.size(),
                       max_header_value_bytes);
  if (!std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; }))
    return fmt::format("header_{}: the value has a character beyond printable ASCII, such as CR, LF or NUL", name);
  if (value.front() == ' ' || value.back() == ' ')
    return fmt::format("header_{}: the value begins or ends with a space", name);
  const auto key = lowered(name);
  for (const auto& [other, _] : into.headers)
    if (lowered(other) == key)
      return fmt::format("header_{} is there twice", name);
  if (into.headers.size() == max_destination_headers)
    return fmt::format("more than {} header_ parameters", max_destination_headers);
  into.headers.emplace_back(std::move(name), secret{std::move(value)});
  return {};
}

// Takes `header_*` out; everything else stays as it is written.
std::string parse_query(std::string_view query, destination& into) {
  std::string kept;
  std::string decoded;
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto parameter = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const auto equals = parameter.find('=');
    const auto name = parameter.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view{} : parameter.substr(equals + 1);
    if (name.substr(0, header_prefix.size()) == header_prefix) {
      if (auto error = add_header(name.substr(header_prefix.size()), value, into); !error.empty())
        return error;
      continue;
    }
    if (!percent_decoded(parameter, true, decoded)
        || std::any_of(decoded.begin(), decoded.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      return "a parameter has a broken %XX escape or an escaped control character";
    if (!kept.empty())
      kept += '&';
    kept += parameter;
  }
  into.query = secret{std::move(kept)};
  return {};
}

std::string parse_web(std::string_view rest, std::string_view scheme, std::uint16_t default_port,
                      const destination_rules& rules, destination& into) {
  if (rest.find('#') != std::string_view::npos)
    return "a '#' must be written as %23";
  const auto question = rest.find('?');
  const auto before = rest.substr(0, question);
  const auto slash = before.find('/');
  const auto authority = before.substr(0, slash);
  if (authority.empty())
    return fmt::format("the host is missing, as in {}://logs.example.com/push", scheme);
  if (auto error = parse_authority(authority, default_port, rules, into); !error.empty())
    return error;
  into.path = slash == std::string_view::npos ? "/" : std::string{before.substr(slash)};
  std::string decoded;
  if (!percent_decoded(into.path, false, decoded))
    return "the path has a broken %XX escape";
  if (auto error = path_error(decoded); !error.empty())
    return error;
  if (question != std::string_view::npos)
    if (auto error = parse_query(rest.substr(question + 1), into); !error.empty())
      return error;
  into.fingerprint = fingerprint_of(scheme, into.host, into.port, into.path);
  return {};
}

std::string parse_https(std::string_view rest, const destination_rules& rules, destination& into) {
  into.kind = destination_kind::https;
  return parse_web(rest, "https", 443, rules, into);
}

std::string parse_http(std::string_view rest, const destination_rules& rules, destination& into) {
  into.kind = destination_kind::http;
  if (!rules.allow_insecure_http)
    return "http:// sends logs in the clear; use https://, or set destinations.allow_insecure_http = true";
  return parse_web(rest, "http", 80, rules, into);
}

std::string parsed_by(const destination_type& type, std::string_view text, const destination_rules& rules,
                      destination& into) {
  if (!type.parse)
    return fmt::format("destinations of the form {} are not supported by this version", type.form);
  return type.parse(text.substr(type.scheme.size() + 3), rules, into);
}

} // namespace

const std::vector<destination_type>& destination_types() {
  static const std::vector<destination_type> types{
      {"file", "file:///DIRECTORY", parse_file},
      {"https", "https://HOST[:PORT]/PATH?header_NAME=VALUE", parse_https},
      {"http", "http://HOST[:PORT]/PATH?header_NAME=VALUE", parse_http},
      {"s3", "s3://BUCKET/PATH?region=REGION", nullptr},
      {"r2", "r2://BUCKET/PATH?account-id=ID", nullptr},
      {"gs", "gs://BUCKET/PATH", nullptr},
      {"azure", "azure://HOST/CONTAINER/PATH", nullptr},
      {"sumo", "sumo://HOST/PATH", nullptr},
      {"splunk", "splunk://HOST:PORT/services/collector/raw", nullptr},
      {"datadog", "datadog://HOST/PATH", nullptr},
      {"bq", "bq://projects/P/datasets/D/tables/T", nullptr},
  };
  return types;
}

parsed_destination parse_destination(std::string_view text, const destination_rules& rules) {
  constexpr std::size_t most = 4096; // of the job API
  if (text.empty())
    return {std::nullopt, "is empty; an example is file:///var/log/push or https://logs.example.com/push"};
  if (text.size() > most)
    return {std::nullopt, fmt::format("has {} bytes; at most {} are allowed", text.size(), most)};
  // Before anything else, so that no part has to think of it: no byte that could end a line or a header.
  const auto odd = std::find_if(text.begin(), text.end(), [](char c) { return c <= 0x20 || c >= 0x7f; });
  if (odd != text.end())
    return {std::nullopt, fmt::format("has a space, control or non-ASCII character at byte {}; write it as %XX",
                                      odd - text.begin() + 1)};
  const auto scheme_end = text.find("://");
  const auto scheme = scheme_end == std::string_view::npos ? std::string_view{} : text.substr(0, scheme_end);
  for (const auto& type : destination_types()) {
    if (type.scheme != scheme)
      continue;
    if (rules.files_only && scheme != "file")
      return {std::nullopt, "is not a file; a scratch node pushes to files in its own directory only"};
    parsed_destination result;
    result.value.emplace();
    result.error = parsed_by(type, text, rules, *result.value);
    if (!result.error.empty())
      result.value.reset();
    return result;
  }
  return {std::nullopt, "does not begin with a known scheme, such as file:// or https:// in lower case"};
}

std::string redacted_destination(std::string_view text) {
  std::string result;
  const auto question = text.find('?');
  auto before = text.substr(0, question);
  // Nothing before an '@' is shown: it would be a user and a password, though such a text is refused.
  if (const auto at = before.rfind('@'); at != std::string_view::npos) {
    const auto scheme_end = before.find("://");
    result += scheme_end == std::string_view::npos ? std::string_view{} : before.substr(0, scheme_end + 3);
    result += "***";
    before.remove_prefix(at);
  }
  result += before;
  char separator = '?';
  for (auto query = question == std::string_view::npos ? std::string_view{} : text.substr(question + 1);
       !query.empty();) {
    const auto end = query.find('&');
    const auto parameter = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    result += separator;
    separator = '&';
    // A parameter without '=' may be a key itself.
    if (const auto equals = parameter.find('='); equals != std::string_view::npos)
      result += fmt::format("{}=", parameter.substr(0, equals));
    result += "***";
  }
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return result;
}

std::string with_date(std::string_view path, std::string_view date) {
  constexpr std::string_view mark = "{DATE}";
  std::string result;
  for (auto at = path.find(mark); at != std::string_view::npos; at = path.find(mark)) {
    result += path.substr(0, at);
    result += date;
    path.remove_prefix(at + mark.size());
  }
  result += path;
  return result;
}

secret upload_url(const destination& to, std::string_view object_name, std::string_view date) {
  const auto path = with_date(to.path, date);
  if (to.kind == destination_kind::file)
    return secret{fmt::format("file://{}/{}", path, object_name)};
  const auto tls = to.kind == destination_kind::https;
  std::string url = fmt::format("{}://{}", tls ? "https" : "http", to.host);
  if (to.port != (tls ? 443 : 80))
    url += fmt::format(":{}", to.port);
  url += path;
  if (!to.query.empty())
    url += "?" + to.query.reveal();
  return secret{std::move(url)};
}

} // namespace weir
