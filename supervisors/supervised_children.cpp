#include "supervisors/supervised_children.hpp"

#include <algorithm>
#include <exception>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>
#include <caf/system_messages.hpp>

#include "messages/error.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

/// How often a child that was killed and does not end is complained about, at most.
constexpr std::chrono::milliseconds complain_every{1'000};

bool well(const caf::error& reason) {
  return !reason || reason == caf::exit_reason::normal || reason == caf::exit_reason::user_shutdown;
}

/// Exit messages have normal priority unless sent so, and would wait behind the whole backlog.
void send_kill(const caf::actor& child, caf::execution_unit* unit) {
  child->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(caf::message_priority::high), {},
                                           caf::exit_msg{child.address(), caf::exit_reason::kill}),
                 unit);
}

} // namespace

std::optional<std::string> problem_of(const supervisor_spec& spec) {
  if (auto problem = problem_of(spec.limits))
    return problem;
  if (spec.exhausted == when_exhausted::park && spec.how != strategy::one_for_one)
    return "children that others depend on cannot be parked; escalate instead";
  std::unordered_set<std::string_view> ids;
  for (const auto& child : spec.children) {
    if (child.id.empty() || !child.start)
      return "every child needs an id and a way to start";
    if (!ids.insert(child.id).second)
      return fmt::format("two children are called {}", child.id);
  }
  return std::nullopt;
}

supervised_children::supervised_children(caf::scheduled_actor* self, supervisor_spec spec, const environment& outside,
                                         std::function<void(caf::error)> ended)
    : self_(self),
      spec_(std::move(spec)),
      random_(outside.random),
      clock_(outside.clock),
      ended_(std::move(ended)),
      budget_(spec_.limits) {}

supervised_children::~supervised_children() {
  for (auto& [number, child] : children_) {
    if (child.handle)
      send_kill(child.handle, nullptr);
    tell_forgotten(child);
  }
}

void supervised_children::start() {
  auto specs = std::exchange(spec_.children, {});
  for (auto& spec : specs)
    add(std::move(spec));
  for (auto i = children_.begin(); i != children_.end(); ++i) {
    if (restart_from_)
      enter(i->second, child_state::restarting); // its predecessor would not start; it comes with it
    else
      launch(i);
  }
}

// -- orders -------------------------------------------------------------------------------------

caf::error supervised_children::start_child(child_spec spec) {
  if (ending_)
    return make_error(errc::refused, "the supervisor is stopping");
  if (spec.id.empty() || !spec.start)
    return make_error(errc::refused, "a child needs an id and a way to start");
  auto which = at(spec.id);
  if (which == children_.end()) {
    which = add(std::move(spec));
  } else {
    auto& known = which->second;
    known.spec = std::move(spec);
    known.budget.reset();
    known.status.restarts = 0;
    known.status.reason.clear();
    known.forget = false;
  }
  auto& child = which->second;
  const bool alive = child.handle != nullptr;
  if (alive && spec_.how == strategy::rest_for_one) {
    restart_from_ = std::min(restart_from_.value_or(which->first), which->first);
    delay_ = std::chrono::milliseconds{0};
    restart_rest();
  } else if (alive) {
    child.again = true;
    if (child.status.state == child_state::running)
      ask_to_stop(which);
  } else if (restart_from_ && which->first >= *restart_from_) {
    enter(child, child_state::restarting);
    restart_rest();
  } else {
    launch(which);
  }
  return {};
}

caf::error supervised_children::unpark_child(const std::string& id) {
  auto which = at(id);
  if (which == children_.end())
    return make_error(errc::not_found, id);
  auto& child = which->second;
  if (ending_ || child.status.state != child_state::parked)
    return make_error(errc::refused, fmt::format("{} is {}, not parked", id, name_of(child.status.state)));
  log::info("child-unparked", "{}/{} starts again with a fresh restart budget", spec_.name, id);
  child.budget.reset();
  ++child.status.restarts;
  launch(which);
  return {};
}

caf::error supervised_children::stop_child(const std::string& id, std::function<void()> down) {
  auto which = at(id);
  if (which == children_.end())
    return make_error(errc::not_found, id);
  auto& child = which->second;
  if (!child.handle) {
    enter(child, child_state::stopped);
    erase(which);
    restart_rest();
    down();
    return {};
  }
  child.forget = true;
  child.when_down.push_back(std::move(down));
  if (child.status.state == child_state::running)
    ask_to_stop(which);
  return {};
}

void supervised_children::hurry() {
  hurried_ = true;
  for (auto i = children_.begin(); i != children_.end(); ++i)
    if (i->second.status.state == child_state::stopping && !i->second.killed)
      kill(i);
}

