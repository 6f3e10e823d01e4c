#pragma once

#include <memory>

#include "actors/body_router.hpp"
#include "actors/bounded_mailbox.hpp"
#include "actors/config_judge.hpp"
#include "actors/node_directory.hpp"
#include "messages/interfaces.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct forwarder_parts {
  std::size_t index = 0;
  scan_limits limits;
  std::shared_ptr<node_directory> directory;
  config_judge judge;
  std::shared_ptr<forwarder_metrics> metrics;
};

struct forwarder_state {
  static constexpr const char* name = "forwarder";

  forwarder_parts parts;
  std::unique_ptr<body_router> router;
  snapshot_ptr snapshot;
};

/// Decides whose events are wanted and who receives them. Holds the forwarding table and nothing
/// else: it begins with the one it had accepted before it was restarted, and takes another only after
/// its own judgement. A body is one message in and at most one message out. What it cannot hand on, for lack of
/// credit or of a receiver, it settles at once with a passing reason.
forwarder_actor::behavior_type forwarder(bounded_pointer<forwarder_actor, forwarder_state> self, forwarder_parts parts);

} // namespace weir
