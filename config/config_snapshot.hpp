#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/forwarding_table.hpp"
#include "config/job_settings_table.hpp"
#include "config/scope.hpp"
#include "config/tenant_table.hpp"
#include "messages/ids.hpp"

namespace weir {

/// Types of fields that a job API or a filter may rely on; see `[datasets.NAME.fields]`.
enum class field_type : std::uint8_t { integer, number, boolean, text, list, object, timestamp };

/// The kind of event a dataset holds, from `[datasets.NAME]`.
struct dataset_config {
  std::string name;            ///< `[a-z0-9_]{1,64}`; part of the ingest path.
  std::string scope_field;     ///< Its value is the bare id of a zone or an account.
  std::string timestamp_field; ///< May be empty.
  scope_kind scopes = scope_kind::zones;
  std::map<std::string, field_type> fields; ///< May be empty: nothing is known of the fields.
};

/// Everything that roles know of jobs, tenants and datasets: one version of the forwarding config in
/// the form they use it. It is the only way config reaches a role. Immutable and shared; a new
/// version is a new snapshot, and a role holds the old one until the last body begun under it is
/// done. All indices and views belong to one snapshot.
struct config_snapshot {
  config_version version{}; ///< 0: nothing was ever published here, and nobody is entitled.
  config_version parent{};  ///< The version this one was made from; 0 for the first.
  ownership_epoch epoch{1};
  std::string cluster;
  std::chrono::system_clock::time_point created;
  content_hash parent_content{};
  /// Of the whole forwarding config, see messages/forwarding.proto; with the datasets as this node numbers them.
  content_hash content{};
  /// Size and hash of the table and the settings of part 0, of part 1, …; 512 in all.
  struct part_info {
    std::uint32_t bytes = 0;
    content_hash hash{};
  };
  std::vector<part_info> parts;

  std::vector<dataset_config> datasets;
  tenant_table tenants;
  forwarding_table table;
  job_settings_table jobs;
  /// Rows of `jobs` in the order of the forwarding config: by the scope's hash, then scope, dataset and
  /// job. Those of part `p` are `part_rows[p]` up to `part_rows[p + 1]`. Empty without settings.
  std::vector<settings_index> by_scope;
  std::vector<std::uint32_t> part_rows;

  std::optional<dataset_index> find_dataset(std::string_view name) const noexcept;
  /// The job's settings, enabled or not; nothing for an unknown job.
  std::optional<job_settings> find_job(job_id id) const noexcept;

  /// Of the tables, in bytes; what a million jobs cost is in docs/configuration.md.
  std::size_t memory_bytes() const noexcept;
};

using config_snapshot_ptr = std::shared_ptr<const config_snapshot>;

} // namespace weir
