#include "actors/sources/http_source.hpp"

#include <exception>
#include <utility>

#include "actors/http/listener.hpp"
#include "actors/sources/ingest_connection.hpp"

namespace weir {

namespace {

class listening_http_source : public http_source {
 public:
  explicit listening_http_source(std::shared_ptr<ingest_service> service) : service_(std::move(service)) {}

  caf::error open(const http::listener_settings& settings, std::shared_ptr<clock_source> clock, http_metrics& metrics) {
    auto opened = http::listener::open(settings, std::move(clock), metrics,
                                       [service = service_](http::listener::accepted accepted) {
                                         return make_ingest_connection(std::move(accepted), service);
                                       });
    if (!opened)
      return std::move(opened.error());
    listener_ = std::move(*opened);
    return caf::none;
  }

  std::uint16_t port() const override { return listener_->port(); }
  void begin_drain() override { listener_->begin_drain(); }
  bool stop(std::chrono::milliseconds within) override { return listener_->stop(within); }
  caf::error reload_tls(const http::tls_settings& settings) override { return listener_->reload_tls(settings); }
  void reload_rates(rate_limits standard, std::map<std::string, rate_limits> named) override {
    service_->rates.reset(standard, std::move(named));
  }

 private:
  std::shared_ptr<ingest_service> service_;
  std::unique_ptr<http::listener> listener_;
};

} // namespace

caf::expected<std::unique_ptr<http_source>> http_source::open(http_source_settings settings,
                                                              std::shared_ptr<ingest_gate> gate,
                                                              std::shared_ptr<clock_source> clock,
                                                              ingest_metrics& metrics) {
  const body_limits limits{settings.max_body_bytes, settings.max_ratio, settings.ratio_free_bytes, settings.step_bytes,
                           settings.max_zstd_window};
  auto service = std::make_shared<ingest_service>(std::move(gate), limits, settings.connections_per_token,
                                                  settings.rates, settings.token_rates, clock);
  auto source = std::make_unique<listening_http_source>(std::move(service));
  if (auto err = source->open(settings.listener, std::move(clock), metrics))
    return err;
  return std::unique_ptr<http_source>{std::move(source)};
}

} // namespace weir
