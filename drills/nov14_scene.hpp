#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drills/load_sender.hpp"
#include "drills/nov14.hpp"
#include "drills/scratch_node.hpp"

namespace weir::drills {

inline constexpr std::uint64_t steady_seed = 14, flood_seed = 40, calibration_seed = 11;

/// The stage of one variant: a scratch node whose forwarding config another program writes, its senders'
/// tokens, and where its objects go.
class scene {
 public:
  scene(const nov14_plan& plan, const std::string& name, std::vector<std::string> unsafe_off);
  ~scene();
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;

  scratch_node& node() { return *node_; }
  std::uint64_t memory_bytes() const noexcept { return memory_; } ///< `limits.memory`
  /// Once the node has made its directory: what it delivers there lands where the plan says.
  void open_destinations();

  loopback_port steady_sender() const { return {ingest_, edge_}; }
  loopback_port flood_sender() const { return {ingest_, stray_}; }

  // What the generator's program writes.
  void publish_blank();
  void publish_everybody();
  void publish_entitled();

  /// How often the source was read and was no config.
  double source_failures() const;
  /// Until so many events were delivered to the entitled jobs, or no more came for a while.
  void await_delivery(std::uint64_t events, std::chrono::milliseconds within) const;
  const std::string& objects() const { return objects_.path(); }

 private:
  std::string config() const;
  std::string document(unsigned scopes);

  const nov14_plan& plan_;
  std::uint64_t memory_;
  drill_place place_, objects_;
  std::uint16_t ingest_, control_;
  secret edge_, stray_;
  bool watches_rollout_;
  std::uint64_t version_ = 0;
  std::unique_ptr<scratch_node> node_;
};

/// How often each guard fired, by its name: of the metrics that count refusals, holds and overload.
std::map<std::string, double> guards_fired(const std::string& metrics);
/// A metric of `guards_fired` and what must stand among its labels.
struct expected_guard {
  std::string metric, label;
};
/// The first guard that a variant leaves on.
expected_guard guard_expected(const std::string& variant);
double times_fired(const std::map<std::string, double>& guards, const expected_guard& expected);

} // namespace weir::drills
