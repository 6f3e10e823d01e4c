#include "tests/support/lossy_disk/control.hpp"

#include <cerrno>
#include <map>
#include <sstream>
#include <system_error>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/unix_socket.hpp"

namespace weir::lossy {

const char* const commands =
    "  crash SEED [lost|kept|mixed]   power off and on: what was not synced meets its fate; open handles die\n"
    "  power-off                      every operation fails with EIO until `crash`\n"
    "  power-off-at N                 the same at the N-th change from now\n"
    "  fail KIND ERRNO [NTH [TIMES [PATH_PART]]]\n"
    "                                 KIND: open read write sync allocate truncate rename remove\n"
    "                                 make_directories list sync_directory free_space; ERRNO: a number;\n"
    "                                 TIMES: a number, or `ever` until `heal`\n"
    "  heal                           forget faults, delays, limits, read-only\n"
    "  delay-sync MS                  each fsync takes so much longer\n"
    "  capacity BYTES                 beyond it ENOSPC\n"
    "  read-only on|off\n"
    "  flip PATH OFFSET BIT           a bit of a file, PATH from the mount point on\n"
    "  drop-caches                    clean pages show what the disk holds\n"
    "  status                         changes=N syncs=N faults=N used=BYTES pending=0|1 off=0|1\n";

namespace {

constexpr std::uint64_t default_capacity = 8ull << 30;

using words = std::istringstream;

std::string complain(const std::string& what) {
  return "error " + what;
}

std::string crash(mounted_disk& shared, words& in) {
  std::uint64_t seed = 0;
  std::string fate;
  if (!(in >> seed))
    return complain("crash needs a seed");
  static const std::map<std::string, std::optional<fake_disk::pending_fate>> fates{
      {"", std::nullopt},
      {"lost", fake_disk::pending_fate::lose_all},
      {"kept", fake_disk::pending_fate::keep_all},
      {"mixed", fake_disk::pending_fate::mixed}};
  in >> fate;
  auto found = fates.find(fate);
  if (found == fates.end())
    return complain("no such fate: " + fate);
  shared.sync_delay_ms = 0;
  shared.disk.crash(seed, found->second);
  shared.install_delay();
  return "ok";
}

std::string fail(mounted_disk& shared, words& in) {
  static const std::map<std::string, disk_operation> kinds{
      {"open", disk_operation::open},
      {"read", disk_operation::read},
      {"write", disk_operation::write},
      {"sync", disk_operation::sync},
      {"allocate", disk_operation::allocate},
      {"truncate", disk_operation::truncate},
      {"rename", disk_operation::rename},
      {"remove", disk_operation::remove},
      {"make_directories", disk_operation::make_directories},
      {"list", disk_operation::list},
      {"sync_directory", disk_operation::sync_directory},
      {"free_space", disk_operation::free_space},
  };
  std::string kind, times;
  disk_fault fault;
  if (!(in >> kind >> fault.error) || kinds.count(kind) == 0 || fault.error <= 0)
    return complain("fail needs a kind and an errno");
  fault.kind = kinds.at(kind);
  if (in >> fault.nth && in >> times) {
    if (times == "ever")
      fault.times = disk_fault::for_ever;
    else if (!(words(times) >> fault.times))
      return complain("no number of times: " + times);
    in >> fault.path_part;
  } else if (fault.nth == 0) {
    fault.nth = 1; // Not given: a failed reading leaves 0.
  }
  shared.disk.inject(fault);
  return "ok";
}

std::string status(mounted_disk& shared) {
  auto& disk = shared.disk;
  std::ostringstream out;
  out << "ok changes=" << disk.changes() << " syncs=" << disk.count(disk_operation::sync)
      << " faults=" << disk.faults_struck() << " used=" << disk.used_bytes() << " pending=" << disk.has_pending()
      << " off=" << disk.crashed();
  return out.str();
}

} // namespace

std::string carry_out(mounted_disk& shared, const std::string& line) {
  words in(line);
  std::string command, word;
  std::uint64_t number = 0;
  in >> command;
  if (command == "crash")
    return crash(shared, in);
  if (command == "fail")
    return fail(shared, in);
  if (command == "status")
    return status(shared);
  if (command == "power-off") {
    shared.disk.power_off();
  } else if (command == "power-off-at" && in >> number && number > 0) {
    shared.disk.crash_at(number);
  } else if (command == "heal") {
    shared.disk.heal();
    shared.disk.set_capacity(default_capacity);
    shared.disk.set_read_only(false);
    shared.sync_delay_ms = 0;
  } else if (command == "delay-sync" && in >> number) {
    shared.sync_delay_ms = static_cast<std::int64_t>(number);
  } else if (command == "capacity" && in >> number) {
    shared.disk.set_capacity(number);
  } else if (command == "read-only" && in >> word && (word == "on" || word == "off")) {
    shared.disk.set_read_only(word == "on");
  } else if (unsigned bit = 0; command == "flip" && in >> word >> number >> bit && bit < 8) {
    if (!shared.disk.flip_bit('/' + word, number, bit))
      return complain("no such byte");
  } else if (command == "drop-caches") {
    shared.disk.drop_caches();
  } else {
    return complain("not understood: " + line);
  }
  return "ok";
}

control_listener::control_listener(mounted_disk& shared, std::string socket_path)
    : shared_(shared), path_(std::move(socket_path)) {
  shared_.disk.set_capacity(default_capacity);
  shared_.install_delay();
  listening_ = listen_unix(path_);
  if (::pipe(wake_) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  // The signals that end the file system belong to the main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

control_listener::~control_listener() {
  ::close(wake_[1]);
  thread_.join();
  ::close(wake_[0]);
  ::close(listening_);
  ::unlink(path_.c_str());
}

void control_listener::run() {
  while (true) {
    pollfd waiting[2] = {{listening_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR)
      return;
    if (waiting[1].revents != 0)
      return;
    if (waiting[0].revents == 0)
      continue;
    auto connection = ::accept(listening_, nullptr, nullptr);
    if (connection < 0)
      continue;
    serve(connection);
    ::close(connection);
  }
}

void control_listener::serve(int connection) {
  while (auto line = receive_line(connection, wake_[0]))
    if (!send_all(connection, carry_out(shared_, *line) + '\n'))
      return;
}

std::string send_command(const std::string& socket_path, const std::string& line) {
  auto connection = connect_unix(socket_path);
  auto sent = send_all(connection, line + '\n');
  auto answer = sent ? receive_line(connection) : std::nullopt;
  ::close(connection);
  if (!answer)
    throw std::system_error(EPIPE, std::generic_category(), socket_path);
  return *answer;
}

} // namespace weir::lossy
