#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/certificates.hpp"

typedef struct ssl_ctx_st SSL_CTX;

namespace weir {

/// What a sink does with a request. The default takes it and answers 200.
struct sink_behaviour {
  static constexpr std::uint64_t for_ever = ~0ull;

  int status = 200;
  std::uint64_t times = for_ever; ///< Requests it is for; those behind them get the default. Not for `poison`.
  std::optional<std::chrono::seconds> retry_after{};
  std::vector<std::pair<std::string, std::string>> headers{}; ///< Of the answer, beside the necessary ones.
  std::optional<std::string> body{};                          ///< Of the answer; without one its status as text.
  std::optional<std::uint64_t> announced_bytes{}; ///< `Content-Length` of the answer in place of the true one.
  std::string poison{};                    ///< If not empty, `status` is only for bodies that contain this, unpacked.
  bool never_answer = false;               ///< Takes the request and is silent until the client gives up.
  bool never_read = false;                 ///< Takes the head and leaves the body on the wire, silent too.
  std::optional<std::uint64_t> reset_at{}; ///< Resets the connection behind so many bytes of the body.
  std::uint64_t bytes_per_second = 0;      ///< Reads the body no faster; 0 is as fast as it comes.
  std::chrono::milliseconds delay{0};      ///< Before the answer.
};

/// A request as it came, whether it was answered or not.
struct sink_request {
  std::string method, target, path;           ///< `path` is the target without its query.
  std::map<std::string, std::string> headers; ///< Names in lower case.
  std::string body;                           ///< As on the wire, without chunk framing; as much as came.
  std::string text;                           ///< Unpacked if it is whole gzip; else the same.
  bool whole = false;                         ///< The entire body came.
  int status = 0;                             ///< What was answered; 0: nothing.
  std::chrono::steady_clock::time_point at;   ///< When its head was there.
};

/// A destination for tests: an HTTP/1.1 or HTTPS server on 127.0.0.1 with a thread per connection that
/// does per path what the test says and keeps what it was sent. Plain sockets and OpenSSL, so that it
/// shares no code with the servers and clients of the node. Thread-safe.
class sink_server {
 public:
  struct settings {
    std::optional<certificate_authority::files> tls{}; ///< Serves HTTPS with these.
    std::string event_id_key = "RayID";                ///< The string field that names an event.
    bool keep_bodies = true; ///< Without, `body` and `text` stay empty; event ids are kept all the same.
    std::uint16_t port = 0;  ///< 0: any free one.
  };

  sink_server() : sink_server(settings{}) {}
  explicit sink_server(settings how);
  ~sink_server();
  sink_server(const sink_server&) = delete;
  sink_server& operator=(const sink_server&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  /// `http://127.0.0.1:PORT` or `https://localhost:PORT`, and the path.
  std::string url(const std::string& path = "") const;

  /// From now on for every path that begins with `path_prefix`; the longest prefix counts.
  void script(const std::string& path_prefix, sink_behaviour what);
  /// Closes the port and all connections: connecting is refused until it is called with false.
  void refuse_connections(bool on);
  /// Ends every open connection with a reset, whatever it is at.
  void reset_connections();

  std::vector<sink_request> requests(const std::string& path_prefix = "") const;
  std::size_t count(const std::string& path_prefix = "") const; ///< Of requests, whole or not.
  std::size_t connections() const;                              ///< Open now.
  /// Ids of the events in bodies answered 2xx, in their order. Bodies with the same `X-Weir-Batch` and
  /// path count once: that is what the header promises the destination.
  std::vector<std::string> accepted_ids(const std::string& path_prefix = "") const;
  void forget(); ///< Drops what was recorded.

 private:
  friend class sink_connection;
  struct record {
    sink_request request;
    std::vector<std::string> ids;
  };
  struct connection {
    int handle = -1;
    bool ended = false; ///< Its thread may be joined.
    std::atomic<bool> reset{false};
    std::thread thread;
  };

  int listen();
  void accept_connections();
  void serve(connection& peer);
  void reap();
  sink_behaviour behaviour_for(const std::string& path);
  void keep(sink_request request);
  /// Waits, unless the server or the connection ends first; returns whether it may go on.
  bool pause(std::chrono::microseconds time, const connection& peer);

  settings how_;
  std::shared_ptr<SSL_CTX> tls_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stopping_{false};
  bool refusing_ = false;
  int listening_ = -1;
  std::map<std::string, sink_behaviour> scripts_;
  std::vector<record> records_;
  std::list<connection> connections_;
  std::thread acceptor_;
};

/// Values of the string field `key` in NDJSON, in their order. No parser: finds `"key":"…"`.
std::vector<std::string> event_ids(const std::string& text, const std::string& key);

} // namespace weir
