#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

// Before any of Boost: whoever uses Asio in one program has to agree on how it is compiled.
#include "actors/http/asio.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>

#include "test_certificates.hpp"

/// A real HTTP server on 127.0.0.1, over TLS or not, that does what a script per path tells it.
namespace weir::testing {

struct received_request {
  std::string method;
  std::string target;
  std::multimap<std::string, std::string> headers; ///< Names in lower case.
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string{} : found->second;
  }
};

/// One request being handled: the script decides how much of the body is read.
class exchange {
 public:
  using socket_type = boost::asio::ip::tcp::socket;
  using tls_type = boost::asio::ssl::stream<socket_type&>;
  using parser_type = boost::beast::http::request_parser<boost::beast::http::string_body>;

  exchange(socket_type& socket, tls_type* tls, std::string& unread, std::function<void(const received_request&)> keep)
      : socket_(socket), tls_(tls), unread_(unread), keep_(std::move(keep)) {
    parser_.body_limit(1ull << 30);
    parser_.header_limit(64 << 10);
  }

  bool read_head() {
    return feed_until([this] { return parser_.is_header_done(); }) && note_head();
  }

  const received_request& request() const { return request_; }

  /// False if the connection broke.
  bool read_body() {
    if (!feed_until([this] { return parser_.is_done(); }))
      return false;
    request_.body = parser_.get().body();
    keep_(request_);
    return true;
  }

  bool read_some_body(std::size_t bytes) {
    return feed_until([&] { return parser_.is_done() || parser_.get().body().size() >= bytes; });
  }

  void answer(int status, const std::string& headers = {}, const std::string& body = {}) {
    send("HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers + "Content-Length: " + std::to_string(body.size())
         + "\r\n\r\n" + body);
  }

  void send(const std::string& bytes) {
    boost::system::error_code error;
    if (tls_)
      boost::asio::write(*tls_, boost::asio::buffer(bytes), error);
    else
      boost::asio::write(socket_, boost::asio::buffer(bytes), error);
  }

  /// Waits, without reading what is sent, until the other side closes or resets.
  void wait_for_close() {
    for (;;) {
      pollfd waiting{socket_.native_handle(), POLLRDHUP, 0};
      if (::poll(&waiting, 1, -1) > 0 && (waiting.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
        return;
    }
  }

  /// Ends the connection with a TCP reset.
  void reset() {
    boost::system::error_code error;
    socket_.set_option(boost::asio::socket_base::linger(true, 0), error);
    socket_.close(error);
  }

  bool is_complete() const { return parser_.is_done(); }

 private:
  template <class Condition>
  bool feed_until(Condition&& done) {
    boost::system::error_code error;
    std::vector<char> buffer(64 << 10);
    while (!done()) {
      if (!unread_.empty()) {
        const auto used = parser_.put(boost::asio::buffer(unread_), error);
        unread_.erase(0, used);
        if (error && error != boost::beast::http::error::need_more)
          return false;
        if (used > 0)
          continue;
      }
      const auto got = tls_ ? tls_->read_some(boost::asio::buffer(buffer), error)
                            : socket_.read_some(boost::asio::buffer(buffer), error);
      if (error)
        return false;
      unread_.append(buffer.data(), got);
    }
    return true;
  }

  bool note_head() {
    const auto& head = parser_.get();
    request_.method = std::string{head.method_string()};
    request_.target = std::string{head.target()};
    for (const auto& field : head) {
      std::string name{field.name_string()};
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      request_.headers.emplace(std::move(name), std::string{field.value()});
    }
    return true;
  }

  socket_type& socket_;
  tls_type* tls_;
  std::string& unread_;
  std::function<void(const received_request&)> keep_;
  parser_type parser_;
  received_request request_;
};

class test_http_server {
 public:
  /// True if the connection goes on.
  using script = std::function<bool(exchange&)>;
  enum class tls_versions : std::uint8_t { modern, tls_1_1_only };

  /// Without a certificate: plain HTTP.
  explicit test_http_server(const std::optional<certificate>& identity = std::nullopt,
                            tls_versions versions = tls_versions::modern)
      : acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}), port_(acceptor_.local_endpoint().port()) {
    if (identity)
      use(*identity, versions);
    accepting_ = std::thread([this] { accept(); });
  }

