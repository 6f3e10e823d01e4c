#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "actors/http/head.hpp"
#include "actors/http/tls.hpp"

namespace weir::http {

/// Limits and deadlines of each connection. They are always on; sources are design section 7 and the fault
/// catalogue's cases of slow and hostile clients.
struct connection_settings {
  head_limits head;
  std::size_t pipelined = 4; ///< Requests of one connection without an answer; beyond that reading stops.
  /// The body of a request that is refused for now is read and thrown away up to this size, so that the connection can
  /// be kept; beyond it the connection is closed. 16 MiB is the largest body, so an overloaded node keeps connections.
  std::uint64_t discard_bytes = 16u << 20;
  /// The same for requests that will be refused again, so that a stranger's body costs little.
  std::uint64_t discard_bytes_of_faults = 64u << 10;
  std::chrono::milliseconds handshake_within{10'000};
  std::chrono::milliseconds head_within{10'000};   ///< From the first byte of a head to its last.
  std::chrono::milliseconds body_within{300'000};  ///< From a head's end to its body's: 16 MiB at 56 KiB/s.
  std::chrono::milliseconds idle_within{75'000};   ///< Between requests; above the usual 60 s of proxies.
  std::chrono::milliseconds write_within{15'000};  ///< For the client to take an answer.
  std::chrono::milliseconds linger_within{2'000};  ///< For the client to read the last answer and close.
  std::chrono::milliseconds answer_within{60'000}; ///< For the node; then 503, outcome unknown.
  /// In each `rate_window` a body must bring `body_rate` bytes a second or end. 4 KiB/s is half of what a
  /// 64 kbit/s link carries; a burst at the start earns nothing for later.
  std::chrono::milliseconds rate_window{10'000};
  std::uint64_t body_rate = 4u << 10;
};

struct listener_settings {
  std::string name = "http";         ///< In thread names and log lines; at most 10 characters.
  std::string address = "127.0.0.1"; ///< IPv4 or IPv6; only loopback does without TLS and tokens' safety.
  std::uint16_t port = 0;            ///< 0 = any free one; `port()` tells which.
  std::size_t threads = 2;
  int backlog = 1'024;
  std::size_t connections = 512;              ///< In all; further ones get 503 and are closed.
  std::size_t connections_per_address = 128;  ///< Of one IPv4 address or IPv6 /64.
  std::chrono::milliseconds sweep_every{100}; ///< How exactly deadlines are kept.
  connection_settings connection;
  std::optional<tls_settings> tls;
};

} // namespace weir::http
