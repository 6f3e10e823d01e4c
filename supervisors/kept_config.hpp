#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/last_known_good.hpp"
#include "config/node_config.hpp"
#include "messages/environment.hpp"

namespace weir {

/// The last known good config of a node in `<data_dir>/config/`, and the key that signs it. A node starts with it
/// whether or not a publisher or a source is there.
class kept_config {
 public:
  struct copy_refused {
    good_copy which{};
    std::string reason; ///< As in metrics.
    std::string text;
  };
  struct opened {
    std::unique_ptr<kept_config> kept; ///< Null if there is no key; `problem` says why. Nothing is changed then.
    std::string problem;
    /// What the node starts with: the last known good config, or an empty one (version 0). Never null with `kept`.
    config_snapshot_ptr snapshot;
    bool first_start = false;          ///< There never was one.
    std::vector<copy_refused> refused; ///< Copies that are there and cannot be used: each is an alert.
  };

  /// Makes the directory and the key on the very first start. Blocks for the disk.
  static opened open(std::shared_ptr<disk> on, const node_config& config);

  /// Writes it; empty, or why not. Blocks for the disk; from any thread.
  std::string keep(const config_snapshot& snapshot);

  /// The node's key, for what else of its config it signs.
  const std::shared_ptr<const config_signer>& signer() const noexcept { return signer_; }

 private:
  kept_config(std::shared_ptr<disk> on, const std::string& directory, config_signer signer);

  std::shared_ptr<disk> disk_;
  std::string directory_;
  std::mutex mutex_;
  std::shared_ptr<const config_signer> signer_;
  last_known_good files_;
};

} // namespace weir
