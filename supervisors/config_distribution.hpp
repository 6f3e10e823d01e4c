#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/admission.hpp"
#include "actors/intake.hpp"
#include "actors/node_directory.hpp"
#include "actors/publication/config_targets.hpp"
#include "actors/role_configs.hpp"

namespace weir {

struct config_distribution_parts {
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<role_configs> configs;
  std::shared_ptr<buffer_admission> admission;
  std::shared_ptr<intake> door;
  std::function<rollout_health()> health;
  /// Events accepted per job since ever; see `config_targets::traffic`. May be empty.
  std::function<std::vector<std::pair<job_id, std::uint64_t>>()> traffic;
  /// Writes the last known good config; see `config_targets::keep_last_known_good`. Empty: nothing is kept.
  std::function<std::string(const config_snapshot&)> keep;
  snapshot_ptr first; ///< What the node starts with; empty (version 0) if it never had a config.
};

/// How a config reaches the roles of this node: offered to those that judge it, told to those that do not. It is the
/// only way; the publisher calls it in the order of a rollout. Beyond what `config_targets` says, all members may be
/// called from any thread.
class config_distribution final : public config_targets {
 public:
  explicit config_distribution(config_distribution_parts parts);

  std::size_t receivers() const override { return parts_.directory->receiver_count(); }
  std::size_t forwarders() const override { return parts_.directory->forwarder_count(); }
  bool offer_to_receiver(std::size_t i, config_offer_ptr offer) override;
  bool offer_to_forwarder(std::size_t i, config_offer_ptr offer) override;
  void apply_to_buffers(snapshot_ptr snapshot) override;
  void apply_to_intake(snapshot_ptr snapshot) override;
  std::string keep_last_known_good(const snapshot_ptr& snapshot) override;
  snapshot_ptr in_force() const override;
  rollout_health health() const override { return parts_.health(); }
  std::vector<config_version> receiver_versions() const override {
    return parts_.configs->versions(judging_role::receiver);
  }
  std::vector<config_version> forwarder_versions() const override {
    return parts_.configs->versions(judging_role::forwarder);
  }
  std::vector<std::pair<job_id, std::uint64_t>> traffic() const override {
    return parts_.traffic ? parts_.traffic() : std::vector<std::pair<job_id, std::uint64_t>>{};
  }

  const role_configs& roles() const noexcept { return *parts_.configs; }

  /// Calls `enter` with the config that a shard or the buffers' supervisor begins with. Until it returns, no newer one
  /// is told to anybody: whoever is sent this one and entered in the directory meanwhile misses none and gets none
  /// too late.
  template <class Enter>
  void introduce(Enter&& enter) const {
    std::lock_guard lock{mutex_};
    std::forward<Enter>(enter)(for_buffers_);
  }

 private:
  config_distribution_parts parts_;
  mutable std::mutex mutex_;
  snapshot_ptr for_buffers_;
  snapshot_ptr in_force_;
};

} // namespace weir
