#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "config/config_builder.hpp"
#include "config/forwarding_config.hpp"
#include "config/job.hpp"

namespace weir {

/// Jobs as a plain list, from which snapshots are made; small enough to be changed at will by a test.
struct listed_job {
  std::uint64_t id = 0;
  std::string scope;
  std::string destination;
  std::string name;
  bool enabled = true;
  std::uint32_t on_hold_since = 0;

  friend bool operator==(const listed_job& a, const listed_job& b) {
    return a.id == b.id && a.scope == b.scope && a.destination == b.destination && a.name == b.name
           && a.enabled == b.enabled && a.on_hold_since == b.on_hold_since;
  }
};

using job_list = std::map<std::uint64_t, listed_job>;

inline const std::vector<dataset_config>& listed_datasets() {
  static const std::vector<dataset_config> result{
      {"http_requests", "ZoneID", "EdgeStartTimestamp", scope_kind::zones, {}}};
  return result;
}

inline std::uint64_t fingerprint_of(const std::string& destination) {
  return std::hash<std::string>{}(destination) | 1;
}

inline job job_of(const listed_job& x) {
  job result;
  result.id = job_id{x.id};
  result.dataset = "http_requests";
  result.scope = x.scope;
  result.destination_conf = secret{x.destination};
  result.name = x.name;
  result.enabled = x.enabled;
  result.on_hold_since = x.on_hold_since;
  return result;
}

/// `count` jobs of ids from `first` on, each of a zone and so a tenant of its own.
inline job_list plain_jobs(std::uint64_t count, std::uint64_t first = 1) {
  job_list result;
  for (auto id = first; id < first + count; ++id)
    result[id] = {id, "zones/z" + std::to_string(id), "file:///var/tmp/weir/" + std::to_string(id), "", true, 0};
  return result;
}

using owner_list = std::vector<std::pair<std::string, std::string>>; // account, zone

inline config_snapshot_ptr made_of(const job_list& jobs, std::uint64_t version, const owner_list& owners = {}) {
  config_builder builder(listed_datasets(), {});
  for (const auto& [account, zone] : owners)
    REQUIRE(builder.assign_zone(account, zone));
  for (const auto& [id, x] : jobs) {
    auto y = job_of(x);
    REQUIRE(builder.add(y, fingerprint_of(x.destination)));
  }
  snapshot_identity identity;
  identity.version = config_version{version};
  identity.parent = config_version{version - 1};
  identity.cluster = "weir";
  identity.created = std::chrono::system_clock::time_point{std::chrono::seconds{1'700'000'000}};
  return builder.finish(identity);
}

/// What a snapshot says, as the list it could have been made from.
inline job_list listed(const config_snapshot& from) {
  job_list result;
  job x;
  for (settings_index at = 0; at < from.jobs.size(); ++at) {
    from.jobs.restore(at, x);
    result[number(x.id)] = {number(x.id), x.scope,   std::string{x.destination_conf.reveal()},
                            x.name,       x.enabled, x.on_hold_since};
  }
  return result;
}

inline std::string bytes_of_config(const config_snapshot& from, const config_signer* signer = nullptr) {
  std::ostringstream into;
  REQUIRE(write_forwarding_config(from, into, signer));
  return into.str();
}

/// The same without the settings' half, as a node that only forwards has it.
inline config_snapshot_ptr table_only(const config_snapshot& from) {
  forwarding_expectations expected;
  expected.cluster = from.cluster;
  expected.datasets = listed_datasets();
  expected.with_settings = false;
  std::istringstream stream(bytes_of_config(from));
  auto result = load_forwarding_config(stream, expected);
  REQUIRE_MESSAGE(result.snapshot, result.text);
  return result.snapshot;
}

} // namespace weir
