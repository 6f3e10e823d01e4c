#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/shard_state.hpp"
#include "config/config_builder.hpp"
#include "messages/interfaces.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_memory.hpp"
#include "tests/support/fake_random.hpp"

namespace weir {

inline std::shared_ptr<payload> payload_of(const std::string& text) {
  auto bytes = std::make_shared<payload>();
  bytes->reserve(text.size());
  std::memcpy(bytes->data_for_writing(), text.data(), text.size());
  bytes->resize(text.size());
  bytes->seal();
  return bytes;
}

/// What became of a body whose receipt a test holds on to.
struct body_fate {
  bool done = false;
  receipt_outcome outcome;
  std::vector<ledger_entry> entries;
};

/// A body with its receipt, as an intake makes it.
inline std::shared_ptr<batch> body_of(const std::string& text, std::shared_ptr<body_fate> fate, batch_id id = {},
                                      const std::string& scope = "",
                                      std::shared_ptr<const sender> from = std::make_shared<const sender>(sender{
                                          "dev", true, {}})) {
  auto body = std::make_shared<batch>();
  body->bytes = payload_of(text);
  body->scope = scope;
  body->id = id;
  body->sender = std::move(from);
  body->received_ns = 1'731'584'580'000'000'000;
  body->root = ticket{std::make_shared<receipt>([fate = std::move(fate)](receipt& settled) {
    fate->done = true;
    fate->outcome = settled.outcome();
    fate->entries = settled.take_entries();
  })};
  return body;
}

/// A snapshot of jobs in the datasets `http_requests` (zones, `ZoneID`) and `audit_logs` (accounts, `AccountID`).
struct snapshot_maker {
  config_version version{1};
  std::vector<std::pair<std::string, std::vector<std::string>>> accounts{};
  std::string cluster{};

  config_snapshot_ptr operator()(std::vector<job> jobs) const {
    dataset_config requests;
    requests.name = "http_requests";
    requests.scope_field = "ZoneID";
    dataset_config audit;
    audit.name = "audit_logs";
    audit.scope_field = "AccountID";
    audit.scopes = scope_kind::accounts;
    config_builder builder{{requests, audit}, {}};
    for (const auto& [account, zones] : accounts)
      for (const auto& zone : zones)
        builder.assign_zone(account, zone);
    for (auto& x : jobs)
      builder.add(x, number(x.id));
    snapshot_identity identity;
    identity.version = version;
    identity.cluster = cluster;
    return builder.finish(identity);
  }
};

inline job zone_job(std::uint64_t id, const std::string& zone, std::vector<std::string> fields = {}) {
  job x;
  x.id = job_id{id};
  x.dataset = "http_requests";
  x.scope = "zones/" + zone;
  x.destination_conf = secret{"file:///out/" + std::to_string(id)};
  x.field_names = std::move(fields);
  return x;
}

} // namespace weir
