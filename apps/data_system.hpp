#pragma once

#include <caf/actor_system_config.hpp>

#include "messages/error.hpp"

namespace weir {

/// The actor system of the data path. What is asked of a node from outside never waits for it: the
/// control listener's own thread reads what the node offers behind short locks (ADR 0001).
struct data_system_config : caf::actor_system_config {
  explicit data_system_config(std::size_t workers) {
    set("scheduler.max-threads", workers);
    // Unlimited is CAF's default: one busy actor would starve its neighbours.
    set("scheduler.max-throughput", 50);
    add_error_category(error_category, render_error);
  }
};

} // namespace weir
