#include "drills/http_call.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drills/http_text.hpp"

namespace weir::drills {

namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t max_answer_bytes = 64u << 20;

class loopback_socket {
 public:
  explicit loopback_socket(steady::time_point until) : until_(until) {}
  ~loopback_socket() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  loopback_socket(const loopback_socket&) = delete;
  loopback_socket& operator=(const loopback_socket&) = delete;

  bool connect(std::uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0)
      return false;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0)
      return true;
    if (errno != EINPROGRESS || !await(POLLOUT))
      return false;
    socklen_t size = sizeof errno;
    int error = 0;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    return error == 0;
  }

  bool write(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n > 0)
        text.remove_prefix(static_cast<std::size_t>(n));
      else if (errno == EAGAIN ? !await(POLLOUT) : errno != EINTR)
        return false;
    }
    return true;
  }

  /// False at the end, or when the time is over.
  bool read(std::string& into) {
    char buffer[64 << 10];
    for (;;) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n > 0) {
        into.append(buffer, static_cast<std::size_t>(n));
        return true;
      }
      if (n == 0) {
        errno = ECONNRESET;
        return false;
      }
      if (errno == EAGAIN ? !await(POLLIN) : errno != EINTR)
        return false;
    }
  }

 private:
  bool await(short what) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - steady::now()).count();
    pollfd one{fd_, what, 0};
    if (left > 0 && ::poll(&one, 1, static_cast<int>(left)) > 0)
      return true;
    errno = ETIMEDOUT;
    return false;
  }

  steady::time_point until_;
  int fd_ = -1;
};

} // namespace

call_result call_node(std::uint16_t port, const secret& token, const std::string& method, const std::string& path,
                      const std::string& body, std::chrono::milliseconds within) {
  const auto began = steady::now();
  call_result result;
  loopback_socket socket{began + within};
  auto request = fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", method, path, port);
  if (!token.empty())
    request += "Authorization: Bearer " + token.reveal() + "\r\n";
  if (!body.empty() || method == "POST")
    request += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  request += "\r\n" + body;
  std::string text;
  errno = 0;
  if (socket.connect(port) && socket.write(request))
    while (text.size() < max_answer_bytes && socket.read(text))
      if (const auto answer = read_http_answer(text)) {
        result.status = answer->status;
        result.body = std::string{answer->body};
        break;
      }
  if (result.status == 0)
    result.body = fmt::format("{} {}: {}", method, path, std::strerror(errno));
  result.took = steady::now() - began;
  return result;
}

double sum_metric(const std::string& metrics, const std::string& name, const std::string& labels) {
  double sum = 0;
  for (std::size_t at = 0; at < metrics.size();) {
    const auto end = std::min(metrics.find('\n', at), metrics.size());
    const std::string_view line{metrics.data() + at, end - at};
    at = end + 1;
    if (line.substr(0, name.size()) != name || line.size() <= name.size()
        || (line[name.size()] != '{' && line[name.size()] != ' '))
      continue;
    if (!labels.empty() && line.find(labels) == std::string_view::npos)
      continue;
    if (const auto space = line.rfind(' '); space != std::string_view::npos)
      sum += std::strtod(std::string{line.substr(space + 1)}.c_str(), nullptr);
  }
  return sum;
}

} // namespace weir::drills
