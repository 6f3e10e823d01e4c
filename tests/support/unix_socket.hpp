#pragma once

#include <optional>
#include <string>

/// Lines over Unix sockets, for the controls of test drivers.
namespace weir {

/// A listening socket at `path`, which must not exist. Throws `std::system_error`.
int listen_unix(const std::string& path);
/// A connection to `path`. Throws `std::system_error`.
int connect_unix(const std::string& path);
bool send_all(int socket, const std::string& bytes);
/// The next line without its end; none at the end of the connection, behind 64 KiB without an end of
/// line, or as soon as `until_readable` (if given) can be read. One line is sent at a time.
std::optional<std::string> receive_line(int socket, int until_readable = -1);

} // namespace weir
