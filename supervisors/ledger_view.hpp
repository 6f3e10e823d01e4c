#pragma once

#include <map>
#include <optional>
#include <string>

#include "actors/bodies_under_way.hpp"
#include "actors/control/router.hpp"
#include "config/config_snapshot.hpp"
#include "messages/control.pb.h"
#include "store/ledger.hpp"

namespace weir {

/// Which part of the ledger is asked for.
struct ledger_query {
  page_request page;
  std::optional<job_id> job;         ///< This one only.
  std::optional<std::string> tenant; ///< Its jobs only; empty: those of jobs that are in no config any more.
  bool by_tenant = false;            ///< A row for each tenant in place of one for each job.
};

/// The ledger as `/v1/ledger` shows it. With `before` all columns count from there on, and `buffered_before` says what
/// was buffered then. `balanced` and `totals` are over everything, whatever is asked for;
/// the heartbeat has rows and is in no totals.
proto::Ledger render_ledger(const store::ledger_totals& now, const store::ledger_totals* before,
                            const config_snapshot& snapshot, const ledger_query& query);

/// Fills in what is on the way: of each sender, and in all.
void add_under_way(const std::map<std::string, bodies_under_way::counts>& bodies, proto::Ledger& shown);

/// Whether `now` can follow `before`: nothing that is only ever added to has become less. False says that they are
/// accounts of two stores.
bool follows(const store::ledger_totals& now, const store::ledger_totals& before);

} // namespace weir
