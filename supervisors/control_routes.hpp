#pragma once

#include <functional>
#include <string>

#include "actors/control/router.hpp"
#include "supervisors/node.hpp"

namespace weir {

/// What `POST /v1/reload` does: an empty text if the new config is in force, else what is wrong with it.
using reload_action = std::function<std::string()>;

/// `/v1/node`, `/v1/reload`, `/v1/buffers/{job}/unpark`. Handlers read what the node offers behind
/// short locks and ask no actor, so that they answer while every mailbox is full; only unparking does. `running` must
/// outlive the router.
void add_node_routes(control_router& router, const node& running, std::string version, reload_action reload);

} // namespace weir
