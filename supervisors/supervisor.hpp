#pragma once

#include <optional>

#include "actors/bounded_mailbox.hpp"
#include "messages/environment.hpp"
#include "messages/supervision.hpp"
#include "supervisors/supervised_children.hpp"

namespace weir {

struct supervisor_state {
  static constexpr const char* name = "supervisor";
  std::optional<supervised_children> children;
};

/// Starts, watches, restarts, parks and stops children; does nothing else, so that it cannot fail
/// by their kind of fault.
///
/// An exit message makes it stop its children in order and then end with the message's reason. One
/// that spends a common budget stops all and ends with an error; a parent that has it as a child
/// sees a crash. A bad spec ends it at once with `errc::refused`. It never blocks.
/// Spawn those at the top of the data tree detached: as pooled actors they would wait their turn behind
/// the very children they have to restart (ADR 0001).
supervisor_actor::behavior_type supervisor(bounded_pointer<supervisor_actor, supervisor_state> self,
                                           supervisor_spec spec, environment outside);

} // namespace weir
