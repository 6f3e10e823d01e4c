#pragma once

#include <memory>

#include "actors/bounded_mailbox.hpp"
#include "actors/config_judge.hpp"
#include "actors/demultiplexer.hpp"
#include "actors/node_directory.hpp"
#include "messages/interfaces.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct receiver_parts {
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<credit_window> memory; ///< In-flight budget; pays for rendered copies.
  std::shared_ptr<tenant_shares> shares;
  config_judge judge;
  std::shared_ptr<receiver_metrics> metrics;
};

struct receiver_state {
  static constexpr const char* name = "receiver";

  receiver_parts parts;
  std::unique_ptr<demultiplexer> sorter;
  snapshot_ptr snapshot;
  snapshot_ptr leaving; ///< The one before, until `snapshot` is in force everywhere.
};

/// Trusts no forwarder and no publisher: checks entitlement again by the config it accepted itself, sorts a batch per
/// job, renders, and hands each shard its slices. Never waits for one job or shard: what a shard has no credit for is
/// settled with a passing reason.
receiver_actor::behavior_type receiver(bounded_pointer<receiver_actor, receiver_state> self, receiver_parts parts);

} // namespace weir