void supervised_children::stop_all(caf::error reason) {
  if (ending_)
    return;
  ending_ = std::move(reason);
  restart_from_.reset();
  for (auto i = children_.begin(); i != children_.end(); ++i) {
    auto& child = i->second;
    if (child.status.state == child_state::restarting)
      enter(child, child_state::stopped);
    else if (child.status.state == child_state::running && spec_.exhausted == when_exhausted::park)
      ask_to_stop(i);
  }
  settle();
}

children_status supervised_children::list() const {
  children_status all;
  all.children.reserve(children_.size());
  for (const auto& [number, child] : children_)
    all.children.push_back(child.status);
  return all;
}

caf::actor supervised_children::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end())
    return nullptr;
  const auto& child = children_.at(found->second);
  return child.status.state == child_state::running ? child.handle : nullptr;
}

// -- what happens -------------------------------------------------------------------------------

bool supervised_children::child_down(const caf::down_msg& down) {
  const auto found = by_address_.find(down.source);
  if (found == by_address_.end())
    return false;
  const auto which = children_.find(found->second);
  by_address_.erase(found);
  auto& child = which->second;
  child.handle = nullptr;
  if (child.status.state == child_state::stopping) {
    stopped_as_asked(which);
    return true;
  }
  const auto reason = well(down.reason) ? std::string{} : self_->system().render(down.reason);
  if (ending_) {
    enter(child, child_state::stopped, reason);
    settle();
  } else if (child.spec.when == restart::permanent || (child.spec.when == restart::transient && !reason.empty())) {
    crashed(which, reason.empty() ? "ended without being asked to" : reason);
  } else {
    enter(child, child_state::stopped, reason);
    if (spec_.exhausted == when_exhausted::park)
      erase(which); // children that come and go leave nothing behind
  }
  return true;
}

void supervised_children::timer(const child_timer& due) {
  auto which = children_.find(due.child);
  if (which == children_.end() || which->second.step != due.step)
    return;
  auto& child = which->second;
  if (child.status.state == child_state::stopping) {
    if (!child.killed) {
      log::warn("child-killed", "{}/{} did not stop within {} ms and is killed", spec_.name, child.spec.id,
                child.spec.stop_within.count());
      kill(which);
    } else {
      log::error("child-stuck", "{}/{} was killed and is still inside a handler; its replacement waits for it",
                 spec_.name, child.spec.id);
      arm(which, std::max(child.spec.stop_within, complain_every));
    }
    return;
  }
  if (child.status.state != child_state::restarting)
    return;
  if (!restart_from_) {
    ++child.status.restarts;
    launch(which);
    return;
  }
  if (which->first != *restart_from_)
    return; // one before it went down since, and will bring it back
  restart_from_.reset();
  for (; which != children_.end(); ++which) {
    if (which->second.status.state != child_state::restarting)
      continue;
    ++which->second.status.restarts;
    launch(which);
    if (restart_from_ || ending_)
      return;
  }
}

void supervised_children::crashed(iterator which, std::string reason) {
  auto& child = which->second;
  auto& budget = spec_.exhausted == when_exhausted::park ? child.budget : budget_;
  const auto delay = budget.crashed(self_->clock().now(), *random_);
  if (!delay && spec_.exhausted == when_exhausted::park) {
    log::error("child-parked",
               "{}/{} crashed more than {} times within {} ms and waits for an operator or a new revision: {}",
               spec_.name, child.spec.id, spec_.limits.max_restarts, spec_.limits.period.count(), reason);
    enter(child, child_state::parked, std::move(reason));
    return;
  }
  if (!delay) {
    enter(child, child_state::stopped, std::move(reason));
    give_up(child);
    return;
  }
  log::warn("child-restarts", "{}/{} went down and restarts in {} ms: {}", spec_.name, child.spec.id, delay->count(),
            reason);
  enter(child, child_state::restarting, std::move(reason));
  if (spec_.how == strategy::one_for_one) {
    arm(which, *delay);
    return;
  }
  restart_from_ = std::min(restart_from_.value_or(which->first), which->first);
  delay_ = *delay;
  restart_rest();
}

void supervised_children::give_up(const child& which) {
  auto why = fmt::format("supervisor {} gave up after {} restarts within {} ms; last was {}: {}", spec_.name,
                         spec_.limits.max_restarts, spec_.limits.period.count(), which.spec.id, which.status.reason);
  log::error("supervisor-gave-up", "{}", why);
  stop_all(caf::make_error(caf::sec::runtime_error, std::move(why)));
}

