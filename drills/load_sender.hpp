#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "drills/generate_bodies.hpp"
#include "messages/secret.hpp"

namespace weir::drills {

/// Bodies rendered before anything is measured, so that sending one costs a copy to a socket.
struct body_pool {
  generate::body_plan plan;
  std::vector<generate::ready_body> bodies;
  std::uint64_t events = 0;
};

/// Renders a plan with an end, over `threads` threads.
std::shared_ptr<const body_pool> render_pool(const generate::body_plan& plan, unsigned threads);

/// Where a node of this machine listens.
struct loopback_port {
  std::uint16_t port = 0;
  secret token;
};

struct load_plan {
  loopback_port to;
  std::string target = "/v1/ingest/http_requests";
  std::shared_ptr<const body_pool> pool;
  std::string run;              ///< Part of each `Idempotency-Key`; another one for every load.
  unsigned connections = 4;     ///< Each has one body under way.
  double events_per_second = 0; ///< At which bodies become due; 0 = as fast as they are taken.
  /// A refused body is sent again under its key until it is taken. Without it the load goes on with the
  /// next one, as a flood does.
  bool repeats = true;
  /// A flood: a body that nobody could send within this time of its being due is dropped by the sender.
  std::chrono::milliseconds drop_after{0};
  /// At the end of the pool starts again, with the same events under new keys. Only for loads of which nobody asks
  /// whether an event came twice.
  bool cycles = false;
};

/// What became of a body. Times are nanoseconds of the wall clock, as a destination's files have them.
struct body_fate {
  std::uint64_t first = 0; ///< Counter of its first event.
  std::uint32_t count = 0;
  std::uint32_t refusals = 0;
  std::int64_t due_ns = 0;      ///< When it should have been sent: what every delay is measured from.
  std::int64_t answered_ns = 0; ///< Of the answer 200; 0: none came.
  std::uint32_t accepted = 0, not_entitled = 0, shed = 0;
};

struct load_counts {
  std::uint64_t due_events = 0; ///< Offered: their time to be sent has come.
  std::uint64_t accepted = 0;   ///< Of the node's answers, as the following two.
  std::uint64_t not_entitled = 0;
  std::uint64_t shed = 0;
  std::uint64_t answered_events = 0; ///< In bodies that were answered 200.
  std::uint64_t refused_bodies = 0;  ///< 429, 503, 507.
  std::uint64_t refused_events = 0;  ///< In them; a repeat counts again.
  std::uint64_t dropped_events = 0;  ///< Never sent: the node took no more.
  std::uint64_t broken = 0;          ///< Connections.
  std::uint64_t other_answers = 0;   ///< Neither 200 nor a refusal for now.
};

/// One load: a thread, keep-alive connections, and a clock that says when a body is due. A body that has to wait for a
/// connection is late from the moment it was due, so a slow node cannot slow down how it is measured.
class load_sender {
 public:
  explicit load_sender(load_plan plan);
  ~load_sender();
  load_sender(const load_sender&) = delete;
  load_sender& operator=(const load_sender&) = delete;

  void start();
  /// No body becomes due any more.
  void end() { ending_ = true; }
  /// Waits for the answers that are out, up to `patience`. True if nothing is left without one.
  bool finish(std::chrono::milliseconds patience);

  load_counts counts() const;
  /// Every body that became due, in order; only after `finish`.
  const std::vector<body_fate>& fates() const { return fates_; }
  const load_plan& plan() const { return plan_; }
  /// The first answer that was neither 200 nor a refusal for now, for a report.
  std::string strange_answer() const { return strange_; }

 private:
  class loop;
  void run();

  load_plan plan_;
  std::vector<body_fate> fates_;
  std::atomic<bool> ending_{false};
  std::atomic<bool> abandon_{false};
  std::atomic<bool> done_{false};
  bool all_answered_ = false;
  std::string strange_;
  struct shared_counts {
    std::atomic<std::uint64_t> due{0}, accepted{0}, not_entitled{0}, shed{0}, answered{0}, refused_bodies{0},
        refused_events{0}, dropped{0}, broken{0}, other{0};
  } counts_;
  std::thread thread_;
};

/// Nanoseconds of the wall clock.
std::int64_t wall_now_ns();

} // namespace weir::drills
