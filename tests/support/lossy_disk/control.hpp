#pragma once

#include <string>
#include <thread>

#include "tests/support/lossy_disk/file_system.hpp"

namespace weir::lossy {

/// What the commands are; printed by `--help`.
extern const char* const commands;

/// Carries one command line out; answers `ok`, `ok …` or `error …`, without the line's end.
std::string carry_out(mounted_disk& shared, const std::string& line);

/// Listens on a Unix socket: a command a line, an answer a line. Throws `std::system_error`.
class control_listener {
 public:
  control_listener(mounted_disk& shared, std::string socket_path);
  ~control_listener();

 private:
  void run();
  void serve(int connection);

  mounted_disk& shared_;
  std::string path_;
  int listening_ = -1;
  int wake_[2] = {-1, -1};
  std::thread thread_;
};

/// Sends one command to the socket of a running disk. Throws `std::system_error`.
std::string send_command(const std::string& socket_path, const std::string& line);

} // namespace weir::lossy