void supervised_children::stopped_as_asked(iterator which) {
  auto& child = which->second;
  const auto callbacks = std::exchange(child.when_down, {});
  const bool again = std::exchange(child.again, false) && !child.forget && !ending_;
  if (again && restart_from_) {
    enter(child, child_state::restarting);
  } else if (again) {
    launch(which);
  } else {
    enter(child, child_state::stopped);
    if (child.forget)
      erase(which);
  }
  for (const auto& tell : callbacks)
    tell();
  settle();
}

/// Takes the next step of whatever goes on with several children.
void supervised_children::settle() {
  if (!ending_) {
    restart_rest();
    return;
  }
  if (by_address_.empty()) {
    if (auto tell = std::exchange(ended_, nullptr))
      tell(*ending_);
    return;
  }
  if (spec_.exhausted == when_exhausted::park)
    return; // all were asked at once
  const auto last = std::find_if(children_.rbegin(), children_.rend(), [](auto& x) { return x.second.handle; });
  if (last->second.status.state == child_state::running)
    ask_to_stop(std::prev(last.base()));
}

/// Stops what was started after the one that is down, last first; then waits for its delay.
void supervised_children::restart_rest() {
  if (!restart_from_ || ending_)
    return;
  for (auto i = children_.end(); i != children_.begin() && std::prev(i)->first >= *restart_from_;) {
    --i;
    auto& child = i->second;
    if (!child.handle)
      continue;
    child.again = true;
    if (child.status.state == child_state::running)
      ask_to_stop(i);
    return;
  }
  const auto first = std::find_if(children_.lower_bound(*restart_from_), children_.end(),
                                  [](auto& x) { return x.second.status.state == child_state::restarting; });
  if (first == children_.end()) {
    restart_from_.reset();
    return;
  }
  restart_from_ = first->first;
  arm(first, delay_);
}

// -- steps --------------------------------------------------------------------------------------

void supervised_children::launch(iterator which) {
  auto& child = which->second;
  caf::expected<caf::actor> made{caf::error{}};
  try {
    made = child.spec.start();
  } catch (const std::exception& x) {
    made = caf::make_error(caf::sec::runtime_error, std::string{x.what()});
  } catch (...) {
    made = caf::make_error(caf::sec::runtime_error, "an exception that is no std::exception");
  }
  if (!made || !*made) {
    const auto why = made ? "no actor was made" : self_->system().render(made.error());
    crashed(which, fmt::format("could not start: {}", why));
    return;
  }
  child.handle = std::move(*made);
  child.killed = false;
  by_address_.emplace(child.handle.address(), which->first);
  enter(child, child_state::running);
  self_->monitor<caf::message_priority::high>(child.handle);
}

void supervised_children::ask_to_stop(iterator which) {
  auto& child = which->second;
  enter(child, child_state::stopping);
  if (hurried_) {
    kill(which);
    return;
  }
  child.handle->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(), {},
                                                  caf::exit_msg{self_->address(), caf::exit_reason::user_shutdown}),
                        self_->context());
  arm(which, child.spec.stop_within);
}

void supervised_children::kill(iterator which) {
  auto& child = which->second;
  child.killed = true;
  send_kill(child.handle, self_->context());
  arm(which, std::max(child.spec.stop_within, complain_every));
}

void supervised_children::arm(iterator which, std::chrono::milliseconds delay) {
  const child_timer due{which->first, ++which->second.step};
  auto& clock = self_->clock();
  clock.schedule_message(clock.now() + delay, caf::strong_actor_ptr{self_->ctrl()},
                         caf::make_mailbox_element(self_->ctrl(), caf::make_message_id(), {}, due));
}

void supervised_children::enter(child& which, child_state state, std::string reason) {
  auto& status = which.status;
  const auto before = std::exchange(status.state, state);
  status.since = clock_->wall();
  ++which.step; // earlier timers mean nothing any more
  if (!reason.empty())
    status.reason = std::move(reason);
  if (spec_.observe)
    spec_.observe(child_transition{spec_.name, status, before, false});
}

void supervised_children::tell_forgotten(const child& which) const {
  if (spec_.observe)
    spec_.observe(child_transition{spec_.name, which.status, which.status.state, true});
}

supervised_children::iterator supervised_children::add(child_spec spec) {
  const auto key = ++last_number_;
  by_id_.emplace(spec.id, key);
  child fresh{std::move(spec), spec_.limits};
  fresh.status.id = fresh.spec.id;
  fresh.status.state = child_state::stopped;
  fresh.status.since = clock_->wall();
  return children_.emplace(key, std::move(fresh)).first;
}

supervised_children::iterator supervised_children::at(const std::string& id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? children_.end() : children_.find(found->second);
}

void supervised_children::erase(iterator which) {
  tell_forgotten(which->second);
  by_id_.erase(which->second.spec.id);
  children_.erase(which);
}

} // namespace weir
