#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "actors/bounded_mailbox.hpp"
#include "actors/buffer_records.hpp"
#include "actors/cut_planner.hpp"
#include "actors/node_directory.hpp"
#include "config/destination.hpp"
#include "messages/interfaces.hpp"
#include "store/store.hpp"
#include "telemetry/delay_metrics.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct buffer_settings {
  std::chrono::seconds max_age{72 * 3600};             ///< Older undelivered events expire.
  std::chrono::seconds passivate_after{60};            ///< Idle for this long, the actor goes.
  std::chrono::seconds dead_letter_age{7 * 24 * 3600}; ///< Older dead letters are removed.
  std::uint32_t max_dead_in_a_row = 10;                ///< Dead letters without a success between; then wait.
  destination_rules rules;
};

struct buffer_parts {
  job_id job{};
  buffer_settings settings;
  environment world;
  std::shared_ptr<store::segmented_store> store;
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<buffer_metrics> metrics;
  std::shared_ptr<delay_metrics> delays;
  snapshot_ptr snapshot;
  both_clocks began{}; ///< When the node began; the same for all buffers of its life.
};

struct buffer_state {
  static constexpr const char* name = "buffer";
  static constexpr std::uint64_t mailbox_limit = 256; ///< One pusher and one supervisor speak to it.

  buffer_parts parts;
  std::optional<proto::Cut> open; ///< The open cut, as the store has it.
  bool writing = false;           ///< A record of ours is under way; nothing is decided meanwhile.
  bool wanted = false;            ///< The pusher knows of us and has not finished.
  std::uint64_t heard = 0;        ///< `jobs_due` so far.
  std::uint32_t dead_in_a_row = 0;
  std::uint64_t first_received_ns = 0; ///< Of the part that is being read; 0: not known.
  std::chrono::steady_clock::time_point idle_since{};
  std::string trouble;                   ///< Why the destination does not take it; empty: it does.
  std::optional<remove_events> removing; ///< The job is gone, and what it has goes too.
  std::uint64_t removed_events = 0;      ///< Since then.
};

/// One active job's durable queue as far as it is not data: reads and leases for the pusher, cuts,
/// commits, splits, dead letters, expiry. The events themselves are the shard's and the store's.
///
/// While the job is on hold or disabled, or unknown, nothing is leased: what it has stays, and what is under
/// way may end. One cut is open at a time, so objects come in order. Everything it decides is a record, durable
/// before anybody acts on it; after a crash a new actor goes on from the store. Reads block for the
/// length of a page-cache read. An idle one, without a cut, tells its supervisor and is stopped.
buffer_actor::behavior_type buffer(bounded_pointer<buffer_actor, buffer_state> self, buffer_parts parts);

} // namespace weir
