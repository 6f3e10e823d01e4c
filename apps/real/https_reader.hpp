#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "actors/source_reader.hpp"

namespace weir {

struct https_reader_settings {
  std::string url;              ///< `https://…`; nothing else is spoken.
  std::string authorities_file; ///< PEM of who may vouch for the server in place of the system's; empty: the system's.
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds whole_timeout{60'000}; ///< Of one look.
  /// Slower than `slow_bytes_per_second` for so long ends a look.
  std::chrono::seconds slow_for{10};
  long slow_bytes_per_second = 1'024;
};

/// Gets a document over HTTPS, with `If-None-Match` once it has an ETag. Never: redirects, proxies from the
/// environment, cookies, .netrc, TLS below 1.2, unverified certificates, compressed answers. Only 200 is a document and
/// only 304 is unchanged; an answer that announces or sends more bytes than it may is cut off.
///
/// `stop` ends a look under way within a second, and all later ones at once; from any thread.
class https_reader final : public source_reader {
 public:
  explicit https_reader(https_reader_settings how);
  ~https_reader() override;

  source_look look(const std::string& seen, std::uint64_t most_bytes) override;
  void stop();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace weir
