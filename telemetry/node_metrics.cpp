#include "telemetry/node_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

namespace weir {

namespace {

std::uint64_t count_open_files() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{opendir("/proc/self/fd"), closedir};
  if (!directory)
    return 0;
  std::uint64_t count = 0;
  while (const auto* entry = readdir(directory.get()))
    if (entry->d_name[0] != '.')
      ++count;
  return count > 0 ? count - 1 : 0; // without the one that reads the list
}

/// Fields of /proc/self/stat behind the program's name, which may hold spaces. Field 3 is the first.
struct process_stat {
  std::uint64_t threads = 0;     ///< Field 20.
  std::uint64_t start_ticks = 0; ///< Field 22, since boot.
};

process_stat read_stat() {
  std::ifstream file{"/proc/self/stat"};
  std::string text;
  std::getline(file, text);
  process_stat result;
  auto position = text.rfind(')');
  for (int field = 3; position != std::string::npos && field <= 22; ++field) {
    position = text.find(' ', position);
    if (position == std::string::npos)
      break;
    ++position;
    if (field == 20)
      result.threads = std::strtoull(text.c_str() + position, nullptr, 10);
    else if (field == 22)
      result.start_ticks = std::strtoull(text.c_str() + position, nullptr, 10);
  }
  return result;
}

double boot_time_seconds() {
  std::ifstream file{"/proc/stat"};
  std::string word;
  while (file >> word) {
    if (word == "btime") {
      double seconds = 0;
      file >> seconds;
      return seconds;
    }
    file.ignore(1 << 20, '\n');
  }
  return 0;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

} // namespace

std::string_view name_of(overload_state state) noexcept {
  constexpr std::string_view names[overload_state_count] = {"sealing_early",
                                                            "credit_shrunk",
                                                            "refusing_ingest",
                                                            "refusing_new_buffers",
                                                            "disk_low",
                                                            "disk_full",
                                                            "buffers_full",
                                                            "buffers_paced",
                                                            "open_blocks_full",
                                                            "in_flight_full",
                                                            "tenant_over_memory",
                                                            "tenant_over_buffers",
                                                            "connections_full",
                                                            "control_connections_full",
                                                            "ingest_rate_limited",
                                                            "upload_slots_full",
                                                            "destinations_open",
                                                            "retries_scarce",
                                                            "file_handles_low"};
  return names[static_cast<std::size_t>(state)];
}

std::string_view name_of(mailbox_owner owner) noexcept {
  constexpr std::string_view names[mailbox_owner_count] = {
      "forwarder", "receiver", "shard", "store_writer", "buffer", "buffers", "pusher", "supervisor", "node_watch"};
  return names[static_cast<std::size_t>(owner)];
}

overload_metrics::overload_metrics(prometheus::Registry& r)
    : states(make_gauges<overload_state, overload_state_count>(r, "weir_overload_state",
                                                               "1 while the node is in this state.", "state")),
      entered(make_counters<overload_state, overload_state_count>(r, "weir_overload_entered_total",
                                                                  "Times the node came into this state.", "state")),
      mailbox_messages(make_gauges<mailbox_owner, mailbox_owner_count>(
          r, "weir_mailbox_messages", "Messages in the deepest mailbox of a role.", "role")),
      mailbox_refused(make_counters<mailbox_owner, mailbox_owner_count>(
          r, "weir_mailbox_refused_total", "Messages refused by a mailbox at its limit.", "role")),
      memory_budget_bytes(make_gauge(r, "weir_memory_budget_bytes", "Bytes that bodies under way may take in all.")),
      memory_in_flight_bytes(make_gauge(r, "weir_memory_in_flight_bytes", "Bytes granted to bodies under way.")),
      tenants_over_quota(make_counter(r, "weir_tenant_over_quota_total",
                                      "Refusals because a tenant's share of memory or buffers was used up.")) {}

void overload_metrics::set(overload_state state, bool on) {
  auto& gauge = states[state];
  if (on && gauge.Value() == 0)
    entered[state].Increment();
  gauge.Set(on ? 1 : 0);
}

file_handle_use file_handles() {
  file_handle_use result{count_open_files(), 0};
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0)
    result.most = static_cast<std::uint64_t>(limit.rlim_cur);
  return result;
}

supervisor_metrics::supervisor_metrics(prometheus::Registry& r)
    : restarts(make_counters<supervisor_name, supervisor_name_count>(
        r, "weir_supervisor_restarts_total", "Children started again after a crash, by supervisor.", "supervisor")),
      parked(make_gauges<supervisor_name, supervisor_name_count>(
          r, "weir_supervisor_parked", "Children that wait for an operator, by supervisor.", "supervisor")),
      unclean_starts(make_gauge(r, "weir_unclean_starts",
                                "Processes in a row before this one that were killed, crashed or lost power.")) {}

std::string_view name_of(supervisor_name name) noexcept {
  constexpr std::string_view names[supervisor_name_count] = {"data", "shards", "forwarders", "buffers"};
  return names[static_cast<std::size_t>(name)];
}

process_metrics::process_metrics(prometheus::Registry& r, std::string version, std::string node)
    : resident_bytes(make_gauge(r, "process_resident_memory_bytes", "Resident memory of the process.")),
      limit_bytes(make_gauge(r, "weir_memory_limit_bytes", "Memory of the machine or cgroup, whichever is less.")),
      cpu_seconds(make_gauge(r, "process_cpu_seconds_total", "User and system time of the process.")),
      open_files(make_gauge(r, "process_open_fds", "Open file handles.")),
      max_files(make_gauge(r, "process_max_fds", "File handles the process may open.")),
      threads(make_gauge(r, "process_threads", "Threads of the process.")),
      start_time_seconds(make_gauge(r, "process_start_time_seconds", "Start of the process, since 1970.")) {
  make_gauge(r, "weir_build_info", "Always 1; says which build runs and as which node.",
             {{"version", std::move(version)}, {"node", std::move(node)}})
      .Set(1);
  start_time_seconds.Set(boot_time_seconds()
                         + static_cast<double>(read_stat().start_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

void process_metrics::sample(const memory_meter& memory) {
  resident_bytes.Set(static_cast<double>(memory.resident()));
  limit_bytes.Set(static_cast<double>(memory.available()));
  open_files.Set(static_cast<double>(count_open_files()));
  threads.Set(static_cast<double>(read_stat().threads));
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0)
    max_files.Set(static_cast<double>(limit.rlim_cur));
  if (rusage usage{}; getrusage(RUSAGE_SELF, &usage) == 0)
    cpu_seconds.Set(seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
}

} // namespace weir
