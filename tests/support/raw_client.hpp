#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

/// A TCP client that sends exactly the bytes it is told to, for tests of servers over loopback. Every wait is
/// bounded, so that a server which never answers fails its test and does not hang it.
class raw_client {
 public:
  explicit raw_client(std::uint16_t port, const char* from = nullptr) : handle_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (from != nullptr) {
      auto own = address_of(from, 0);
      if (bind(handle_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
        return;
    }
    auto peer = address_of("127.0.0.1", port);
    connected_ = connect(handle_, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0;
    const int on = 1;
    setsockopt(handle_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  raw_client(raw_client&& other) noexcept
      : handle_(std::exchange(other.handle_, -1)), connected_(other.connected_), unread_(std::move(other.unread_)) {}
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() { close(); }

  bool connected() const noexcept { return connected_; }
  int handle() const noexcept { return handle_; }

  /// False if the server took less than all of it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!wait_for(POLLOUT))
        return false;
      const auto n = ::send(handle_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR))
        continue;
      if (n <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  void end_sending() { shutdown(handle_, SHUT_WR); }

  void close() {
    if (handle_ >= 0)
      ::close(std::exchange(handle_, -1));
  }

  /// Closes with a reset in place of a goodbye.
  void reset() {
    const linger hard{1, 0};
    setsockopt(handle_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

  struct response {
    int status = 0;
    std::string head;
    std::string body;

    /// The value of a header field, or empty. `name` as the server spells it.
    std::string field(std::string_view name) const {
      const auto at = head.find("\r\n" + std::string{name} + ": ");
      if (at == std::string::npos)
        return {};
      const auto begin = at + name.size() + 4;
      return head.substr(begin, head.find("\r\n", begin) - begin);
    }
  };

  /// The next response, interim ones included; nothing if the connection ends or is silent before it is complete.
  std::optional<response> receive(bool without_body = false) {
    auto end = unread_.find("\r\n\r\n");
    for (; end == std::string::npos; end = unread_.find("\r\n\r\n"))
      if (!read_more())
        return std::nullopt;
    response result;
    result.head = unread_.substr(0, end + 4);
    unread_.erase(0, end + 4);
    result.status = std::atoi(result.head.c_str() + 9);
    const auto length = result.field("Content-Length");
    const auto size = length.empty() || without_body ? 0 : std::strtoull(length.c_str(), nullptr, 10);
    while (unread_.size() < size)
      if (!read_more())
        return std::nullopt;
    result.body = unread_.substr(0, size);
    unread_.erase(0, size);
    return result;
  }

  /// Whether the server ends the connection, in whichever way, and sends nothing more before.
  bool ended() { return unread_.empty() && !read_more() && ended_; }

  /// Whether the server has ended the connection, whatever it sent before.
  bool broken() const noexcept { return ended_; }

  /// Whether bytes of the server, or its end, come within that time.
  bool readable_within(int milliseconds) { return !unread_.empty() || ended_ || wait_for(POLLIN, milliseconds); }

 private:
  static sockaddr_in address_of(const char* host, std::uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    inet_pton(AF_INET, host, &result.sin_addr);
    return result;
  }

  bool wait_for(short events, int milliseconds = 20'000) {
    pollfd waiting{handle_, events, 0};
    return poll(&waiting, 1, milliseconds) > 0;
  }

  bool read_more() {
    char piece[16'384];
    if (ended_ || !wait_for(POLLIN))
      return false;
    const auto n = recv(handle_, piece, sizeof piece, 0);
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    unread_.append(piece, static_cast<std::size_t>(n));
    return true;
  }

  int handle_;
  bool connected_ = false;
  bool ended_ = false;
  std::string unread_;
};

} // namespace weir
