#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "actors/admission.hpp"
#include "actors/tenant_shares.hpp"
#include "config/node_config.hpp"
#include "messages/credit.hpp"
#include "messages/environment.hpp"
#include "messages/node_status.hpp"
#include "store/store.hpp"
#include "supervisors/node_metrics_set.hpp"
#include "supervisors/overload_board.hpp"

namespace weir {

/// Where the limits' values are read. What is null has no rows.
struct overload_sources {
  environment world;
  std::shared_ptr<node_status> status;
  std::shared_ptr<credit_window> memory;
  std::shared_ptr<buffer_admission> admission;
  std::shared_ptr<tenant_shares> shares;
  std::shared_ptr<store::segmented_store> store;
  std::shared_ptr<node_metrics_set> metrics;
};

/// Every limit of design section 7 that the node itself knows of, one row each.
std::vector<overload_board::watched> overload_limits(const node_config& config, const overload_sources& from);

/// Memory and disk only: the steps that the watch and the store writer take by themselves.
std::vector<overload_board::watched> ladder_limits(const limits_config& limits, const overload_sources& from);

} // namespace weir
