#include "config/config_builder.hpp"

#include <algorithm>
#include <stdexcept>

#include "config/forwarding_bytes.hpp"
#include "config/scope_order.hpp"

namespace weir {

config_builder::config_builder(std::vector<dataset_config> datasets, job_defaults defaults)
    : snapshot_(std::make_shared<config_snapshot>()) {
  snapshot_->datasets = std::move(datasets);
  snapshot_->jobs = job_settings_table{defaults};
}

bool config_builder::assign_zone(std::string_view account_id, std::string_view zone_id) {
  return snapshot_->tenants.assign(account_id, zone_id);
}

bool config_builder::add(job& x, std::uint64_t destination_fingerprint) {
  const auto scope = parse_scope(x.scope);
  const auto dataset = snapshot_->find_dataset(x.dataset);
  if (!scope || !dataset)
    throw std::invalid_argument("config_builder::add needs a checked job");
  if (number(x.revision) == 0)
    x.revision = settings_revision(x);
  if (snapshot_->jobs.find(x.id))
    return false;
  const auto tenant = snapshot_->tenants.own(scope->kind, scope->id);
  return snapshot_->jobs.add(x, *dataset, tenant, snapshot_->tenants.scope_text(scope->kind, scope->id),
                             destination_fingerprint);
}

std::optional<job_settings> config_builder::find(job_id id) const noexcept {
  return snapshot_->find_job(id);
}

config_snapshot_ptr config_builder::finish(snapshot_identity identity) {
  auto& made = *snapshot_;
  made.version = identity.version;
  made.parent = identity.parent;
  made.parent_content = identity.parent_content;
  made.epoch = identity.epoch;
  made.cluster = std::move(identity.cluster);
  made.created = identity.created;

  const auto order = jobs_by_scope(made.jobs);
  std::vector<scope_kind> kinds;
  for (const auto& dataset : made.datasets)
    kinds.push_back(dataset.scopes);
  const auto enabled =
      std::count_if(order.begin(), order.end(), [&](const auto& x) { return made.jobs.enabled(x.row); });
  forwarding_table_builder table(std::move(kinds), static_cast<std::size_t>(enabled));
  for (const auto& x : order) {
    if (!made.jobs.enabled(x.row))
      continue;
    const auto settings = made.jobs.at(x.row);
    const auto scope = split_scope(settings.scope);
    if (!table.add(settings.dataset, scope.kind, scope.id,
                   {settings.job, settings.destination_fingerprint, settings.tenant, x.row, settings.on_hold()}))
      throw std::logic_error("jobs are out of order or of the wrong kind of scope");
  }
  made.table = std::move(table).finish();
  keep_order(made, order);
  hash_parts(made);
  config_snapshot_ptr result = std::move(snapshot_);
  return result;
}

} // namespace weir
