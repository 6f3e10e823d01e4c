#pragma once

#include "actors/control/router.hpp"
#include "supervisors/ledger_marks.hpp"
#include "supervisors/node.hpp"
#include "supervisors/operator_desk.hpp"

namespace weir {

/// `GET /v1/ledger`, `GET` and `POST /v1/ledger/marks`. Answered on the desk's thread, which may take a second for a
/// million jobs; 503 `busy` if too many wait there. All three must outlive the router.
void add_ledger_routes(control_router& router, const node& running, ledger_marks& marks, operator_desk& desk,
                       std::shared_ptr<clock_source> clock);

/// What the desk does for the ledger: makes the hourly mark when it is due. A failure is logged, once an hour at most.
operator_desk::work hourly_marks(const node& running, ledger_marks& marks, std::shared_ptr<clock_source> clock);

} // namespace weir
