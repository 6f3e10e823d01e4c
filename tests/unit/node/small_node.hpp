#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/sources/ingest.hpp"
#include "supervisors/node.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/unit/node/fake_network.hpp"

namespace weir {

using namespace std::chrono_literals;

/// A job of a small node, short to write in a test. Its destination is `file:///out/<id>/`.
struct small_job {
  std::uint64_t id = 0;
  std::string zone{};
  std::chrono::seconds interval{1};
  std::uint64_t max_records = 0;
  std::uint64_t max_bytes = 0;
  std::uint64_t quota = 0;
  std::vector<std::string> fields{};
  bool enabled = true;
  bool on_hold = false; ///< As the publisher leaves it in the config when it vanished.
};

/// An event as it arrived at a destination.
struct delivered_event {
  std::uint64_t of = 0; ///< Generation.
  sequence number = 0;
  std::string text; ///< Without its line end.
};

/// The answer to a body, once there is one; `status` 0 until then, and for ever if the node died first.
using awaited_answer = std::shared_ptr<ingest_answer>;

/// A whole node in one thread: the real roles under their real supervisors, over the real store on a disk
/// that forgets, and destinations in memory. Nothing happens but within the members here.
struct small_node : deterministic_system {
  explicit small_node(std::vector<small_job> jobs, std::uint64_t seed = 1);
  ~small_node();

  /// The config of the next `start`. Small blocks and segments, so that few events fill many.
  node_config config;
  std::shared_ptr<fake_network> network;

  guard_switches guards; ///< Of the next `start`.

  /// Opens what the disk holds and starts the roles.
  void start();
  /// The same with another config in force than that of the jobs, kept by `keep`.
  void start_with(config_snapshot_ptr first, std::function<std::string(const config_snapshot&)> keep);
  /// Power fails: the roles are gone, what was not synced is lost as `seed` has it, nobody is answered. The
  /// objects at the destinations stay. Not started again.
  void crash(std::uint64_t seed, std::optional<fake_disk::pending_fate> fate = {});
  /// Puts these jobs in force as a rollout does, role after role, whatever the roles' guards would think of them.
  void publish(std::vector<small_job> jobs);
  /// A config of these jobs with the next version; not offered to anybody.
  config_snapshot_ptr snapshot_of(const std::vector<small_job>& jobs);
  /// Offers it to one role and waits for the answer; nothing if the role dies first.
  std::optional<config_answer> offer(judging_role role, std::size_t i, config_offer what);

  /// Hands a body to the gate, as a source does. With `key` as its Idempotency-Key.
  awaited_answer post(const std::string& body, const std::string& key = "");
  /// The same, and waits for the answer, up to a second.
  ingest_answer put(const std::string& body, const std::string& key = "");

  /// From now on the order of steps is drawn.
  void shuffle_steps() { shuffled_ = true; }
  /// One step of one actor or upload. False if nobody has anything to do.
  bool step();
  /// One step, or a millisecond passes when nobody has anything to do.
  void step_or_wait();
  /// Steps until nobody has anything to do.
  void pump();
  /// Steps, and time in steps of 10 ms, until `holds`; false after `most`.
  bool pump_until(const std::function<bool()>& holds, std::chrono::milliseconds most = 60s);
  /// Lets time pass.
  void pass(std::chrono::nanoseconds by, std::chrono::nanoseconds each = 50ms);

  bool running() const { return node_ != nullptr; }
  weir::node& node() { return *node_; }
  store::job_account account(std::uint64_t job) const;
  /// What is on disk and not delivered, over all jobs.
  std::uint64_t buffered() const;
  /// Both accounts of the ledger balance.
  bool balanced() const;
  /// The buffer actor of a job that wants to push, as the pusher knows it; null if it knows none.
  buffer_actor buffer_of(std::uint64_t job);

  /// Everything that arrived at a job's destination, in the order of arrival.
  std::vector<delivered_event> delivered(std::uint64_t job) const;
  /// The same as one text, for comparing with bodies.
  std::string delivered_text(std::uint64_t job) const;
  /// What is wrong with the sequences of a job's objects; empty: nothing. From 1 on in each generation,
  /// in the order of the objects, nothing missing but `holes`, nothing twice.
  std::string disorder(std::uint64_t job, const std::vector<sequence>& holes = {}) const;

 private:
  void adopt_everywhere(judging_role role, const config_snapshot_ptr& next);

  std::unique_ptr<weir::node> node_;
  std::vector<small_job> jobs_;
  config_version version_{};
  fake_random picks_;
  bool shuffled_ = false;
  std::shared_ptr<std::uint64_t> life_ = std::make_shared<std::uint64_t>(0);
  std::shared_ptr<const sender> from_ = std::make_shared<const sender>(sender{"dev", true, {}});
};

/// `zone-1`, `zone-2` … are too short for nobody: any id of 1–32 safe characters is a zone.
inline std::string zone(std::uint64_t i) {
  return "zone" + std::to_string(i);
}
/// One event of a zone that can be told from all others.
std::string event(const std::string& zone, std::uint64_t n, const std::string& more = "");
/// `count` events from `first` on, a line each.
std::string events(const std::string& zone, std::uint64_t first, std::uint64_t count);

} // namespace weir
