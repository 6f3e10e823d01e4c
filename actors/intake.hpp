#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "actors/bodies_under_way.hpp"
#include "actors/credentials.hpp"
#include "actors/node_directory.hpp"
#include "actors/sources/ingest.hpp"
#include "config/config_snapshot.hpp"
#include "messages/environment.hpp"
#include "messages/node_status.hpp"
#include "store/store.hpp"
#include "telemetry/delay_metrics.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct intake_parts {
  environment world;
  std::shared_ptr<store::segmented_store> store;
  std::shared_ptr<node_status> status;
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<weir::credentials> credentials;
  std::shared_ptr<credit_window> memory;     ///< In-flight budget, for all bodies together.
  std::shared_ptr<credit_window> on_the_way; ///< Bodies between the sources and the shards.
  std::shared_ptr<forwarder_metrics> metrics;
  std::shared_ptr<bodies_under_way> under_way;
  std::shared_ptr<delay_metrics> delays;
  double sender_share = 0.25; ///< Of `memory` for one sender that is not the platform itself.
};

/// What stands between the sources and the roles: reserves memory, answers repeats from the stored
/// answer, gives each body its receipt, and turns the settled receipt into account and answer.
/// Thread-safe; called by the sources' threads.
class intake : public ingest_gate {
 public:
  explicit intake(intake_parts parts) : parts_(std::move(parts)) {}

  /// The config in force: datasets by name, and which zones an account owns.
  void configure(std::shared_ptr<const config_snapshot> snapshot);

  std::optional<std::uint32_t> dataset(std::string_view name) const override;
  bool fits(std::uint32_t dataset, std::string_view scope) const override;
  std::optional<credit> reserve(const sender& from, std::uint64_t bytes, ingest_refusal& refusal) override;
  std::uint64_t in_flight_bytes() const override { return parts_.memory->granted().bytes; }
  void accept(ingest_body body) override;
  std::shared_ptr<const sender> authenticate(std::string_view bearer_token) const override;
  bool may_send_for(const sender& from, std::string_view scope) const override;

 private:
  std::shared_ptr<const config_snapshot> snapshot() const;
  std::shared_ptr<credit_window> window_of(const sender& from);
  bool answer_repeat(const ingest_body& body, const batch_id& id, std::uint64_t digest);

  intake_parts parts_;
  mutable std::mutex mutex_;
  std::shared_ptr<const config_snapshot> snapshot_;
  std::map<std::string, std::shared_ptr<credit_window>> sender_windows_; // by token; as many as tokens
  std::atomic<std::uint64_t> turn_{0};
};

/// The name of a body: of the token and its `Idempotency-Key`. Null without a key.
batch_id batch_id_of(const sender& from, const std::string& idempotency_key);

} // namespace weir
