#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

/// Real processes, files and ports for end-to-end tests. What cannot be had (no such program, no free
/// port) throws `std::system_error` or `std::runtime_error`: a test cannot go on without it.
namespace weir {

/// A new directory below the system's place for temporary files, removed at the end with all it holds
/// unless `WEIR_KEEP_TEMPORARY` is set; then its path is printed.
class temporary_directory {
 public:
  explicit temporary_directory(const std::string& name = "weir");
  ~temporary_directory();
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

/// All bytes of a file; empty if there is none.
std::string read_file(const std::string& path);
/// Writes the file anew, with its parent directories.
void write_file(const std::string& path, const std::string& text);

/// Asks `condition` every few milliseconds until it holds or `within` is over; returns whether it held.
bool wait_for(const std::function<bool()>& condition, std::chrono::milliseconds within = std::chrono::seconds(20));

/// A TCP port on 127.0.0.1 that nobody listens on, never the same twice from one process.
std::uint16_t free_port();

/// Where the build put `name`: `$WEIR_BUILD_DIR`, else the directory of the running test program.
std::string built_program(const std::string& name);

struct command {
  std::string program; ///< A path, or a name for `$PATH`.
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment{}; ///< Beside the test's own.
  std::string input_file{};                                       ///< Empty: /dev/null.
  std::string output_file{};                                      ///< Written anew. Empty: /dev/null.
  std::string error_file{}; ///< Empty: where the test's standard error goes. May be `output_file`.
  std::string directory{};  ///< Empty: the test's own.
};

/// A running program. It gets a process group of its own and, if the test dies, SIGKILL.
class process {
 public:
  explicit process(const command& what);
  process(process&& other) noexcept;
  process& operator=(process&& other) noexcept;
  /// Kills what still runs.
  ~process();

  pid_t id() const noexcept { return id_; }
  bool running();
  /// Sends a signal; no effect on what has ended.
  void send_signal(int number);
  void terminate() { send_signal(SIGTERM); }
  /// kill -9, and waits for the end.
  void kill();
  /// The exit code, or 128 + the number of the signal that ended it; none if it still runs after `within`.
  std::optional<int> wait(std::chrono::milliseconds within = std::chrono::seconds(20));

 private:
  bool reap(bool block);

  pid_t id_ = -1;
  std::optional<int> ended_;
};

/// Runs a program to its end and returns its exit code as `process::wait` does.
int run_program(const command& what, std::chrono::milliseconds within = std::chrono::seconds(60));

/// Peak and present memory (bytes) and open files of a process, from /proc.
struct process_usage {
  std::uint64_t resident = 0, peak_resident = 0, open_files = 0;
};
process_usage usage_of(pid_t id);

} // namespace weir
