#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "messages/environment.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

/// The states of overload, each 0 or 1 in `weir_overload_state`; in each group a later one implies more trouble.
enum class overload_state : std::uint8_t {
  sealing_early,            ///< Memory above 70 % of the budget; new buffers are refused.
  credit_shrunk,            ///< Above 85 %.
  refusing_ingest,          ///< Above 95 %.
  refusing_new_buffers,     ///< Disk above 90 %.
  disk_low,                 ///< Disk above 80 %.
  disk_full,                ///< Disk above 95 %: appends are refused, the drain goes on.
  buffers_full,             ///< As many buffers as there may be.
  buffers_paced,            ///< More new buffers were asked for than may come in a second.
  open_blocks_full,         ///< Open blocks hold more than they may.
  in_flight_full,           ///< Bodies under way take nine tenths of their memory.
  tenant_over_memory,       ///< A tenant was refused because its share of that memory is used up.
  tenant_over_buffers,      ///< A tenant was refused a buffer because it has its share of them.
  connections_full,         ///< Senders were turned away at the door.
  control_connections_full, ///< Operators were.
  ingest_rate_limited,      ///< A token sent faster than it may.
  upload_slots_full,        ///< Nine tenths of the slots are in use and jobs wait.
  destinations_open,        ///< At least one destination is only probed.
  retries_scarce,           ///< More retries than the budget has.
  file_handles_low,         ///< Nine tenths of the file handles are in use.
};
constexpr std::size_t overload_state_count = 19;
std::string_view name_of(overload_state state) noexcept;

/// Roles with a mailbox, by the names of their actors.
enum class mailbox_owner : std::uint8_t {
  forwarder,
  receiver,
  shard,
  store_writer,
  buffer,
  buffers,
  pusher,
  supervisor,
  node_watch,
};
constexpr std::size_t mailbox_owner_count = 9;
std::string_view name_of(mailbox_owner owner) noexcept;

struct overload_metrics {
  metrics_by<prometheus::Gauge, overload_state, overload_state_count> states;
  metrics_by<prometheus::Counter, overload_state, overload_state_count> entered;
  metrics_by<prometheus::Gauge, mailbox_owner, mailbox_owner_count> mailbox_messages;  ///< Deepest of the role.
  metrics_by<prometheus::Counter, mailbox_owner, mailbox_owner_count> mailbox_refused; ///< By the backstop.
  prometheus::Gauge& memory_budget_bytes;
  prometheus::Gauge& memory_in_flight_bytes; ///< Credit given out.
  prometheus::Counter& tenants_over_quota;   ///< Refusals because of a tenant's share of memory or buffers.

  explicit overload_metrics(prometheus::Registry& registry);
  void set(overload_state state, bool on);
};

/// The node's supervisors, by name.
enum class supervisor_name : std::uint8_t { data, shards, forwarders, buffers };
constexpr std::size_t supervisor_name_count = 4;
std::string_view name_of(supervisor_name name) noexcept;

struct supervisor_metrics {
  metrics_by<prometheus::Counter, supervisor_name, supervisor_name_count> restarts;
  metrics_by<prometheus::Gauge, supervisor_name, supervisor_name_count> parked;
  prometheus::Gauge& unclean_starts; ///< Processes in a row before this one that did not end in order.

  explicit supervisor_metrics(prometheus::Registry& registry);
};

struct file_handle_use {
  std::uint64_t open = 0;
  std::uint64_t most = 0; ///< The soft limit; 0: cannot be told.
};
/// Of this process. Reads a directory: a fraction of a millisecond for a thousand.
file_handle_use file_handles();

/// The process as the system sees it. Names are those every Prometheus client uses. Refresh with `sample`.
struct process_metrics {
  prometheus::Gauge& resident_bytes;
  prometheus::Gauge& limit_bytes; ///< Of the machine or cgroup, whichever is less.
  prometheus::Gauge& cpu_seconds;
  prometheus::Gauge& open_files;
  prometheus::Gauge& max_files;
  prometheus::Gauge& threads;
  prometheus::Gauge& start_time_seconds;

  process_metrics(prometheus::Registry& registry, std::string version, std::string node);
  void sample(const memory_meter& memory);
};

} // namespace weir
