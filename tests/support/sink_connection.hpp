#pragma once

#include <memory>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "tests/support/sink_server.hpp"

namespace weir {

/// One connection of a sink, on its thread: requests one behind the other until somebody has enough.
class sink_connection {
 public:
  sink_connection(sink_server& owner, sink_server::connection& peer) : owner_(owner), peer_(peer) {}
  void run();

 private:
  enum class body_end { whole, broken, reset };

  bool shake_hands();
  /// Whether the connection may go on.
  bool serve_request();
  bool fill();
  bool send(const std::string& bytes);
  std::optional<std::string> read_line();
  std::optional<sink_request> read_head();
  body_end read_body(sink_request& request, const sink_behaviour& how);
  body_end take(std::uint64_t bytes, sink_request& request, const sink_behaviour& how);
  void be_silent();
  bool answer(const sink_request& request, const sink_behaviour& how);

  sink_server& owner_;
  sink_server::connection& peer_;
  std::unique_ptr<SSL, void (*)(SSL*)> tls_{nullptr, SSL_free};
  std::string unread_;
  std::size_t read_ = 0; ///< Of `unread_`.
};

} // namespace weir
