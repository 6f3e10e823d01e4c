#pragma once

#include <memory>
#include <vector>

#include "actors/control/router.hpp"
#include "messages/control.pb.h"
#include "supervisors/overload_board.hpp"

namespace weir {

/// `GET /v1/overload`: every limit with its value, its bound, its state, since when, and what the node does about
/// it. Answered on the listener's thread from atomics and short locks, so that it comes while everything else waits.
void add_overload_routes(control_router& router, std::shared_ptr<overload_board> board);

proto::Overload render_overload(const std::vector<overload_row>& rows);

} // namespace weir
