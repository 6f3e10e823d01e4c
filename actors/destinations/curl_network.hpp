#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "actors/destinations/network_counters.hpp"
#include "config/address.hpp"
#include "messages/environment.hpp"

namespace weir {

struct http_settings {
  /// Which addresses may be connected to; asked with the very address of each connect, so a name
  /// that resolves to something else than yesterday is no way round it.
  address_policy addresses;
  /// PEM file of certificate authorities instead of the system's; empty: the system's.
  std::string authorities_file;
  std::chrono::milliseconds connect_timeout{10'000}; ///< Name, TCP and TLS together.
  std::uint32_t connections_per_host = 64;           ///< Customers of one vendor share its host name.
  std::uint32_t connections = 256;                   ///< In all, idle ones included; beyond, uploads wait.
  std::chrono::hours retry_after_cap{24};            ///< Longer pauses are cut to this; the scheduler cuts further.
};

/// Uploads over HTTP/1.1: one loop on one thread for all of them, on libcurl's multi interface.
///
/// A push is a POST whose body is the object, with `Content-Encoding: gzip`, `Content-Type:
/// application/x-ndjson` (a header of the order replaces that) and `X-Weir-Batch`. The length is
/// announced if it is known, else the body is chunked. The first window is asked for when the
/// connection stands, so a destination that is down holds no memory; no more than one window is
/// held at a time (two for an instant), and the first one until the second comes, so that a
/// request that met a connection closed while idle can be repeated on a new one.
///
/// HTTP/1.1 only: with HTTP/2 one stalled stream can stop its siblings by flow control, and pausing
/// an upload stops reading from the shared connection.
///
/// Never: redirects, proxies from the environment, cookies, .netrc, TLS below 1.2, unverified
/// certificates, more than 4 KiB of an answer in memory.
///
/// | what happened                                   | result                                  |
/// |-------------------------------------------------|-----------------------------------------|
/// | 2xx after the whole body was taken              | stored                                  |
/// | 2xx before that                                 | failed                                  |
/// | 408, 429, 5xx                                   | failed, with `Retry-After` if it was said |
/// | 3xx and other 4xx                               | refused                                 |
/// | address or request not allowed                  | refused, status 0                       |
/// | timeout, broken connection, bad certificate     | failed, status 0                        |
///
/// 409 and 412 are `refused` as well; a destination with conditional puts turns them into `exists`.
///
/// `stall_timeout` counts while the destination could move and does not; not while this side has
/// no window for it. `whole_timeout` counts always.
///
/// Threads: calls may come from any thread, block for no longer than a short lock, and may be made
/// from within a listener. Listeners are called on the loop's thread.
std::shared_ptr<network> make_curl_network(http_settings settings, std::shared_ptr<network_counters> counters);

} // namespace weir
