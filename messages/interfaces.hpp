#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include "messages/batch.hpp"
#include "messages/environment.hpp"
#include "messages/ids.hpp"
#include "messages/supervision.hpp"

/// Every role's interface in one place, so that the protocol of a node reads in one screen. Each
/// line says who sends it and what the answer means. Messages that carry events are shared pointers:
/// they never leave the process, and what dies with them fails its receipts.
namespace weir {

struct config_snapshot;

namespace store {
struct append_record;
struct block_bytes;
} // namespace store

namespace proto {
class Cut;
}

using snapshot_ptr = std::shared_ptr<const config_snapshot>;
using batch_ptr = std::shared_ptr<batch>;
using routed_batch_ptr = std::shared_ptr<routed_batch>;
using slice_batch_ptr = std::shared_ptr<slice_batch>;

struct sealed_group; // blocks of one shard on their way to the disk and back; below
struct record_group; // cuts, commits, trims of buffers; below
struct body_account; // what one body came to; below
struct lease;        // a cut in a pusher's hands; below
struct config_offer; // a forwarding config that a role is to judge; below
using sealed_group_ptr = std::shared_ptr<sealed_group>;
using record_group_ptr = std::shared_ptr<record_group>;
using body_account_ptr = std::shared_ptr<body_account>;
using lease_ptr = std::shared_ptr<const lease>;
using config_offer_ptr = std::shared_ptr<const config_offer>;
using window_ptr = std::shared_ptr<std::vector<store::block_bytes>>;

// -- messages without events ------------------------------------------------------------------

struct linger_tick {}; ///< Shard's own timer: seal what has waited long enough.
struct commit_tick {}; ///< Writer's own: everything queued before it goes into the group.
struct upkeep_tick {}; ///< Own timer of several roles: their slow, regular work.
struct drain {};       ///< Seal, write, answer; then say so.
struct drained {};
struct recorded {}; ///< Answer: the records are durable and in effect.

/// From shards: these jobs have something to push now (by age, bytes or records).
struct jobs_due {
  std::vector<job_id> jobs;
};
/// From the writer to the shards: these bodies are done; their slices need not be remembered.
struct batches_done {
  std::vector<batch_id> batches;
};
/// From a buffer to its shard: a cut took this much of the job's backlog.
struct cut_made {
  job_id job{};
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
};
/// From a buffer to its shard: so many bytes of the job are no longer on disk; count them off the quota.
struct space_freed {
  job_id job{};
  std::uint64_t bytes = 0;
};
/// From a buffer to its shard: nothing is due any more; announce the job again when something is.
struct backlog_taken {
  job_id job{};
};
/// From a buffer's supervisor: the job is gone from the config and its time is over; remove what it has.
/// Taken back by a snapshot that has the job again.
struct remove_events {
  bool deleted = false; ///< Its owner deleted it, dead letters go with it; else its time on hold is over.
};
/// From a buffer to its supervisor: I am idle. It is told to exit unless more was asked of it meanwhile.
struct leaving {
  job_id job{};
  std::uint64_t heard = 0; ///< How many `jobs_due` reached the buffer; one more under way, and it stays.
};

/// From a pusher: a window of the leased cut, from this sequence on.
struct read_window {
  sequence_range cut;
  sequence from = 0;
};
/// From a pusher: the object is at its destination.
struct commit_cut {
  sequence_range cut;
};
/// From a pusher: the destination will never take it. Split it, or dead-letter a single event.
struct refuse_cut {
  sequence_range cut;
  int status = 0;
  std::string reason;
  bool destination_accepts = false; ///< It has taken other bodies lately: the fault is in this one.
};
/// From a pusher: another object sits under the name; take a longer hash.
struct rename_cut {
  sequence_range cut;
};
/// From a pusher, for the job's health: why the destination does not take it at present. Empty: it does again.
struct push_health {
  std::string error;
};

// An order without a result is answered `order_done`, never `recorded`: CAF 0.17.6 sends that as an
// empty message, its type check demands `[](recorded)`, and so whoever asks gets
// `sec::unexpected_response`, always.

// -- roles ------------------------------------------------------------------------------------

using forwarder_actor = caf::typed_actor<
    // From a source. The receipt answers.
    caf::reacts_to<batch_ptr>,
    // From its starter: what this role had in force before it was restarted. Not judged.
    caf::reacts_to<snapshot_ptr>,
    // From the config publisher, after the receivers have it. Judged here; the offer's `answer` is called.
    caf::reacts_to<config_offer_ptr>>;

using receiver_actor = caf::typed_actor<
    // From any forwarder. The receipt answers.
    caf::reacts_to<routed_batch_ptr>,
    // From its starter: what this role had in force before it was restarted. Not judged.
    caf::reacts_to<snapshot_ptr>,
    // From the config publisher. Judged here; the offer's `answer` is called.
    caf::reacts_to<config_offer_ptr>>;

using shard_actor = caf::typed_actor<
    // From the receivers. The receipts answer.
    caf::reacts_to<slice_batch_ptr>,
    // Back from the store writer: durable, or failed.
    caf::reacts_to<sealed_group_ptr>,
    // From the config publisher.
    caf::reacts_to<snapshot_ptr>,
    // From the store writer.
    caf::reacts_to<batches_done>,
    // From buffers.
    caf::reacts_to<cut_made>, caf::reacts_to<space_freed>, caf::reacts_to<backlog_taken>,
    // From the node at shutdown: answers when nothing is open or under way.
    caf::replies_to<drain>::with<drained>,
    // Own timers.
    caf::reacts_to<linger_tick>, caf::reacts_to<upkeep_tick>>;

using store_writer_actor = caf::typed_actor<
    // From shards. The same group comes back, durable or failed.
    caf::reacts_to<sealed_group_ptr>,
    // From buffers. Answers once durable. Errors: store_failed.
    caf::replies_to<record_group_ptr>::with<recorded>,
    // From receipts. Responds to the sender once durable.
    caf::reacts_to<body_account_ptr>,
    // From the node at shutdown: answers when everything queued before is durable.
    caf::replies_to<drain>::with<drained>,
    // Own timers.
    caf::reacts_to<commit_tick>, caf::reacts_to<upkeep_tick>>;

using buffer_actor = caf::typed_actor<
    // From its supervisor: there is something to push.
    caf::reacts_to<jobs_due>,
    // From a pusher: the open cut, made now if there is none. Errors: not_found (nothing to push), store_failed.
    caf::replies_to<caf::get_atom>::with<lease_ptr>,
    // From a pusher: blocks of the cut, at most 256 KiB and at least one. Errors: lease_lost, corrupt, store_failed.
    caf::replies_to<read_window>::with<window_ptr>,
    // From a pusher. Answer once durable. Errors: lease_lost, store_failed.
    caf::replies_to<commit_cut>::with<recorded>, caf::replies_to<refuse_cut>::with<recorded>,
    caf::replies_to<rename_cut>::with<recorded>, caf::reacts_to<push_health>,
    // From its supervisor: the job's settings changed or it is on hold.
    caf::reacts_to<snapshot_ptr>,
    // From its supervisor: nobody wants the job's events any more.
    caf::reacts_to<remove_events>,
    // Own timer.
    caf::reacts_to<upkeep_tick>>;

/// From a buffer to the pusher.
struct push_wanted {
  job_id job{};
  std::string tenant;
  std::uint64_t destination = 0; ///< Fingerprint of the destination: who shares it shares its health.
  std::uint64_t bytes = 0;       ///< Estimate of the next object, compressed.
  buffer_actor buffer;
};
/// From a buffer's supervisor to the pusher: forget the job (deleted, on hold, parked).
struct push_withdrawn {
  job_id job{};
};
struct window_wanted {
  std::uint64_t upload = 0;
};
struct upload_ended {
  std::uint64_t upload = 0;
  upload_outcome outcome;
};

using pusher_actor = caf::typed_actor<
    // From buffers, and their supervisor.
    caf::reacts_to<push_wanted>, caf::reacts_to<push_withdrawn>,
    // From the network.
    caf::reacts_to<window_wanted>, caf::reacts_to<upload_ended>,
    // From the node at shutdown: starts nothing more; answers when no upload runs.
    caf::replies_to<drain>::with<drained>,
    // Own timer.
    caf::reacts_to<upkeep_tick>>;

using buffers_actor = caf::typed_actor<
    // From shards.
    caf::reacts_to<jobs_due>,
    // From buffers.
    caf::reacts_to<leaving>,
    // From the config publisher.
    caf::reacts_to<snapshot_ptr>,
    // From an operator: a parked buffer may try again. Errors: not_found, refused (it is not parked).
    caf::replies_to<unpark_child>::with<order_done>, caf::replies_to<list_children>::with<children_status>,
    // Own timers.
    caf::reacts_to<child_timer>, caf::reacts_to<upkeep_tick>>;

// -- what the pointers hold -------------------------------------------------------------------

/// What a forwarder or receiver made of an offer.
struct config_answer {
  bool adopted = false;
  std::string reason;        ///< Name of the refusal or hold, as in metrics; empty if adopted.
  std::string text;          ///< A sentence for an operator; no secret.
  config_version in_force{}; ///< After the judgement.
};

/// A forwarding config on its way to a role, which trusts nobody and judges it by itself.
struct config_offer {
  snapshot_ptr snapshot;
  /// What an operator approved: `approval_hash` of exactly this change. All zero: nothing was approved.
  content_hash approved{};
  /// How many of the changes an audit row explains; they count against a rate, not as a share.
  std::uint64_t explained = 0;
  /// Called once, from the role's thread; must only tell (see ADR 0001). Not called if the role dies.
  std::function<void(config_answer)> answer;
};

/// The events of one body within a block, and the duty to settle them.
struct block_share {
  ticket duty;
  std::uint32_t events = 0;
  batch_id batch;
};

struct sealed_block {
  job_id job{};
  sequence_range range;
  std::shared_ptr<store::append_record> record; ///< Emptied by the writer.
  std::uint64_t disk_bytes = 0;                 ///< About what it takes on disk; for quotas.
  std::uint64_t raw_bytes = 0;                  ///< Of the events, before compression.
  std::vector<block_share> shares;
};

struct sealed_group {
  shard_actor from;
  std::vector<sealed_block> blocks;
  std::uint64_t bytes = 0;                       ///< On disk, all blocks together.
  std::chrono::steady_clock::time_point since{}; ///< The first of its events came to the shard.
  std::uint64_t epoch = 0; ///< Of the shard's numbering; after a failure the writer refuses what is left of it.
  bool durable = false;    ///< Set by the writer before it comes back.
  bool disk_full = false;
  credit edge; ///< Of the shard–writer edge.
};

struct record_group {
  std::vector<store::append_record> records;
};

struct body_account {
  batch_id batch;                           ///< Null: a body without a name.
  std::string meta;                         ///< proto::BodyAccount, serialised.
  std::function<void(bool durable)> finish; ///< Called once, from the writer or on destruction.

  body_account() = default;
  body_account(const body_account&) = delete;
  body_account& operator=(const body_account&) = delete;
  /// An account that dies on its way was not made durable.
  ~body_account() { settle(false); }
  void settle(bool durable) {
    if (auto call = std::exchange(finish, nullptr))
      call(durable);
  }
};

/// A cut with what a pusher has to know to push it.
struct lease {
  job_id job{};
  sequence_range cut;
  std::string object_name;
  std::string url; ///< With its secrets; never logged.
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::uint64_t> length; ///< Of the object, if no member has to be merged or cut.
};

} // namespace weir

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::snapshot_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::batch_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::routed_batch_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::slice_batch_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::sealed_group_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::record_group_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::body_account_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::lease_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::window_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::config_offer_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::linger_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::commit_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::upkeep_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::drain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::drained)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::recorded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::jobs_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::batches_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::cut_made)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::space_freed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::backlog_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::leaving)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::remove_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::read_window)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::commit_cut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::refuse_cut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::rename_cut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::push_health)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::push_wanted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::push_withdrawn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::window_wanted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::upload_ended)
