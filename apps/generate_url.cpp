#include "apps/generate_url.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace weir::generate {

bool ingest_url::is_loopback() const noexcept {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

ingest_url parse_ingest_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return std::invalid_argument(
        fmt::format("'{}': {}; expected http://HOST:PORT/v1/ingest/DATASET or https", text.substr(0, 200), why));
  };
  ingest_url url;
  auto rest = text;
  if (rest.rfind("http://", 0) == 0) {
    rest.remove_prefix(7);
  } else if (rest.rfind("https://", 0) == 0) {
    url.tls = true;
    rest.remove_prefix(8);
  } else {
    throw bad("neither http:// nor https://");
  }
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    throw bad("a blank or control character");
  const auto slash = rest.find('/');
  const auto authority = rest.substr(0, slash);
  url.target = slash == rest.npos ? "/" : std::string{rest.substr(slash)};
  url.authority = authority;
  if (authority.find('@') != authority.npos)
    throw std::invalid_argument(
        "a URL must not hold a user or password; the token comes from WEIR_TOKEN or --token-file");
  std::string_view port;
  if (!authority.empty() && authority.front() == '[') {
    const auto end = authority.find(']');
    if (end == authority.npos)
      throw bad("an IPv6 address without its ]");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == authority.npos ? std::string_view{} : authority.substr(colon);
  }
  if (url.host.empty())
    throw bad("no host");
  if (port.empty()) {
    url.port = url.tls ? "443" : "80";
    return url;
  }
  url.port = port.substr(1);
  const bool digits = std::all_of(url.port.begin(), url.port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (port.front() != ':' || url.port.empty() || url.port.size() > 5 || !digits || std::stoi(url.port) > 65'535)
    throw bad("a port that is none");
  return url;
}

} // namespace weir::generate
