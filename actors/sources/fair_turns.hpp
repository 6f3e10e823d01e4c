#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "messages/environment.hpp"

namespace weir {

/// Whose body is read next while more is offered than the node takes.
///
/// Bodies that are under way queue for the same threads and the same disk, whoever sent them; so what is under way
/// is bounded by what the node gets done in `target` (Little's law, measured all the time), and whoever comes then
/// waits with the body unread in the kernel, which costs nothing. Turns go to the sender that has had the
/// least so far: one that sends less than its even share is served at once, whatever the others do.
///
/// Thread-safe. `go` is called without a lock: from `ask` itself, or from the thread whose body made room.
class fair_turns : public std::enable_shared_from_this<fair_turns> {
 public:
  using time = std::chrono::steady_clock::time_point;

  struct settings {
    std::chrono::nanoseconds target =
        std::chrono::milliseconds{100}; ///< From the turn to the answer, with others there.
    std::chrono::nanoseconds longest_target = std::chrono::seconds{1}; ///< On a disk that is slow by itself.
    /// Under way whatever the rate: 16 bodies of 256 KiB. A node that many small jobs slow down to 20 MiB/s, the least
    /// seen, takes 0.2 s for that.
    std::uint64_t least_bytes = 4u << 20;
    /// A body that is longer in coming waits for its sender and not for the node: until it is whole it does not count,
    /// so that slow senders take nobody's turn. Its memory is bounded by the sender's share.
    std::chrono::nanoseconds reading_patience = std::chrono::milliseconds{250};
    std::uint64_t first_body_bytes = 1u << 20; ///< Taken for the size of a sender's first body.
    /// The budget that bodies are reserved from, as it is at present. Half of it is given out in turns, so that nobody
    /// who has a turn is refused memory; the rest is for what is rendered. Not set: the target alone bounds.
    std::function<std::uint64_t()> memory{};
  };

  /// The right to have one body under way, until it is destroyed.
  class turn {
   public:
    turn(std::shared_ptr<fair_turns> from, std::string sender, std::uint64_t expected, std::uint64_t bytes,
         bool at_ease);
    ~turn();
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

    /// What the body came to, decoded, and holds from now on. Until then its sender's average is taken, or what was
    /// reserved if that is more.
    void weigh(std::uint64_t bytes);
    /// The body has its answer: the turn is over, and how long that took tells how fast the node is.
    void answered();

   private:
    friend class fair_turns;
    std::shared_ptr<fair_turns> from_;
    std::string sender_;
    std::uint64_t expected_; ///< Charged to its sender: what its bodies average to, then what it came to.
    std::uint64_t bytes_;    ///< Of memory: what was reserved, then what it came to.
    time began_;
    bool at_ease_; ///< Next to nothing was under way when it began: what it takes is no queue.
    bool weighed_ = false;
    bool counted_ = true; ///< Among what is under way.
    bool reading_ = true; ///< Listed in `reading_` of the owner, at `place_`.
    std::list<turn*>::iterator place_;
    std::atomic<bool> over_{false};
  };
  using turn_ptr = std::shared_ptr<turn>;
  using waiter_id = std::uint64_t; ///< 0: none.

  fair_turns(settings how, std::shared_ptr<clock_source> clock) : how_(how), clock_(std::move(clock)) {}

  /// The turn at once, or a waiter's number, and `go` is called when it comes to it. `reserves` is what the body takes
  /// of the memory before its first byte is read.
  turn_ptr ask(const std::string& sender, std::uint64_t reserves, std::function<void(turn_ptr)> go, waiter_id& waits);
  /// For who waits: ask now and then, `reading_patience` apart, since nothing else may tell that a body is slow.
  void look_again();
  /// No longer wanted. False if its turn is already on the way to it.
  bool withdraw(waiter_id waits);

  struct report {
    std::size_t waiting = 0, under_way = 0;
    std::uint64_t bytes_under_way = 0, bytes_allowed = 0;
  };
  report look() const;

 private:
  struct waiter {
    waiter_id id;
    std::uint64_t reserves;
    std::function<void(turn_ptr)> go;
  };
  struct account {
    double had = 0;        ///< Bytes; only differences between senders count.
    double body_bytes = 0; ///< Average of its bodies.
    std::size_t under_way = 0;
    std::deque<waiter> waiting;
  };
  struct granted {
    std::function<void(turn_ptr)> go;
    turn_ptr given;
  };

  bool room(std::uint64_t bytes) const;
  std::uint64_t allowed() const;
  static std::uint64_t held_by(const account& sender, std::uint64_t reserves);
  turn_ptr give(const std::string& sender, account& to, std::uint64_t reserves);
  std::vector<granted> give_waiting();
  void pass_over_slow();
  void end_reading(turn& of);
  void weighed(turn& of, std::uint64_t bytes);
  void answered(const turn& of);
  void over(turn& of);

  const settings how_;
  const std::shared_ptr<clock_source> clock_;
  mutable std::mutex mutex_;
  std::map<std::string, account> senders_; // by token: as many as the config has
  std::list<turn*> reading_;               // oldest first
  std::uint64_t bytes_ = 0;                // under way
  std::size_t under_way_ = 0, waiting_ = 0;
  waiter_id last_id_ = 0;
  double most_had_ = 0; ///< Of all that were served, when they were.
  time interval_began_{};
  std::uint64_t answered_bytes_ = 0; ///< In the interval.
  double rate_ = 0;                  ///< Bytes a second.
  double ease_seconds_ = 0;          ///< From turn to answer when next to nothing is under way.
};

} // namespace weir
