#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "messages/environment.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

/// The states of design section 7, each 0 or 1 in `weir_overload_state`. Ordered: a later one implies more trouble.
enum class overload_state : std::uint8_t {
  sealing_early,        ///< Memory above 70 % of the budget.
  credit_shrunk,        ///< Above 85 %.
  refusing_ingest,      ///< Above 95 %.
  refusing_new_buffers, ///< Disk above 90 %.
  disk_low,             ///< Disk above 80 %.
  disk_full,            ///< Disk above 95 %: appends are refused, the drain goes on.
};
constexpr std::size_t overload_state_count = 6;
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

  explicit supervisor_metrics(prometheus::Registry& registry);
};

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
