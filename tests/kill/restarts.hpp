#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>

#include "tests/support/lossy_disk.hpp"
#include "tests/support/running_node.hpp"

namespace weir {

/// A plan whose store rolls, recycles and relocates within a few hundred bodies, and whose retries fit
/// into the time of a test.
node_plan plan_of_small_segments();

/// One node under a sender that goes on while the node is killed and started again: it repeats each
/// body until it is acknowledged and writes down which were. What must hold at the end is checked by
/// `finish`, with doctest's macros.
class restarts {
 public:
  restarts(node_plan plan, std::uint64_t seed);

  running_node node;
  std::mt19937_64 random;

  std::uint64_t draw(std::uint64_t below) { return random() % below; }
  /// Begins to send: events of all jobs' zones and as many of zones without a job.
  void send(double rate = 8'000);
  /// Waits until about so many further bodies are acknowledged. False if the node died or nothing came.
  bool let_pass(std::uint64_t bodies);
  /// Waits until an object, or its temporary file, appears or goes.
  bool let_push();
  std::size_t object_files() const; ///< And directories.
  /// Starts the node, which must be ready in time and have found no damage.
  void start();
  /// Kills it while it recovers, at a drawn instant.
  void kill_in_recovery(const std::function<bool()>& disk_is_gone = {});

  /// Ends the sender, drains, stops, and audits: every acknowledged event is there, once, and the
  /// ledger says the same as the files.
  void finish();
  /// The same without stopping.
  void drain();
  /// The bodies under way are acknowledged, and no others follow.
  void end_sender();
  void check_audit();

  std::uint64_t events_beside = 0; ///< That were accepted without a receipt, one by one.
  std::chrono::milliseconds longest_start{0};
  unsigned starts = 0;

 private:
  std::uint64_t receipt_bytes() const;

  unsigned jobs_;
  std::optional<process> sender_;
  nlohmann::json last_ledger_;
};

/// A directory for objects that can be taken away and given back: uploads fail meanwhile, and are
/// tried again.
class withdrawn_objects {
 public:
  explicit withdrawn_objects(const running_node& node);
  withdrawn_objects(withdrawn_objects&& other) noexcept
      : path_(other.path_), away_(std::exchange(other.away_, false)) {}
  void give_back();
  ~withdrawn_objects();

 private:
  std::string path_;
  bool away_ = true;
};

} // namespace weir
