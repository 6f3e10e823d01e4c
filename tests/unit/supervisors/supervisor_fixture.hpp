#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "supervisors/supervisor.hpp"
#include "tests/support/deterministic_system.hpp"

namespace weir::test {

using namespace std::chrono_literals;

struct fail_now {
  std::string why;
};
struct leave_now {};
struct ignore_exits {};
struct leave_mark {};

} // namespace weir::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::fail_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::leave_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::ignore_exits)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::test::leave_mark)

namespace weir::test {

struct pupil_state {
  static constexpr const char* name = "pupil";
  std::function<void()> at_end;
  std::shared_ptr<std::uint64_t> marks;
  ~pupil_state() {
    if (at_end)
      at_end();
  }
};

using pupil_actor = caf::typed_actor<caf::reacts_to<fail_now>, caf::reacts_to<leave_now>, caf::reacts_to<ignore_exits>,
                                     caf::reacts_to<leave_mark>>;

inline pupil_actor::behavior_type pupil(bounded_pointer<pupil_actor, pupil_state> self, std::function<void()> at_end,
                                        bool fails_in_init, std::shared_ptr<std::uint64_t> marks) {
  self->state.marks = std::move(marks);
  self->state.at_end = std::move(at_end);
  self->set_exception_handler([](std::exception_ptr&) { return caf::make_error(caf::sec::runtime_error, "thrown"); });
  if (fails_in_init)
    throw std::runtime_error("in init");
  return {
      [](const fail_now& x) { throw std::runtime_error(x.why); },
      [self](leave_now) { self->quit(); },
      [self](ignore_exits) { self->set_exit_handler([](caf::exit_msg&) {}); },
      [self](leave_mark) { ++*self->state.marks; },
  };
}

/// A supervisor called `top` whose children write down when they are made and when they end.
struct supervisor_fixture : deterministic_system {
  std::vector<std::string> history; // "+a" made, "-a" ended
  std::map<std::string, std::string> trouble;
  std::vector<std::string> transitions;
  std::map<std::string, caf::actor> made;
  std::shared_ptr<std::uint64_t> marks = std::make_shared<std::uint64_t>(0);
  supervisor_actor top;

  ~supervisor_fixture() {
    if (top)
      kill(top);
    for (auto& [id, actor] : made)
      kill(actor);
  }

  start_function making(std::string id) {
    return [this, id]() -> caf::expected<caf::actor> {
      const auto& how = trouble[id];
      if (how == "error")
        return make_error(errc::disk_full, "no room");
      if (how == "throw")
        throw std::runtime_error("no luck");
      if (how == "null")
        return caf::actor{};
      history.push_back("+" + id);
      auto actor = caf::actor_cast<caf::actor>(
          system.spawn(pupil, std::function<void()>([this, id] { history.push_back("-" + id); }), how != "", marks));
      if (how == "dead before it is watched")
        run();
      made[id] = actor;
      return actor;
    };
  }
  child_spec child(std::string id, restart when = restart::permanent) { return child_spec{id, making(id), when, 5s}; }
  supervisor_spec spec(strategy how, when_exhausted exhausted, std::vector<child_spec> children = {}) {
    supervisor_spec result;
    result.name = "top";
    result.how = how;
    result.exhausted = exhausted;
    result.limits = {3, 60s, 100ms, 1s};
    result.children = std::move(children);
    result.observe = [this](const child_transition& x) {
      transitions.push_back(x.now.id + ":" + std::string{name_of(x.before)} + ">" + std::string{name_of(x.now.state)});
    };
    return result;
  }
  void begin(supervisor_spec wanted) {
    top = system.spawn(supervisor, std::move(wanted), world);
    self->monitor(top);
    run();
  }
  void fail(const std::string& id, std::string why = "boom") {
    caf::anon_send(made[id], fail_now{std::move(why)});
    run();
  }
  template <class Order>
  caf::error order(const supervisor_actor& whom, Order what) {
    const auto answer = ask<order_done>(whom, std::move(what));
    return answer ? caf::error{} : answer.error();
  }
  child_status status(const std::string& id) {
    const auto all = ask<children_status>(top, list_children{});
    for (const auto& x : all->children)
      if (x.id == id)
        return x;
    return {};
  }
  child_state state(const std::string& id) { return status(id).state; }
  bool known(const std::string& id) { return !status(id).id.empty(); }
  std::vector<std::string> take_history() { return std::exchange(history, {}); }
  /// The reason the supervisor ended with, if it did.
  caf::optional<caf::error> end() {
    caf::optional<caf::error> reason;
    self->receive([&](const caf::down_msg& x) { reason = x.reason; }, caf::after(0ms) >> [] {});
    return reason;
  }
  void ask_to_exit() {
    caf::anon_send_exit(top, caf::exit_reason::user_shutdown);
    run();
  }
};

using strings = std::vector<std::string>;

} // namespace weir::test
