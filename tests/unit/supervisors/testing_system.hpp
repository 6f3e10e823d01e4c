#pragma once

#include <chrono>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include "messages/supervision.hpp"

/// CAF's testing scheduler: one thread, a clock that moves only when told to.
namespace weir::test {

struct testing_config : caf::actor_system_config {
  testing_config() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.inline-output", true);
  }
};

struct testing_system {
  testing_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::scheduler::test_coordinator& scheduler = dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());

  testing_system() { scheduler.clock().current_time += std::chrono::hours(1); }
  ~testing_system() { run(); }

  void run() {
    while (scheduler.try_run_once()) {
    }
  }
  /// Moves the clock in small steps, because a timer that is re-armed fires once a step.
  void advance(caf::timespan by, caf::timespan step = std::chrono::milliseconds(10)) {
    for (caf::timespan done{0}; done < by; done += step) {
      scheduler.advance_time(std::min(step, by - done));
      run();
    }
  }

  template <class Result, class Handle, class... Ts>
  caf::expected<Result> ask(const Handle& whom, Ts&&... question) {
    auto request = self->request(whom, caf::infinite, std::forward<Ts>(question)...);
    run();
    caf::expected<Result> answer{caf::sec::runtime_error};
    request.receive([&](Result& x) { answer = std::move(x); }, [&](caf::error& x) { answer = std::move(x); });
    return answer;
  }

  /// The same for questions answered `order_done`: the error, or none.
  template <class Handle, class... Ts>
  caf::error order(const Handle& whom, Ts&&... what) {
    auto request = self->request(whom, caf::infinite, std::forward<Ts>(what)...);
    run();
    caf::error answer;
    request.receive([](order_done) {}, [&](caf::error& x) { answer = std::move(x); });
    return answer;
  }

  template <class Handle>
  void kill(const Handle& whom) {
    caf::anon_send_exit(whom, caf::exit_reason::kill);
    run();
  }
};

} // namespace weir::test
