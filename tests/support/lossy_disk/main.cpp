#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include <sys/prctl.h>

#include "tests/support/lossy_disk/control.hpp"

namespace {

int print_usage(std::FILE* to) {
  std::fprintf(to,
               "usage: weir_lossy_disk MOUNT_POINT SOCKET [--with-parent]   serves until SIGTERM\n"
               "       weir_lossy_disk --send SOCKET COMMAND...             prints the answer\n"
               "A file system in memory that loses on command what was not synced. Needs root and /dev/fuse.\n"
               "Commands:\n%s",
               weir::lossy::commands);
  return to == stdout ? 0 : 2;
}

int send(int count, char** words) {
  std::string line;
  for (int i = 3; i < count; ++i)
    line += (i > 3 ? " " : "") + std::string(words[i]);
  auto answer = weir::lossy::send_command(words[2], line);
  std::printf("%s\n", answer.c_str());
  return answer.rfind("ok", 0) == 0 ? 0 : 1;
}

} // namespace

int main(int count, char** words) {
  try {
    if (count == 2 && std::strcmp(words[1], "--help") == 0)
      return print_usage(stdout);
    if (count > 3 && std::strcmp(words[1], "--send") == 0)
      return send(count, words);
    auto with_parent = count == 4 && std::strcmp(words[3], "--with-parent") == 0;
    if (count != 3 && !with_parent)
      return print_usage(stderr);
    // A mount whose server was killed hard would stay behind, dead.
    if (with_parent)
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    weir::lossy::mounted_disk shared;
    weir::lossy::control_listener control(shared, words[2]);
    return weir::lossy::serve(shared, words[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weir_lossy_disk: %s\n", error.what());
    return 1;
  }
}
