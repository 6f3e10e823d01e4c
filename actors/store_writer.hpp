#pragma once

#include <deque>
#include <map>
#include <memory>
#include <variant>

#include "actors/bounded_mailbox.hpp"
#include "actors/node_directory.hpp"
#include "messages/interfaces.hpp"
#include "messages/node_status.hpp"
#include "messages/settled_level.hpp"
#include "store/store.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct store_writer_parts {
  std::shared_ptr<store::segmented_store> store;
  std::shared_ptr<node_status> status;
  std::shared_ptr<node_directory> directory;
  std::shared_ptr<store_metrics> metrics;
  std::uint64_t group_bytes = 1 << 20;     ///< Most bytes of one group.
  std::uint64_t eager_bytes = 256 << 10;   ///< A group this large need not wait for company.
  std::chrono::milliseconds group_wait{2}; ///< Measured: without it, groups of 36 KiB and 1,900 syncs a second.
};

struct store_writer_state {
  static constexpr const char* name = "store_writer";
  static constexpr std::uint64_t mailbox_limit = 65'536; ///< Accounts of tiny bodies come one by one.

  struct records {
    record_group_ptr group;
    caf::typed_response_promise<recorded> answer;
  };
  struct drain_mark {
    caf::typed_response_promise<drained> answer;
  };
  using item = std::variant<sealed_group_ptr, records, body_account_ptr, drain_mark>;

  store_writer_parts parts;
  std::deque<item> queue;
  std::uint64_t queued_bytes = 0;
  bool commit_due = false;
  settled_level<std::uint8_t> disk{
      std::chrono::seconds{1}};                       ///< What the node does; the store itself judges each group.
  std::map<caf::actor_id, std::uint64_t> void_epochs; ///< Per shard: numberings that a failure ended.
};

/// The only writer of the node's log. Takes what is queued, makes it durable by one write and one
/// fdatasync, and tells everybody concerned. It blocks in the disk, so a node spawns it detached; a
/// test spawns it on the testing scheduler.
store_writer_actor::behavior_type store_writer(bounded_pointer<store_writer_actor, store_writer_state> self,
                                               store_writer_parts parts);

} // namespace weir
