#pragma once

#include <memory>

#include "actors/config_desk.hpp"
#include "actors/control/router.hpp"
#include "messages/control.pb.h"

namespace weir {

/// `/v1/config…` and `/v1/audit`. The state is answered on the listener's thread from a copy; what needs the history
/// is answered by the publisher, and what orders something by the publisher in the name of the token. `desk` outlives
/// the router.
void add_config_routes(control_router& router, const config_desk& desk);

proto::ConfigState render_config(const publication_view& view);
proto::ConfigChanges render_changes(const change_summary& changes);
/// RFC 3339 in UTC, seconds; empty for the epoch.
std::string time_text(std::chrono::system_clock::time_point at);

} // namespace weir
