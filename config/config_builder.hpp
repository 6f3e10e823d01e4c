#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_snapshot.hpp"
#include "config/job.hpp"

namespace weir {

/// Versions and names of a snapshot that is to be made.
struct snapshot_identity {
  config_version version{};
  config_version parent{};
  content_hash parent_content{};
  ownership_epoch epoch{1};
  std::string cluster;
  std::chrono::system_clock::time_point created;
};

/// Makes a snapshot from jobs that come one by one, in the compact form right away: memory never
/// holds more than the tables and one job.
class config_builder {
 public:
  config_builder(std::vector<dataset_config> datasets, job_defaults defaults);

  /// Makes the account the owner of a zone. False if the zone has another owner already.
  bool assign_zone(std::string_view account_id, std::string_view zone_id);

  /// Adds a checked job. False if its id is taken. A revision of 0 becomes `settings_revision`.
  bool add(job& x, std::uint64_t destination_fingerprint);

  /// The job that has this id already, or nothing.
  std::optional<job_settings> find(job_id id) const noexcept;
  std::size_t jobs() const noexcept { return snapshot_->jobs.size(); }

  /// Builds the forwarding table of the enabled jobs and hashes the parts. The builder is empty after.
  config_snapshot_ptr finish(snapshot_identity identity);

 private:
  std::shared_ptr<config_snapshot> snapshot_;
};

} // namespace weir
