#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <caf/expected.hpp>

#include "actors/control/router.hpp"
#include "actors/http/listener_settings.hpp"
#include "messages/environment.hpp"
#include "telemetry/http_metrics.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

struct control_listener_settings {
  control_listener_settings();
  http::listener_settings listener; ///< One thread, 64 connections, 32 of one address, answers within 10 s.
  std::size_t max_body_bytes = 1u << 20;
};

/// Resolves a bearer token, or null for an unknown one. Called on the listener's threads.
using control_authenticator = std::function<std::shared_ptr<const control_caller>(std::string_view bearer_token)>;

/// The node's control endpoint. Its threads, connections and limits are its own, so that it answers while the
/// data path is flooded; it shares nothing with that path but what handlers read.
///
/// `/healthz`, `/readyz` are open; `/metrics` is open on loopback and needs the right `read` elsewhere; whatever
/// lies under `/v1/` needs a token with the right its route names. HEAD is answered like GET, without the body.
class control_listener {
 public:
  static caf::expected<std::unique_ptr<control_listener>> open(control_listener_settings settings,
                                                               control_router router,
                                                               control_authenticator authenticate,
                                                               std::shared_ptr<clock_source> clock,
                                                               control_metrics& metrics);
  virtual ~control_listener() = default;

  virtual std::uint16_t port() const = 0;
  /// Like `http_source::begin_drain` and `http_source::stop`.
  virtual void begin_drain() = 0;
  virtual bool stop(std::chrono::milliseconds within) = 0;
  virtual caf::error reload_tls(const http::tls_settings& settings) = 0;
};

/// Why the node does not want traffic now, one short name each; empty: it is ready.
using readiness_probe = std::function<std::vector<std::string>()>;

/// `/healthz` (200 while the process lives), `/readyz` (200, or 503 with the reasons), `/metrics`. `/readyz` shows
/// `warning` if there is one.
void add_standard_routes(control_router& router, readiness_probe probe, metrics_registry& metrics,
                         std::string warning = {});

} // namespace weir
