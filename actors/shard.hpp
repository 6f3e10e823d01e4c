#pragma once

#include <memory>
#include <optional>

#include "actors/bounded_mailbox.hpp"
#include "actors/node_directory.hpp"
#include "actors/shard_state.hpp"
#include "messages/interfaces.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

/// What a shard is given at its start; the same for all shards of a node but for `index`.
struct shard_parts {
  std::size_t index = 0;
  shard_settings settings;
  environment world;
  std::shared_ptr<store::segmented_store> store; ///< Asked at the start, and per cut or repeated body.
  std::shared_ptr<buffer_admission> admission;
  std::shared_ptr<node_status> status;
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<credit_window> writer_window; ///< Of this shard's edge to the writer.
  std::shared_ptr<credit_window> on_the_way;    ///< Bodies between the sources and the shards.
  std::shared_ptr<shard_metrics> metrics;
};

struct shard_actor_state {
  static constexpr const char* name = "shard";

  ~shard_actor_state() { set_ready(false); }

  void set_ready(bool on) {
    if (ready != on)
      parts.status->recovered_shards += on ? 1 : -1;
    ready = on;
  }

  shard_parts parts;
  std::unique_ptr<shard_state> data;
  std::optional<gauge_share> open_bytes, open_blocks, jobs; ///< This shard's part of the node's gauges.
  std::array<std::optional<gauge_share>, buffer_level_count> filling_jobs;
  snapshot_ptr snapshot;
  bool ready = false;     ///< Recovered; until then slices are turned away with a passing reason.
  bool beginning = false; ///< The writer is being drained.
  bool ticking = false;
  caf::actor_id writer = 0; ///< Whose answers the numbering relies on.
  caf::actor_id announced_to = 0;
  caf::typed_response_promise<drained> draining;
};

/// Owns the open data of its share of the jobs: blocks, sequences, deduplication, quotas.
///
/// Starts by draining the store writer, so that nothing of a predecessor is under way, and recovers
/// from the store. When the writer is replaced it ends, so that its successor does the same: groups
/// that died with the old one would leave gaps in the sequences. Never blocks; one handler seals at most
/// `seals_per_step` blocks (about 350 µs each). What is open when it dies was never acknowledged: its tickets fail the
/// receipts.
shard_actor::behavior_type shard(bounded_pointer<shard_actor, shard_actor_state> self, shard_parts parts);

} // namespace weir
