#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "messages/interfaces.hpp"

namespace weir {

/// What the health gate of a rollout compares, stage by stage. Totals since the node started, in events unless the name
/// says otherwise; they only grow.
struct rollout_health {
  std::uint64_t received = 0;       ///< In all bodies, by the forwarders' count.
  std::uint64_t not_entitled = 0;   ///< Dropped by forwarders and by receivers.
  std::uint64_t shed = 0;           ///< By receivers and shards, for any reason.
  std::uint64_t delivered = 0;      ///< Committed to destinations.
  std::uint64_t bodies = 0;         ///< Taken by forwarders.
  std::uint64_t refused_bodies = 0; ///< Answered 429 or 503 as a whole; not in `bodies`.
};

/// The node as the config publisher needs it: who is offered a config, and what happens around it.
///
/// Called from the publisher's thread only, which is none of the data side's. Members that hand something to a data
/// actor tell it and return at once (ADR 0001); only `keep_last_known_good` may block.
class config_targets {
 public:
  virtual ~config_targets() = default;

  virtual std::size_t receivers() const = 0;
  virtual std::size_t forwarders() const = 0;

  /// Hands the offer to the role; its answer comes through the offer. False if the role is not there just now (it is
  /// being restarted): the publisher tries again.
  virtual bool offer_to_receiver(std::size_t i, config_offer_ptr offer) = 0;
  virtual bool offer_to_forwarder(std::size_t i, config_offer_ptr offer) = 0;

  /// For those who judge nothing and must know a job before an event of it arrives: shards, the buffers' supervisor,
  /// admission. Called when every receiver has adopted it. The order of calls is the order of versions.
  virtual void apply_to_buffers(snapshot_ptr snapshot) = 0;
  /// Called when every forwarder has adopted it: the intake, and what `node::snapshot()` shows from now on.
  virtual void apply_to_intake(snapshot_ptr snapshot) = 0;
  /// Writes it to disk as last known good; called after `apply_to_intake`. Empty, or why it could not be written: then
  /// the config is in force all the same, and this is called again until it succeeds.
  virtual std::string keep_last_known_good(const snapshot_ptr& snapshot) = 0;

  /// What the node works by now: what it started with, or what `apply_to_intake` got last. Never null.
  virtual snapshot_ptr in_force() const = 0;

  virtual rollout_health health() const = 0;

  /// By which version each instance works now, by index; empty: not known. Needed where a publisher is restarted in the
  /// middle of a rollout.
  virtual std::vector<config_version> receiver_versions() const { return {}; }
  virtual std::vector<config_version> forwarder_versions() const { return {}; }

  /// Bytes, or events, accepted per job since ever. Compared day by day, so that a change is also judged by how much of
  /// yesterday's traffic it concerns. Asked once an hour. Empty: changes are judged by entries alone.
  virtual std::vector<std::pair<job_id, std::uint64_t>> traffic() const { return {}; }
};

/// What the source of the forwarding config says now: `[[jobs]]` and the job file, or an external generator.
struct config_reading {
  /// Checked as a document, not judged as a change. Its version and parent mean nothing; the publisher gives its own.
  /// Null if the source could not be read or its document is refused.
  snapshot_ptr snapshot;
  /// Name of the refusal as in metrics: one of `config_refusal`, `wrong_signature`, `unsigned_config`, …; empty with a
  /// snapshot. `not_read_yet`: a source that is read elsewhere has not been looked at so far, which is no refusal.
  std::string reason;
  std::string text; ///< A sentence for an operator; no secret.
  /// Changes since the version in force that their owners asked for and an audit row explains, sorted. A reload by an
  /// operator explains nothing.
  std::vector<job_id> explained;
  /// Who caused it, if it is known: name of a token, `reload`, a path or URL. For audit rows.
  std::string who;
};

/// Reads the source. Called on the publisher's thread every `config.interval` and after each change notice, so it must
/// return within about a second: a source that must be waited for is read elsewhere, and this gives what came last.
using read_config_source = std::function<config_reading()>;

} // namespace weir
