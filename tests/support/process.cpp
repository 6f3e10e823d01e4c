#include "tests/support/process.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace weir {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// Everything that a child needs between fork and exec, where it must not allocate.
struct launch_plan {
  explicit launch_plan(const command& x) : what(x) {
    texts.push_back(x.program);
    texts.insert(texts.end(), x.arguments.begin(), x.arguments.end());
    for (auto& text : texts)
      arguments.push_back(text.data());
    arguments.push_back(nullptr);
    for (auto variable = environ; *variable; ++variable) {
      std::string text = *variable;
      auto name = text.substr(0, text.find('='));
      if (std::none_of(x.environment.begin(), x.environment.end(), [&](auto& y) { return y.first == name; }))
        variables.push_back(text);
    }
    for (auto& [name, value] : x.environment)
      variables.push_back(name + '=' + value);
    for (auto& text : variables)
      environment.push_back(text.data());
    environment.push_back(nullptr);
  }

  static bool redirect(const std::string& path, int flags, int to) {
    auto fd = ::open(path.empty() ? "/dev/null" : path.c_str(), flags, 0644);
    return fd >= 0 && ::dup2(fd, to) >= 0 && (fd == to || ::close(fd) == 0);
  }

  /// Returns only on failure, with errno set.
  void enter(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(127);
    ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    constexpr auto anew = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
    if (!redirect(what.input_file, O_RDONLY, 0) || !redirect(what.output_file, anew, 1))
      return;
    if (!what.error_file.empty() && what.error_file == what.output_file && ::dup2(1, 2) < 0)
      return;
    if (!what.error_file.empty() && what.error_file != what.output_file && !redirect(what.error_file, anew, 2))
      return;
    if (!what.directory.empty() && ::chdir(what.directory.c_str()) != 0)
      return;
    ::execvpe(what.program.c_str(), arguments.data(), environment.data());
  }

  const command& what;
  std::vector<std::string> texts, variables;
  std::vector<char*> arguments, environment;
};

} // namespace

temporary_directory::temporary_directory(const std::string& name) {
  path_ = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
  if (!::mkdtemp(path_.data()))
    fail(path_);
}

temporary_directory::~temporary_directory() {
  if (std::getenv("WEIR_KEEP_TEMPORARY")) {
    std::fprintf(stderr, "kept: %s\n", path_.c_str());
    return;
  }
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error)
    std::fprintf(stderr, "could not remove %s: %s\n", path_.c_str(), error.message().c_str());
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& text) {
  if (auto parent = std::filesystem::path(path).parent_path(); !parent.empty())
    std::filesystem::create_directories(parent);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!(out << text) || !out.flush())
    fail(path);
}

bool wait_for(const std::function<bool()>& condition, std::chrono::milliseconds within) {
  auto deadline = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline)
      return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

std::uint16_t free_port() {
  static std::mutex mutex;
  static std::set<std::uint16_t> given;
  std::lock_guard guard(mutex);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    auto handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (handle < 0)
      fail("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto bound = ::bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0
                 && ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(handle);
    if (bound && given.insert(ntohs(address.sin_port)).second)
      return ntohs(address.sin_port);
  }
  throw std::runtime_error("no free port on 127.0.0.1");
}

std::string built_program(const std::string& name) {
  std::filesystem::path directory;
  if (auto given = std::getenv("WEIR_BUILD_DIR"))
    directory = given;
  else
    directory = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  auto path = directory / name;
  if (!std::filesystem::exists(path))
    throw std::runtime_error(path.string() + " has not been built");
  return path.string();
}

process::process(const command& what) {
  launch_plan plan(what);
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    fail("pipe2");
  auto parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) {
    plan.enter(parent);
    auto number = errno;
    // If even this fails, the exit code below still tells.
    [[maybe_unused]] auto n = ::write(report[1], &number, sizeof number);
    ::_exit(127);
  }
  auto fork_error = errno;
  ::close(report[1]);
  int number = 0;
  ssize_t got = 0;
  while (id_ > 0 && (got = ::read(report[0], &number, sizeof number)) < 0 && errno == EINTR) {
  }
  ::close(report[0]);
  if (id_ < 0)
    throw std::system_error(fork_error, std::generic_category(), "fork");
  if (got > 0) {
    reap(true);
    throw std::system_error(number, std::generic_category(), what.program);
  }
}

process::process(process&& other) noexcept : id_(std::exchange(other.id_, -1)), ended_(other.ended_) {}

process& process::operator=(process&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(ended_, other.ended_);
  return *this;
}

process::~process() {
  if (id_ > 0)
    kill();
}

bool process::reap(bool block) {
  if (ended_ || id_ < 0)
    return true;
  int status = 0;
  pid_t got;
  do {
    got = ::waitpid(id_, &status, block ? 0 : WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0)
    return false;
  ended_ = got < 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool process::running() {
  return !reap(false);
}

void process::send_signal(int number) {
  if (!reap(false))
    ::kill(id_, number);
}

void process::kill() {
  send_signal(SIGKILL);
  reap(true);
}

std::optional<int> process::wait(std::chrono::milliseconds within) {
  wait_for([this] { return reap(false); }, within);
  return ended_;
}

int run_program(const command& what, std::chrono::milliseconds within) {
  process running(what);
  if (auto code = running.wait(within))
    return *code;
  throw std::runtime_error(what.program + " did not end in time");
}

process_usage usage_of(pid_t id) {
  process_usage result;
  auto directory = "/proc/" + std::to_string(id);
  std::istringstream status(read_file(directory + "/status"));
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kibibytes = 0;
    words >> key >> kibibytes;
    if (key == "VmRSS:")
      result.resident = kibibytes * 1024;
    if (key == "VmHWM:")
      result.peak_resident = kibibytes * 1024;
  }
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(directory + "/fd", error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error))
    ++result.open_files;
  return result;
}

} // namespace weir
