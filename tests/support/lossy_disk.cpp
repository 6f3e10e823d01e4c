#include "tests/support/lossy_disk.hpp"

#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unix_socket.hpp"

namespace weir {
namespace {

bool is_mounted(const std::string& path) {
  struct stat inner {
  }, outer{};
  return ::stat(path.c_str(), &inner) == 0 && ::stat((path + "/..").c_str(), &outer) == 0
         && inner.st_dev != outer.st_dev;
}

} // namespace

std::optional<std::string> lossy_disk::missing() {
  if (::geteuid() != 0)
    return "mounting needs root";
  if (::access("/dev/fuse", R_OK | W_OK) != 0)
    return "there is no /dev/fuse";
  return std::nullopt;
}

lossy_disk::lossy_disk() {
  if (auto reason = missing())
    throw std::runtime_error("no lossy disk: " + *reason);
  std::filesystem::create_directory(mount_point_);
  command start{built_program("weir_lossy_disk"), {mount_point_, socket_, "--with-parent"}};
  start.error_file = directory_ / "log";
  server_.emplace(start);
  if (!wait_for([&] { return !server_->running() || is_mounted(mount_point_); }) || !server_->running())
    throw std::runtime_error("weir_lossy_disk did not mount: " + read_file(directory_ / "log"));
}

lossy_disk::~lossy_disk() {
  server_->terminate();
  if (!server_->wait(std::chrono::seconds(5)))
    std::fprintf(stderr, "weir_lossy_disk did not end in time\n");
  server_->kill();
  // Only if the server could not: a dead mount would break whoever walks through /tmp.
  ::umount2(mount_point_.c_str(), MNT_DETACH);
}

std::string lossy_disk::send(const std::string& line) {
  auto connection = connect_unix(socket_);
  auto answer = send_all(connection, line + '\n') ? receive_line(connection) : std::nullopt;
  ::close(connection);
  if (!answer || answer->rfind("ok", 0) != 0)
    throw std::runtime_error("weir_lossy_disk: " + line + ": " + answer.value_or("no answer"));
  return answer->size() > 3 ? answer->substr(3) : "";
}

void lossy_disk::crash(std::uint64_t seed, std::optional<pending_fate> fate) {
  auto line = "crash " + std::to_string(seed);
  if (fate)
    line += *fate == pending_fate::lose_all ? " lost" : *fate == pending_fate::keep_all ? " kept" : " mixed";
  send(line);
}

void lossy_disk::power_off_at(std::uint64_t nth_change) {
  send("power-off-at " + std::to_string(nth_change));
}

void lossy_disk::fail(const std::string& kind, int error, std::uint64_t nth, std::uint64_t times,
                      const std::string& path_part) {
  auto often = times == disk_fault::for_ever ? std::string("ever") : std::to_string(times);
  send("fail " + kind + ' ' + std::to_string(error) + ' ' + std::to_string(nth) + ' ' + often + ' ' + path_part);
}

void lossy_disk::delay_syncs(std::chrono::milliseconds by) {
  send("delay-sync " + std::to_string(by.count()));
}

void lossy_disk::set_capacity(std::uint64_t bytes) {
  send("capacity " + std::to_string(bytes));
}

void lossy_disk::flip_bit(const std::string& name, std::uint64_t offset, unsigned bit) {
  send("flip " + name + ' ' + std::to_string(offset) + ' ' + std::to_string(bit));
}

lossy_disk::counts lossy_disk::status() {
  counts result;
  unsigned long long changes, syncs, faults, used;
  int pending, off;
  auto text = send("status");
  if (std::sscanf(text.c_str(), "changes=%llu syncs=%llu faults=%llu used=%llu pending=%d off=%d", &changes, &syncs,
                  &faults, &used, &pending, &off)
      != 6)
    throw std::runtime_error("weir_lossy_disk: status not understood: " + text);
  return {changes, syncs, faults, used, pending != 0, off != 0};
}

} // namespace weir
