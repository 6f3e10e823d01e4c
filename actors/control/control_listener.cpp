#include "actors/control/control_listener.hpp"

#include <utility>

#include "actors/control/control_connection.hpp"
#include "actors/http/listener.hpp"

namespace weir {

namespace {

using namespace std::chrono_literals;

class listening_control : public control_listener {
 public:
  caf::error open(const http::listener_settings& settings, std::shared_ptr<control_service> service,
                  std::shared_ptr<clock_source> clock, http_metrics& metrics) {
    auto opened = http::listener::open(
        settings, std::move(clock), metrics,
        [service](http::listener::accepted accepted) { return make_control_connection(std::move(accepted), service); });
    if (!opened)
      return std::move(opened.error());
    listener_ = std::move(*opened);
    return caf::none;
  }

  std::uint16_t port() const override { return listener_->port(); }
  void begin_drain() override { listener_->begin_drain(); }
  bool stop(std::chrono::milliseconds within) override { return listener_->stop(within); }
  caf::error reload_tls(const http::tls_settings& settings) override { return listener_->reload_tls(settings); }

 private:
  std::unique_ptr<http::listener> listener_;
};

http::answer plain_text(int status, std::string body) {
  http::answer result;
  result.status = status;
  result.content_type = "text/plain; charset=utf-8";
  result.body = std::move(body);
  return result;
}

http::answer ready_answer(const std::vector<std::string>& reasons, const std::string& warning) {
  http::answer result;
  result.status = reasons.empty() ? 200 : 503;
  result.retry_after_seconds = reasons.empty() ? 0 : 1;
  result.body = reasons.empty() ? R"({"ready":true,"reasons":[)" : R"({"ready":false,"reasons":[)";
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (i > 0)
      result.body += ',';
    http::append_json_string(result.body, reasons[i]);
  }
  result.body += ']';
  if (!warning.empty()) {
    result.body += R"(,"warning":)";
    http::append_json_string(result.body, warning);
  }
  result.body += "}\n";
  return result;
}

} // namespace

control_listener_settings::control_listener_settings() {
  listener.name = "control";
  listener.threads = 1;
  listener.connections = 64;
  listener.connections_per_address = 32;
  listener.connection.answer_within = 10s;
}

caf::expected<std::unique_ptr<control_listener>> control_listener::open(control_listener_settings settings,
                                                                        control_router router,
                                                                        control_authenticator authenticate,
                                                                        std::shared_ptr<clock_source> clock,
                                                                        control_metrics& metrics) {
  auto service = std::make_shared<control_service>();
  service->router = std::move(router);
  service->authenticate = std::move(authenticate);
  service->max_body_bytes = settings.max_body_bytes;
  service->on_loopback = http::is_loopback(settings.listener.address);
  auto result = std::make_unique<listening_control>();
  if (auto err = result->open(settings.listener, std::move(service), std::move(clock), metrics))
    return err;
  return std::unique_ptr<control_listener>{std::move(result)};
}

void add_standard_routes(control_router& router, readiness_probe probe, metrics_registry& metrics,
                         std::string warning) {
  router.answer("GET", "/healthz", control_right::none, [](const control_request&) { return plain_text(200, "ok\n"); });
  router.answer("GET", "/readyz", control_right::none,
                [probe = std::move(probe), warning = std::move(warning)](const control_request&) {
                  return ready_answer(probe(), warning);
                });
  router.answer("GET", "/metrics", control_right::loopback, [&metrics](const control_request&) {
    auto result = plain_text(200, metrics.text());
    result.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return result;
  });
}

} // namespace weir
