#include "drills/scratch_node.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::drills {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds look_every{20};

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::uint64_t status_bytes(pid_t pid, const std::string& name) {
  std::ifstream in{fmt::format("/proc/{}/status", pid)};
  for (std::string line; std::getline(in, line);)
    if (line.compare(0, name.size(), name) == 0)
      return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  return 0;
}

} // namespace

drill_place::drill_place(const std::string& parent, bool keep) : path_(parent + "/weir-drill-XXXXXX"), keep_(keep) {
  if (::mkdtemp(path_.data()) == nullptr)
    throw_errno(path_);
}

drill_place::~drill_place() {
  std::error_code ignored; // what is left behind is in a directory for temporary files
  if (!keep_)
    fs::remove_all(path_, ignored);
}

void write_file(const std::string& path, const std::string& text, unsigned mode) {
  const auto temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0)
    throw_errno(temporary);
  std::string_view left{text};
  while (!left.empty()) {
    const auto n = ::write(fd, left.data(), left.size());
    if (n < 0 && errno != EINTR) {
      ::close(fd);
      throw_errno(temporary);
    }
    if (n > 0)
      left.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::close(fd) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)
    throw_errno(path);
}

std::uint16_t free_loopback_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    throw_errno("socket");
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0
                     && ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(fd);
  if (!bound)
    throw_errno("no free port of the loopback address");
  return ntohs(at.sin_port);
}

scratch_node::~scratch_node() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void scratch_node::start(std::chrono::milliseconds within) {
  const auto config = plan_.place + "/weir.toml";
  write_file(config, plan_.config, 0600);
  std::vector<std::string> words{plan_.program, "run", "--config", config, "--scratch", directory()};
  std::string off;
  for (const auto& x : plan_.unsafe_off)
    off += (off.empty() ? "" : ",") + x;
  if (!off.empty())
    words.push_back("--unsafe-off=" + off);
  std::vector<char*> arguments;
  for (auto& x : words)
    arguments.push_back(x.data());
  arguments.push_back(nullptr);
  const auto log = log_file();
  pid_ = ::fork();
  if (pid_ < 0)
    throw_errno("fork");
  if (pid_ == 0) {
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
      ::dup2(fd, STDOUT_FILENO);
      ::dup2(fd, STDERR_FILENO);
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setpgid(0, 0); // Ctrl-C is the drill's to handle
    ::execv(plan_.program.c_str(), arguments.data());
    ::_exit(127);
  }
  const auto until = std::chrono::steady_clock::now() + within;
  while (call_node(plan_.control_port, {}, "GET", "/readyz", {}, std::chrono::seconds{2}).status != 200) {
    if (!running())
      throw std::runtime_error(fmt::format("the scratch node ended at its start:\n{}", end_of_log()));
    if (std::chrono::steady_clock::now() >= until)
      throw std::runtime_error(fmt::format("the scratch node was not ready in time:\n{}", end_of_log()));
    std::this_thread::sleep_for(look_every);
  }
}

bool scratch_node::running() {
  if (pid_ <= 0)
    return false;
  if (::waitpid(pid_, &status_, WNOHANG) == 0)
    return true;
  pid_ = -1;
  return false;
}

int scratch_node::stop(std::chrono::milliseconds within) {
  if (running()) {
    ::kill(pid_, SIGTERM);
    const auto until = std::chrono::steady_clock::now() + within;
    while (running() && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(look_every);
    if (running()) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status_, 0);
      pid_ = -1;
    }
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
}

std::uint64_t scratch_node::resident_bytes() const {
  return status_bytes(pid_, "VmRSS:");
}

std::uint64_t scratch_node::peak_resident_bytes() const {
  return status_bytes(pid_, "VmHWM:");
}

std::string scratch_node::end_of_log() const {
  std::ifstream in{log_file()};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  constexpr std::size_t most = 2'000;
  return text.size() <= most ? text : text.substr(text.size() - most);
}

} // namespace weir::drills
