#pragma once

#include <memory>

#include "actors/bounded_mailbox.hpp"
#include "messages/credit.hpp"
#include "messages/environment.hpp"
#include "messages/interfaces.hpp"
#include "messages/node_status.hpp"
#include "supervisors/overload_board.hpp"
#include "telemetry/node_metrics.hpp"

namespace weir {

struct node_watch_parts {
  environment world;
  std::shared_ptr<node_status> status;
  std::shared_ptr<credit_window> memory; ///< In-flight budget; shrunk at the second step.
  std::shared_ptr<overload_metrics> metrics;
  std::shared_ptr<overload_board> board; ///< Of all limits; looked at each time.
  std::uint64_t budget = 1ull << 30;     ///< `limits.memory`: RSS of the process.
  double seal_early_at = 0.70;
  double shrink_credit_at = 0.85;
  double refuse_ingest_at = 0.95;
};

struct node_watch_state {
  static constexpr const char* name = "node_watch";
  node_watch_parts parts;
  credit_window::limits full; ///< What the in-flight budget is in normal times.
};

using node_watch_actor = caf::typed_actor<caf::reacts_to<upkeep_tick>>;

/// The next step of the memory ladder for this much in use. A step is left only below 95 % of where
/// it begins, so that it does not flicker.
node_status::memory_step memory_step_for(double share_used, node_status::memory_step now,
                                         const node_watch_parts& parts);

/// Looks ten times a second at memory and disk and sets the node's states by it; they are left as
/// they were entered, without anybody's help.
node_watch_actor::behavior_type node_watch(bounded_pointer<node_watch_actor, node_watch_state> self,
                                           node_watch_parts parts);

} // namespace weir
