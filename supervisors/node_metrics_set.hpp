#pragma once

#include <memory>

#include "telemetry/config_metrics.hpp"
#include "telemetry/delay_metrics.hpp"
#include "telemetry/http_metrics.hpp"
#include "telemetry/metrics.hpp"
#include "telemetry/node_metrics.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

/// All metrics of a node over one registry, which they must not outlive.
struct node_metrics_set {
  metrics_registry registry;
  forwarder_metrics forwarder{registry.families()};
  receiver_metrics receiver{registry.families()};
  shard_metrics shard{registry.families()};
  store_metrics store{registry.families()};
  delay_metrics delays{registry.families()};
  buffer_metrics buffer{registry.families()};
  pusher_metrics pusher{registry.families()};
  ingest_metrics ingest{registry.families()};
  control_metrics control{registry.families()};
  overload_metrics overload{registry.families()};
  supervisor_metrics supervisor{registry.families()};
  config_role_metrics config{registry.families()};
};

/// A part of the node's metrics that keeps the whole alive.
template <class T>
std::shared_ptr<T> part(const std::shared_ptr<node_metrics_set>& all, T& one) {
  return {all, &one};
}

} // namespace weir
