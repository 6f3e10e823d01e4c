#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "actors/http/asio.hpp"

namespace weir::http {

/// A TCP connection with or without TLS on it, so that what reads and writes is written, and compiled, once.
class stream {
 public:
  using executor_type = tcp::socket::executor_type;

  stream(tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
      : socket_(std::move(socket)), context_(std::move(tls)) {
    if (context_)
      tls_ = std::make_unique<asio::ssl::stream<tcp::socket&>>(socket_, *context_);
  }

  executor_type get_executor() { return socket_.get_executor(); }
  bool encrypted() const noexcept { return tls_ != nullptr; }
  tcp::socket& socket() noexcept { return socket_; }

  template <class Handler>
  void async_handshake(Handler&& handler) {
    tls_->async_handshake(asio::ssl::stream_base::server, std::forward<Handler>(handler));
  }

  template <class Handler>
  void read_some(asio::mutable_buffer into, Handler&& handler) {
    if (tls_)
      tls_->async_read_some(into, std::forward<Handler>(handler));
    else
      socket_.async_read_some(into, std::forward<Handler>(handler));
  }

  /// Writes all of `from`.
  template <class Handler>
  void write(asio::const_buffer from, Handler&& handler) {
    if (tls_)
      asio::async_write(*tls_, from, std::forward<Handler>(handler));
    else
      asio::async_write(socket_, from, std::forward<Handler>(handler));
  }

  /// Tells the peer that nothing more will be written. Without TLS it is done at once.
  void shutdown_write() {
    error_code ec;
    socket_.shutdown(tcp::socket::shutdown_send, ec); // fails if the peer is gone, which the next read tells
  }
  /// With TLS it waits for the peer's goodbye; the caller bounds that.
  template <class Handler>
  void shutdown_write(Handler&& handler) {
    tls_->async_shutdown(std::forward<Handler>(handler));
  }

  void close() noexcept {
    error_code ec;
    socket_.close(ec); // what is pending ends with operation_aborted; a failing close frees the socket anyway
  }

 private:
  tcp::socket socket_;
  std::shared_ptr<asio::ssl::context> context_;
  std::unique_ptr<asio::ssl::stream<tcp::socket&>> tls_;
};

} // namespace weir::http
