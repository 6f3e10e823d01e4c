#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/event_scanner.hpp"
#include "actors/tenant_shares.hpp"
#include "config/config_snapshot.hpp"
#include "messages/credit.hpp"
#include "messages/interfaces.hpp"

namespace weir {

/// Sorts a routed batch per job and renders where a job wants other bytes than came: what a receiver
/// does, without the actor. Keeps its buffers. Not thread-safe.
class demultiplexer {
 public:
  using shard_of = std::function<std::size_t(job_id)>;

  struct result {
    std::uint64_t slices = 0;
    std::uint64_t offered = 0;                                    ///< Per job.
    std::uint64_t not_entitled = 0;                               ///< Passed by the forwarder, refused here.
    std::uint64_t shed_share = 0;                                 ///< Beyond their tenant's share.
    std::uint64_t shed_memory = 0;                                ///< Rendered, but there was no memory for it.
    std::vector<std::pair<std::size_t, slice_batch_ptr>> batches; ///< By shard.
  };

  /// `memory` pays for rendered copies, `shares` bounds what one tenant has under way: what they
  /// refuse is shed.
  demultiplexer(std::size_t shards, shard_of where, std::shared_ptr<credit_window> memory,
                std::shared_ptr<tenant_shares> shares);

  /// Checks entitlement again, under the receiver's own snapshot, and cuts the slices. Each slice
  /// gets its ticket here; the batch's root is still the caller's to settle. Jobs that only `leaving`
  /// has, the snapshot before, count as well: while a config is rolled out, what it adds counts at
  /// once, what it removes only when it is in force everywhere. Null: nothing is leaving.
  result split(const routed_batch& routed, const snapshot_ptr& snapshot, const snapshot_ptr& leaving = nullptr);

 private:
  struct target {
    slice_batch_ptr raw;      // slices of the body's own bytes
    slice_batch_ptr rendered; // slices of what was rendered
  };

  void offer_all(const routed_batch& routed, const scope_group& group, entry_span wanted,
                 const config_snapshot& snapshot, result& out);
  entry_span leaving_jobs(entry_span kept, entry_span before);
  /// False if it was shed.
  bool offer(const routed_batch& routed, const scope_group& group, const forwarding_entry& entry,
             const config_snapshot& snapshot);
  slice_batch& batch_for(slice_batch_ptr& slot, const routed_batch& routed, std::size_t lines);
  field_renderer& renderer_for(const std::vector<std::string>& fields);
  void finish_rendering(result& out);

  shard_of where_;
  std::shared_ptr<credit_window> memory_;
  std::shared_ptr<tenant_shares> shares_;
  std::vector<target> targets_;
  std::string text_; // rendered, of the body at hand
  std::map<const std::vector<std::string>*, std::unique_ptr<field_renderer>> renderers_;
  snapshot_ptr renderers_of_;
  snapshot_ptr leaving_renderers_of_;
  std::vector<forwarding_entry> left_; // jobs of one scope that are leaving
};

} // namespace weir
