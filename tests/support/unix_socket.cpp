#include "tests/support/unix_socket.hpp"

#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir {
namespace {

template <class Call>
int with_address(const std::string& path, Call call) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw std::system_error(ENAMETOOLONG, std::generic_category(), path);
  path.copy(address.sun_path, path.size());
  auto handle = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (handle < 0 || call(handle, reinterpret_cast<const sockaddr*>(&address)) != 0) {
    auto number = errno;
    if (handle >= 0)
      ::close(handle);
    throw std::system_error(number, std::generic_category(), path);
  }
  return handle;
}

} // namespace

int listen_unix(const std::string& path) {
  return with_address(path, [](int handle, const sockaddr* address) {
    return ::bind(handle, address, sizeof(sockaddr_un)) == 0 ? ::listen(handle, 8) : -1;
  });
}

int connect_unix(const std::string& path) {
  return with_address(
      path, [](int handle, const sockaddr* address) { return ::connect(handle, address, sizeof(sockaddr_un)); });
}

bool send_all(int socket, const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    auto n = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

std::optional<std::string> receive_line(int socket, int until_readable) {
  std::string line;
  while (line.size() < 65'536) {
    pollfd waiting[2] = {{socket, POLLIN, 0}, {until_readable, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR)
      return std::nullopt;
    if (waiting[1].revents != 0)
      return std::nullopt;
    if (waiting[0].revents == 0)
      continue;
    char byte = 0;
    auto n = ::recv(socket, &byte, 1, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return std::nullopt;
    if (byte == '\n')
      return line;
    line += byte;
  }
  return std::nullopt;
}

} // namespace weir
