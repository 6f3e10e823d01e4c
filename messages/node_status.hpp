#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

/// What every role may look at without asking anybody: the states in which the node as a whole
/// behaves differently. Written by the node's watch and the store writer, read everywhere.
struct node_status {
  /// Steps of the memory ladder (design section 7), in order; each includes those before it.
  enum class memory_step : std::uint8_t { normal, seal_early, shrink_credit, refuse_ingest };

  std::atomic<memory_step> memory{memory_step::normal};
  std::atomic<std::uint8_t> disk{0}; ///< `store::disk_state`.
  std::atomic<bool> shutting_down{false};
  std::atomic<bool> gave_up{false};               ///< The top supervisor spent its budget: no roles are left.
  std::atomic<bool> configured{false};            ///< A forwarding config is in force.
  std::atomic<std::uint32_t> recovered_shards{0}; ///< Until all are, events are turned away for a moment.
};

} // namespace weir
