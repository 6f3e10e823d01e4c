#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "actors/sources/ingest.hpp"
#include "config/config_snapshot.hpp"
#include "config/destination.hpp"
#include "messages/environment.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

/// Names that belong to the heartbeat: its dataset, its scope, and the sender in the ledger.
constexpr std::string_view heartbeat_dataset = "weir_heartbeat";
constexpr std::string_view heartbeat_scope = "zones/weir-heartbeat";
constexpr std::string_view heartbeat_sender = "heartbeat";

struct heartbeat_parts {
  std::shared_ptr<ingest_gate> gate;
  environment world;
  std::string node;
  std::function<config_snapshot_ptr()> snapshot; ///< In force; never null.
  destination_rules rules;
  std::chrono::milliseconds every{60'000};
  metrics_registry* metrics = nullptr; ///< Outlives this object.
};

/// Sends an event of its own through everything an event of a customer goes through, and looks whether it arrives:
/// intake, forwarder, receiver, shard, store, buffer, pusher, and a `file://` destination, where it is read back,
/// compared and removed.
///
/// It beats as soon as the config in force has a job of `heartbeat_dataset` for `heartbeat_scope` that pushes to
/// files; docs/operations.md shows the lines. That job is a job like any other: nothing on the way knows that it is
/// not. Its accounts have rows of their own in the ledger and are in no totals.
///
/// `weir_heartbeat_age_seconds`: since the start of the latest beat that arrived, at first since this object began to
/// beat; the metric is there from the first beat on. `weir_heartbeat_seconds`: how long that one took.
///
/// Not thread-safe; every call returns at once but for reading a small directory.
class heartbeat {
 public:
  explicit heartbeat(heartbeat_parts parts) : parts_(std::move(parts)) {}

  /// Looks for what arrived, and beats if it is time. Once a second.
  void tick();

 private:
  using time_point = std::chrono::steady_clock::time_point;
  struct beat {
    std::string line;
    time_point began;
  };

  std::optional<std::string> directory() const;
  void send(time_point now);
  void look(const std::string& directory, time_point now);
  bool take(const std::string& path, time_point now);
  void show(time_point now);

  static constexpr std::size_t most_outstanding = 16;
  static constexpr std::size_t most_foreign = 1'000;

  heartbeat_parts parts_;
  std::uint64_t number_ = 0;
  std::optional<time_point> last_, proven_;
  std::deque<beat> outstanding_;  ///< Not arrived, oldest first.
  std::set<std::string> foreign_; ///< Objects in the directory that are not ours.
  prometheus::Gauge* age_ = nullptr;
  prometheus::Gauge* took_ = nullptr;
};

} // namespace weir
