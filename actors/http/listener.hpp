#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <caf/expected.hpp>

#include "actors/http/connection.hpp"
#include "actors/http/io_thread.hpp"
#include "actors/http/listener_settings.hpp"

namespace weir::http {

/// Whether an address to listen on can be reached from this machine only.
bool is_loopback(const std::string& address);

/// A listening socket, the threads behind it, and how many connections each address may have.
class listener {
 public:
  struct accepted {
    std::shared_ptr<io_thread> thread;
    tcp::socket socket;
    std::shared_ptr<asio::ssl::context> tls; ///< Null: plain.
    std::shared_ptr<listener_state> state;
    std::shared_ptr<void> lease; ///< Keeps the connection counted.
  };
  using connection_factory = std::function<std::shared_ptr<connection>(accepted)>;

  /// Listens at once. Errors: refused, with a sentence.
  static caf::expected<std::unique_ptr<listener>> open(const listener_settings& settings,
                                                       std::shared_ptr<clock_source> clock, http_metrics& metrics,
                                                       connection_factory make);
  ~listener();

  std::uint16_t port() const noexcept { return port_; }
  void begin_drain();
  bool stop(std::chrono::milliseconds within);
  caf::error reload_tls(const tls_settings& settings);

 private:
  listener(const listener_settings& settings, std::shared_ptr<clock_source> clock, http_metrics& metrics,
           connection_factory make);
  caf::error bind();
  void accept();
  void on_accept(error_code ec, tcp::socket socket, std::size_t thread);
  void hand_over(tcp::socket socket, std::size_t thread, std::shared_ptr<void> lease);
  void turn_away(tcp::socket& socket, http_trouble reason);
  std::shared_ptr<void> admit(const asio::ip::address& peer, std::size_t thread, http_trouble& reason);
  std::size_t calmest_thread() const;

  /// How many connections there are. Outlives the listener in the leases of connections that end last.
  struct census {
    std::mutex mutex;
    std::size_t total = 0;
    std::map<std::string, std::size_t> by_address;
    std::vector<std::size_t> by_thread;
  };

  const listener_settings settings_;
  std::shared_ptr<listener_state> state_;
  std::shared_ptr<census> census_;
  connection_factory make_;
  std::mutex tls_mutex_;
  std::shared_ptr<asio::ssl::context> tls_; // guarded by tls_mutex_
  std::uint16_t port_ = 0;

  std::mutex stop_mutex_;
  std::condition_variable quiet_;
  std::chrono::steady_clock::time_point give_up_ = std::chrono::steady_clock::time_point::max();
  bool stopped_ = false;
  bool clean_ = false;
  bool joining_ = false;

  std::vector<std::shared_ptr<io_thread>> threads_;
  std::unique_ptr<tcp::acceptor> acceptor_;       // of threads_[0]
  std::unique_ptr<asio::steady_timer> try_again_; // of threads_[0]
};

} // namespace weir::http
