#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "telemetry/metrics.hpp"

namespace weir {

/// Why a request, or a whole connection, was not served.
enum class http_trouble : std::uint8_t {
  bad_head,             ///< Not a request head of HTTP/1.1 in its strict form.
  bad_framing,          ///< Ambiguous length: two lengths, `Transfer-Encoding` other than `chunked`, bad chunk.
  head_too_large,       ///< Head bytes, number of fields or length of the target.
  tls_on_plain_port,    ///< A TLS hello on the port without TLS.
  tls_handshake,        ///< The TLS handshake failed, or plain text came.
  unauthorized,         ///< No token, or an unknown one.
  scope_forbidden,      ///< The token may not send for the named scope.
  not_found,            ///< Unknown path or dataset.
  bad_request,          ///< Method, query, key or expectation.
  unsupported_encoding, ///< `Content-Encoding` other than identity, gzip, zstd.
  body_too_large,       ///< Beyond the limit, on the wire or decoded.
  compression_ratio,    ///< Expands beyond the allowed ratio.
  bad_encoding,         ///< Truncated or damaged gzip or zstd, or bytes behind it.
  rate,                 ///< A rate of the token.
  refused,              ///< The node takes no more now.
  draining,             ///< The node is shutting down.
  head_deadline,        ///< The head did not come in time.
  body_deadline,        ///< The body came slower than the minimum rate.
  write_deadline,       ///< The client did not read its answer in time.
  idle_deadline,        ///< A kept connection sent no further request. Normal.
  answer_deadline,      ///< The node did not answer in time: outcome unknown.
  client_gone,          ///< The connection broke before the answer was written.
  connection_limit,     ///< Connections in all.
  address_limit,        ///< Connections of one address.
  token_limit,          ///< Connections of one token.
  accept_failed,        ///< The system gave no connection (out of file handles).
};
constexpr std::size_t http_trouble_count = 26;

std::string_view name_of(http_trouble reason) noexcept;

/// Of one HTTP listener. Bumped once per request, body or connection.
struct http_metrics {
  metrics_by<prometheus::Counter, http_trouble, http_trouble_count> trouble;
  prometheus::Counter& requests;
  prometheus::Counter& answers_2xx;
  prometheus::Counter& answers_4xx;
  prometheus::Counter& answers_5xx;
  prometheus::Counter& wire_bytes;
  prometheus::Counter& body_bytes;
  prometheus::Counter& connections_opened;
  prometheus::Gauge& connections;
  prometheus::Gauge& requests_under_way;
  prometheus::Histogram& answer_seconds;

  /// `prefix` begins each name: `weir_ingest` or `weir_control`.
  http_metrics(prometheus::Registry& registry, const std::string& prefix);
};

/// Of the HTTP source.
struct ingest_metrics : http_metrics {
  explicit ingest_metrics(prometheus::Registry& registry) : http_metrics(registry, "weir_ingest") {}
};

/// Of the control listener.
struct control_metrics : http_metrics {
  explicit control_metrics(prometheus::Registry& registry) : http_metrics(registry, "weir_control") {}
};

} // namespace weir
