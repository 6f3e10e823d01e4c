#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <caf/expected.hpp>

#include "actors/http/listener_settings.hpp"
#include "actors/sources/ingest.hpp"
#include "actors/sources/rate_limit.hpp"
#include "messages/environment.hpp"
#include "telemetry/http_metrics.hpp"

namespace weir {

struct http_source_settings {
  http::listener_settings listener;          ///< Port 9400 is for the node's config to say.
  std::uint64_t max_body_bytes = 16u << 20;  ///< On the wire, and decoded.
  std::uint64_t max_ratio = 100;             ///< Decoded bytes per wire byte …
  std::uint64_t ratio_free_bytes = 1u << 20; ///< … counted once a body is larger than this.
  std::uint64_t step_bytes = 1u << 20;       ///< Memory reserved at a time when the size is not known.
  std::uint64_t max_zstd_window = 8u << 20;  ///< RFC 8878 recommends that decoders support 8 MiB.
  std::size_t connections_per_token = 256;
  rate_limits rates; ///< Of tokens that `token_rates` does not name.
  std::map<std::string, rate_limits> token_rates;
};

/// The HTTP source: `POST /v1/ingest/{dataset}` with NDJSON bodies, on threads of its own.
///
/// It authenticates, bounds sizes, rates and time, reserves memory before it reads, decodes gzip and zstd in
/// steps, and hands each whole body to the gate. Answers go out in the order of the requests. What a body
/// means is behind the gate. docs/ingest.md describes the protocol.
class http_source {
 public:
  /// Listens at once. Errors: refused, with a sentence (address in use, bad certificate).
  static caf::expected<std::unique_ptr<http_source>> open(http_source_settings settings,
                                                          std::shared_ptr<ingest_gate> gate,
                                                          std::shared_ptr<clock_source> clock, ingest_metrics& metrics);
  virtual ~http_source() = default;

  virtual std::uint16_t port() const = 0;

  /// Takes no new connection; new requests on old ones get 503 with `Retry-After`. Returns at once.
  virtual void begin_drain() = 0;

  /// `begin_drain`, then waits until every request has its answer, at most `within`; closes all connections
  /// and joins the threads. True if nothing was cut off. A second call from another thread with a shorter time
  /// hurries the first. The destructor is `stop(0)`.
  virtual bool stop(std::chrono::milliseconds within) = 0;

  /// For connections opened from now on. Errors: refused; then the old certificate stays.
  virtual caf::error reload_tls(const http::tls_settings& settings) = 0;
  virtual void reload_rates(rate_limits standard, std::map<std::string, rate_limits> named) = 0;
};

} // namespace weir
