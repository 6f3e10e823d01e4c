#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/expected.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "messages/environment.hpp"
#include "messages/error.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_disk.hpp"
#include "tests/support/fake_memory.hpp"
#include "tests/support/fake_random.hpp"

namespace weir {

/// An answer that comes, or does not, while the test runs the system. Copies share the answer.
template <class Result>
class awaited {
 public:
  bool answered() const { return state_->has_value(); }
  /// The answer or the error that came; `request_timeout` as long as nothing has come.
  caf::expected<Result> get() const { return answered() ? **state_ : caf::expected<Result>{caf::sec::request_timeout}; }

 private:
  friend struct deterministic_system;
  std::shared_ptr<std::optional<caf::expected<Result>>> state_ =
      std::make_shared<std::optional<caf::expected<Result>>>();
};

/// A doctest fixture: actors on one thread, under a clock that moves only when told to. Spawn with
/// `owned(system.spawn(…))`, so that the actor is stopped at the end of the test.
///
/// Nothing runs but within `run`, `advance`, `ask`, `order`, `stop` and `kill`; then until nobody has anything
/// to do. Actors made of functions need at least one argument: without any, CAF 0.17.6 trips over the
/// assertions of the dev preset. Spawn nothing detached or blocking here: it would get a thread of its own, and `run`
/// not wait for it.
struct deterministic_system {
  struct testing_config : caf::actor_system_config {
    testing_config() {
      set("scheduler.policy", caf::atom("testing"));
      set("logger.inline-output", true);
      add_error_category(error_category, render_error);
    }
  };

  testing_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::scheduler::test_coordinator& scheduler = dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());

  /// Fakes for roles that want them; the clock moves with `advance`. There is no network in `world`.
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<fake_disk> disk = std::make_shared<fake_disk>();
  std::shared_ptr<fake_random> random = std::make_shared<fake_random>(1);
  std::shared_ptr<fake_memory> memory = std::make_shared<fake_memory>();
  environment world{clock, disk, nullptr, random, memory};

  deterministic_system() {
    scheduler.clock().current_time += std::chrono::hours(1);
    running_at_start_ = system.registry().running();
  }
  deterministic_system(const deterministic_system&) = delete;
  deterministic_system& operator=(const deterministic_system&) = delete;

  ~deterministic_system() {
    for (auto reason : {caf::exit_reason::user_shutdown, caf::exit_reason::kill}) {
      std::for_each(owned_.rbegin(), owned_.rend(), [&](auto& x) { stop(x, reason); });
    }
    owned_.clear();
    world = {};
    // A delayed message keeps its receiver's memory; those who ran are dead by now and ignore it.
    scheduler.trigger_timeouts();
    run();
    if (auto left = system.registry().running(); left > running_at_start_) {
      // ~actor_system would wait for them until the test's time limit, and nobody would know why.
      std::fprintf(stderr, "deterministic_system: %zu actors outlive their test; spawn them with owned()\n",
                   left - running_at_start_);
      std::abort();
    }
  }

  /// From now on `run` takes the ready actors in an order drawn from `seed`, not first come first served.
  void shuffle(std::uint64_t seed) { order_.emplace(seed); }

  /// Remembers an actor, to be stopped at the end: `user_shutdown`, then `kill`; the youngest first.
  template <class Handle>
  Handle owned(Handle x) {
    owned_.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }

  /// Runs until nobody has anything to do; returns the number of steps. Beyond `most` steps something
  /// feeds itself without end: that aborts, because a test cannot go on from there.
  std::size_t run(std::size_t most = 10'000'000) {
    std::size_t steps = 0;
    for (; !scheduler.jobs.empty(); ++steps) {
      if (steps == most) {
        std::fprintf(stderr, "deterministic_system: still busy after %zu steps\n", most);
        std::abort();
      }
      if (order_)
        std::swap(scheduler.jobs.front(), scheduler.jobs[order_->below(scheduler.jobs.size())]);
      scheduler.run_once();
    }
    return steps;
  }

  /// Lets time pass and runs, in steps: a timer that is armed anew by its handler fires once a step.
  void advance(std::chrono::nanoseconds by, std::chrono::nanoseconds step = std::chrono::milliseconds(10)) {
    run();
    while (by.count() > 0) {
      auto now = std::min(by, step);
      clock->advance(now);
      scheduler.advance_time(now);
      run();
      by -= now;
    }
  }

  /// Sends a request and lets it lie: the test runs the system. `void` where the answer has no value.
  template <class Result, class Handle, class... Ts>
  awaited<Result> ask_later(const Handle& whom, Ts&&... question) {
    awaited<Result> answer;
    auto state = answer.state_;
    auto asker = [state, whom, question = caf::make_message(std::forward<Ts>(question)...)](caf::event_based_actor* me,
                                                                                            int) {
      auto request = me->request(caf::actor_cast<caf::actor>(whom), caf::infinite, question);
      auto failed = [state](caf::error& x) { state->emplace(std::move(x)); };
      if constexpr (std::is_void_v<Result>)
        request.then([state] { state->emplace(); }, failed);
      else
        request.then([state](Result& x) { state->emplace(std::move(x)); }, failed);
    };
    // Spawned without arguments, CAF 0.17.6 dereferences a null pointer to an empty tuple: harmless, but the
    // assertions of the dev preset end the program. So one argument is passed.
    owned(system.spawn(asker, 0));
    return answer;
  }

  /// Asks, runs, answers. Moves no time, so a role that waits for a timer leaves `request_timeout`.
  template <class Result, class Handle, class... Ts>
  caf::expected<Result> ask(const Handle& whom, Ts&&... question) {
    auto answer = ask_later<Result>(whom, std::forward<Ts>(question)...);
    run();
    return answer.get();
  }

  /// For requests that are answered without a value: the error, or none.
  template <class Handle, class... Ts>
  caf::error order(const Handle& whom, Ts&&... question) {
    auto answer = ask_later<void>(whom, std::forward<Ts>(question)...);
    run();
    auto result = answer.get();
    return result ? caf::error{} : result.error();
  }

  template <class Handle, class... Ts>
  void tell(const Handle& whom, Ts&&... message) {
    caf::anon_send(whom, std::forward<Ts>(message)...);
    run();
  }

  /// Ahead of whatever waits in its mailbox.
  template <class Handle>
  void stop(const Handle& whom, caf::exit_reason reason = caf::exit_reason::user_shutdown) {
    self->send<caf::message_priority::high>(caf::actor_cast<caf::actor>(whom), caf::exit_msg{self->address(), reason});
    run();
  }
  template <class Handle>
  void kill(const Handle& whom) {
    stop(whom, caf::exit_reason::kill);
  }
  /// Whether it has ended.
  template <class Handle>
  bool ended(const Handle& whom) const {
    return caf::actor_cast<caf::abstract_actor*>(whom)->getf(caf::abstract_actor::is_terminated_flag);
  }

 private:
  std::size_t running_at_start_ = 0; ///< `self` counts.
  std::optional<fake_random> order_;
  std::vector<caf::strong_actor_ptr> owned_;
};

} // namespace weir
