#pragma once

#include <string>
#include <string_view>

namespace weir::generate {

/// Where bodies are posted to.
struct ingest_url {
  bool tls = false;
  std::string host;      ///< Without the brackets of an IPv6 address.
  std::string port;      ///< A number.
  std::string authority; ///< For the `Host` header.
  std::string target;    ///< Path and query.

  /// Whether the bytes stay on this machine, judged by the name alone.
  bool is_loopback() const noexcept;
};

/// Throws `std::invalid_argument`, with what would be right, for anything but
/// `http[s]://HOST[:PORT]/PATH[?QUERY]`; also for one with a user or password in it.
ingest_url parse_ingest_url(std::string_view text);

} // namespace weir::generate
