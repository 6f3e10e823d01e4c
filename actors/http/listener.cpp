#include "actors/http/listener.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "messages/error.hpp"
#include "telemetry/log.hpp"

namespace weir::http {

namespace {

using namespace std::chrono_literals;

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host usually has.
std::string address_key(const asio::ip::address& peer) {
  if (peer.is_v4())
    return peer.to_string();
  const auto v6 = peer.to_v6();
  if (v6.is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_string();
  const auto bytes = v6.to_bytes();
  return {bytes.begin(), bytes.begin() + 8};
}

} // namespace

bool is_loopback(const std::string& address) {
  error_code ec;
  const auto parsed = asio::ip::make_address(address, ec);
  return !ec && parsed.is_loopback();
}

listener::listener(const listener_settings& settings, std::shared_ptr<clock_source> clock, http_metrics& metrics,
                   connection_factory make)
    : settings_(settings),
      state_(std::make_shared<listener_state>(settings.connection, metrics)),
      census_(std::make_shared<census>()),
      make_(std::move(make)) {
  const auto threads = std::max<std::size_t>(settings_.threads, 1);
  for (std::size_t i = 0; i < threads; ++i)
    threads_.push_back(
        std::make_shared<io_thread>(fmt::format("{}-{}", settings_.name, i), clock, settings_.sweep_every));
  census_->by_thread.resize(threads);
  state_->on_quiet = [this] {
    std::lock_guard lock{stop_mutex_};
    quiet_.notify_all();
  };
}

listener::~listener() {
  stop(0ms);
}

caf::expected<std::unique_ptr<listener>> listener::open(const listener_settings& settings,
                                                        std::shared_ptr<clock_source> clock, http_metrics& metrics,
                                                        connection_factory make) {
  std::unique_ptr<listener> result{new listener{settings, std::move(clock), metrics, std::move(make)}};
  if (settings.tls) {
    auto tls = make_tls(*settings.tls);
    if (!tls)
      return std::move(tls.error());
    result->tls_ = std::move(*tls);
  }
  if (auto err = result->bind())
    return err;
  for (const auto& thread : result->threads_)
    thread->start();
  asio::post(result->threads_[0]->loop(), [self = result.get()] { self->accept(); });
  return result;
}

caf::error listener::bind() {
  error_code ec;
  const auto address = asio::ip::make_address(settings_.address, ec);
  if (ec)
    return make_error(errc::refused, fmt::format("'{}' is no IP address to listen on", settings_.address));
  const tcp::endpoint endpoint{address, settings_.port};
  acceptor_ = std::make_unique<tcp::acceptor>(threads_[0]->loop());
  try_again_ = std::make_unique<asio::steady_timer>(threads_[0]->loop());
  acceptor_->open(endpoint.protocol(), ec);
  if (!ec)
    acceptor_->set_option(tcp::acceptor::reuse_address{true}, ec);
  if (!ec)
    acceptor_->bind(endpoint, ec);
  if (!ec)
    acceptor_->listen(settings_.backlog, ec);
  if (ec)
    return make_error(errc::refused,
                      fmt::format("cannot listen on {} port {}: {}", settings_.address, settings_.port, ec.message()));
  port_ = acceptor_->local_endpoint(ec).port();
  return caf::none;
}

void listener::accept() {
  if (state_->draining)
    return;
  const auto thread = calmest_thread();
  acceptor_->async_accept(threads_[thread]->loop(), [this, thread](error_code ec, tcp::socket socket) {
    on_accept(ec, std::move(socket), thread);
  });
}

void listener::on_accept(error_code ec, tcp::socket socket, std::size_t thread) {
  if (state_->draining || ec == asio::error::operation_aborted)
    return;
  if (ec) {
    state_->metrics.trouble[http_trouble::accept_failed].Increment();
    log::warn("http-accept-failed", "{} cannot take a connection: {}", settings_.name, ec.message());
    // Out of file handles, above all: trying at once again would only spin.
    try_again_->expires_after(100ms);
    try_again_->async_wait([this](error_code cancelled) {
      if (!cancelled)
        accept();
    });
    return;
  }
  accept(); // the next one, whatever becomes of this one
  const auto peer = socket.remote_endpoint(ec).address();
  http_trouble reason{};
  if (ec)
    state_->metrics.trouble[http_trouble::client_gone].Increment();
  else if (auto lease = admit(peer, thread, reason))
    hand_over(std::move(socket), thread, std::move(lease));
  else
    turn_away(socket, reason);
}

void listener::hand_over(tcp::socket socket, std::size_t thread, std::shared_ptr<void> lease) {
  std::shared_ptr<asio::ssl::context> tls;
  {
    std::lock_guard lock{tls_mutex_};
    tls = tls_;
  }
  // The handler lives in the thread's own loop, so it must not keep the thread alive.
  auto* target = threads_[thread].get();
  auto added = make_({threads_[thread], std::move(socket), std::move(tls), state_, std::move(lease)});
  asio::post(target->loop(), [target, added = std::move(added)]() mutable { target->adopt(std::move(added)); });
}

std::size_t listener::calmest_thread() const {
  std::lock_guard lock{census_->mutex};
  const auto& loads = census_->by_thread;
  return static_cast<std::size_t>(std::min_element(loads.begin(), loads.end()) - loads.begin());
}

std::shared_ptr<void> listener::admit(const asio::ip::address& peer, std::size_t thread, http_trouble& reason) {
  auto key = address_key(peer);
  std::lock_guard lock{census_->mutex};
  if (census_->total >= settings_.connections) {
    reason = http_trouble::connection_limit;
    return nullptr;
  }
  auto& of_address = census_->by_address[key];
  if (of_address >= settings_.connections_per_address) {
    reason = http_trouble::address_limit;
    return nullptr;
  }
  ++of_address;
  ++census_->total;
  ++census_->by_thread[thread];
  // Only the destructor matters: it takes the connection out of the census.
  return {static_cast<void*>(census_.get()), [kept = census_, key = std::move(key), thread](void*) {
            std::lock_guard inner{kept->mutex};
            --kept->total;
            --kept->by_thread[thread];
            const auto position = kept->by_address.find(key);
            if (--position->second == 0)
              kept->by_address.erase(position);
          }};
}

/// One attempt to say why, without waiting for anything; a client that sent a request before may miss it.
void listener::turn_away(tcp::socket& socket, http_trouble reason) {
  state_->metrics.trouble[reason].Increment();
  error_code ec;
  if (!settings_.tls) {
    answer busy = error_answer({503, reason, name_of(reason), "too many connections; use fewer, and keep them open"});
    busy.retry_after_seconds = 1;
    socket.non_blocking(true, ec);
    socket.write_some(asio::buffer(render(busy, true)), ec);
    socket.shutdown(tcp::socket::shutdown_send, ec);
  }
  socket.close(ec);
}

void listener::begin_drain() {
  if (state_->draining.exchange(true))
    return;
  asio::post(threads_[0]->loop(), [this] {
    error_code ec;
    acceptor_->close(ec);
    try_again_->cancel();
  });
}

bool listener::stop(std::chrono::milliseconds within) {
  begin_drain();
  std::unique_lock lock{stop_mutex_};
  give_up_ = std::min(give_up_, std::chrono::steady_clock::now() + within);
  quiet_.notify_all(); // an earlier call may wait for longer
  while (!stopped_ && !joining_ && state_->under_way.load() > 0 && std::chrono::steady_clock::now() < give_up_)
    quiet_.wait_until(lock, give_up_);
  if (joining_ || stopped_) {
    quiet_.wait(lock, [&] { return stopped_; });
    return clean_;
  }
  joining_ = true;
  clean_ = state_->under_way.load() <= 0;
  lock.unlock();
  // The first one accepts for all: once it has ended, no connection comes to the others any more.
  for (const auto& thread : threads_)
    thread->stop();
  lock.lock();
  stopped_ = true;
  quiet_.notify_all();
  return clean_;
}

caf::error listener::reload_tls(const tls_settings& settings) {
  if (!settings_.tls)
    return make_error(errc::refused, "this listener was opened without TLS; restart the node to change that");
  auto tls = make_tls(settings);
  if (!tls)
    return std::move(tls.error());
  std::lock_guard lock{tls_mutex_};
  tls_ = std::move(*tls);
  return caf::none;
}

} // namespace weir::http