  ~test_http_server() {
    stopping_ = true;
    { // Wakes the acceptor.
      boost::system::error_code error;
      boost::asio::ip::tcp::socket socket(io_);
      socket.connect(acceptor_.local_endpoint(), error);
    }
    accepting_.join();
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      for (auto& x : connections_)
        ::shutdown(x.socket->native_handle(), SHUT_RDWR);
    }
    for (auto& x : connections_)
      x.thread.join();
  }

  void on(const std::string& target, script what) {
    const std::lock_guard<std::mutex> hold(mutex_);
    scripts_[target] = std::move(what);
  }

  std::uint16_t port() const noexcept { return port_; }

  std::string url(const std::string& target, const std::string& host = "localhost") const {
    return (context_ ? "https://" : "http://") + host + ":" + std::to_string(port_) + target;
  }

  /// Those whose body was read to its end.
  std::vector<received_request> requests() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return requests_;
  }

  /// Connections that were accepted.
  std::size_t connections() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return connections_.size();
  }

 private:
  struct connection {
    std::shared_ptr<boost::asio::ip::tcp::socket> socket;
    std::thread thread;
  };

  void use(const certificate& identity, tls_versions versions) {
    context_.emplace(boost::asio::ssl::context::tls_server);
    auto* native = context_->native_handle();
    SSL_CTX_use_certificate(native, identity.x509.get());
    SSL_CTX_use_PrivateKey(native, identity.key.get());
    if (versions == tls_versions::tls_1_1_only) {
      SSL_CTX_set_cipher_list(native, "ALL:@SECLEVEL=0");
      SSL_CTX_set_min_proto_version(native, TLS1_VERSION);
      SSL_CTX_set_max_proto_version(native, TLS1_1_VERSION);
    }
  }

  void accept() {
    for (;;) {
      auto socket = std::make_shared<boost::asio::ip::tcp::socket>(io_);
      boost::system::error_code error;
      acceptor_.accept(*socket, error);
      if (stopping_)
        return;
      if (error)
        continue;
      const std::lock_guard<std::mutex> hold(mutex_);
      connections_.push_back({socket, std::thread([this, socket] { serve(*socket); })});
    }
  }

  void serve(boost::asio::ip::tcp::socket& socket) {
    std::optional<exchange::tls_type> tls;
    boost::system::error_code error;
    if (context_) {
      tls.emplace(socket, *context_);
      tls->handshake(boost::asio::ssl::stream_base::server, error);
      if (error)
        return hang_up(socket);
    }
    std::string unread;
    for (;;) {
      exchange next(socket, tls ? &*tls : nullptr, unread, [this](const received_request& x) {
        const std::lock_guard<std::mutex> hold(mutex_);
        requests_.push_back(x);
      });
      if (!next.read_head())
        break;
      const auto what = script_for(next.request().target);
      if (!what(next))
        break;
    }
    hang_up(socket);
  }

  static void hang_up(boost::asio::ip::tcp::socket& socket) {
    boost::system::error_code error;
    socket.shutdown(boost::asio::ip::tcp::socket::shutdown_both, error);
    // The descriptor stays open until the server ends, so that nobody shuts down a stranger's.
  }

  script script_for(const std::string& target) const {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = scripts_.find(target);
    if (found != scripts_.end())
      return found->second;
    return [](exchange& x) {
      x.read_body();
      x.answer(404);
      return true;
    };
  }

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::optional<boost::asio::ssl::context> context_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::map<std::string, script> scripts_;
  std::vector<received_request> requests_;
  std::list<connection> connections_;
  std::thread accepting_;
};

} // namespace weir::testing
