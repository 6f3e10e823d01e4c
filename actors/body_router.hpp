#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "actors/event_scanner.hpp"
#include "config/config_snapshot.hpp"
#include "messages/batch.hpp"
#include "messages/interfaces.hpp"

namespace weir {

/// Turns a body into the lines of entitled scopes, grouped: what a forwarder does, without the actor.
/// Keeps its buffers. Not thread-safe.
class body_router {
 public:
  explicit body_router(scan_limits limits) : scanner_(limits) {}

  struct result {
    std::uint64_t received = 0;
    std::uint64_t not_entitled = 0;
    std::uint64_t offered = 0;
    std::uint64_t rejected = 0;
    std::array<std::uint64_t, reject_reason_count> rejected_by{};
  };

  /// Fills `routed` (lines and groups) with what is entitled under `snapshot` and counts the rest on
  /// the batch's receipt. Groups come in the order of their first line, lines in the body's order.
  /// A strict body with a bad line offers nothing.
  result route(const batch& body, const config_snapshot& snapshot, routed_batch& routed);

 private:
  struct grouped_line {
    line at;
    std::uint32_t group;
  };

  std::uint32_t group_of(entry_index entry, std::string_view id, const batch& body, const config_snapshot& snapshot,
                         routed_batch& routed);
  void take_events(const batch& body, const config_snapshot& snapshot, dataset_index dataset, routed_batch& routed);
  void sort_lines(routed_batch& routed);
  void reject_forbidden(const batch& body, const line& at);

  event_scanner scanner_;
  std::vector<scanned_event> events_;
  std::vector<grouped_line> lines_;
  std::vector<std::uint32_t> group_of_entry_; // sparse set: valid if the group names the entry
  std::uint64_t not_entitled_ = 0;
  std::uint64_t forbidden_ = 0;
};

/// Whether a credential may send for a scope: `*`, the scope itself, or the account that owns it.
bool may_send(const sender& from, scope_kind kind, std::string_view id, const tenant_table& tenants);

} // namespace weir
