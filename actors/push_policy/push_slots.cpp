#include <algorithm>

#include "actors/push_policy/push_scheduler_core.hpp"

namespace weir::push_policy {

namespace {

std::uint32_t share_of(std::uint32_t slots, double share) {
  return static_cast<std::uint32_t>(static_cast<double>(slots) * std::clamp(share, 0.0, 1.0));
}

template <class T>
void erase_one(std::vector<T*>& from, const T* what) {
  from.erase(std::find(from.begin(), from.end(), what));
}

} // namespace

// -- room ------------------------------------------------------------------------------------

std::uint32_t push_scheduler::core::slow_slots() const {
  return std::max<std::uint32_t>(1, share_of(settings_.slots, settings_.slow_share));
}

bool push_scheduler::core::class_has_room(slot_class c, bool count_offers) const {
  if (c == slot_class::proven)
    return true;
  const auto used = [&](slot_class x) {
    const auto i = static_cast<std::size_t>(x);
    return flying_[i] + (count_offers ? offered_[i] : 0);
  };
  const auto open_to_all = std::max<std::uint32_t>(
      1, settings_.slots - std::min(settings_.slots, share_of(settings_.slots, settings_.proven_share)));
  if (used(slot_class::unproven) + used(slot_class::slow) >= open_to_all)
    return false;
  return c == slot_class::unproven || used(slot_class::slow) < slow_slots();
}

std::uint32_t push_scheduler::core::free_slots(const destination& d) const {
  if (d.breaker.now_in() == circuit_breaker::state::open)
    return 0;
  if (d.breaker.now_in() == circuit_breaker::state::half_open)
    return d.probe_flying ? 0 : 1;
  const auto limit = d.slow ? 1 : d.limit.value();
  const auto flying = static_cast<std::uint32_t>(d.flying.size());
  return limit > flying ? limit - flying : 0;
}

duration push_scheduler::core::jittered_floor() {
  const auto half = std::chrono::duration_cast<std::chrono::milliseconds>(settings_.probe_within) / 2;
  return half + std::chrono::milliseconds{random_.below(static_cast<std::uint64_t>(half.count()) + 1)};
}

fair_queue::item push_scheduler::core::item_of(const job& x) const {
  return {number(x.id), x.owner->number, x.bytes + settings_.object_cost_bytes, x.order};
}

// -- from a destination's queue to the ready queue ---------------------------------------------

void push_scheduler::core::place(job& x, time_point now) {
  auto& d = *x.target;
  enter(x, phase::queued);
  d.queue.push(item_of(x));
  d.last_tenant = x.owner->number;
  offer(d, now);
}

/// Whether the circuit lets an attempt through; opens it half when the time for a probe has come.
bool push_scheduler::core::may_try(destination& d, time_point now) {
  if (d.breaker.now_in() != circuit_breaker::state::open)
    return true;
  if (now >= d.breaker.probe_at()) {
    if (budget_.try_take(now) || now >= d.floor_at) {
      d.breaker.begin_probe();
      d.floor_at = now + jittered_floor();
      return true;
    }
    d.breaker.postpone(d.floor_at);
  }
  arm(d, d.breaker.probe_at());
  return false;
}

void push_scheduler::core::offer(destination& d, time_point now) {
  while (!d.queue.empty() && may_try(d, now) && d.offered.size() < free_slots(d)) {
    if (!class_has_room(d.slots, true)) {
      stand_by(d);
      return;
    }
    const auto item = d.queue.pop();
    if (!item)
      return;
    auto& x = jobs_.at(item->id);
    if (x.owner->used >= settings_.tenant_slots) {
      d.queue.give_back(*item);
      d.queue.suspend(item->tenant);
      x.owner->suspended.push_back(d.key);
      continue;
    }
    d.offered.push_back(&x);
    ++offered_[static_cast<std::size_t>(d.slots)];
    ++x.owner->used;
    enter(x, phase::offered);
    ready_.push(*item);
  }
}

/// Undoes the accounts of an offer; the job is in no queue afterwards.
void push_scheduler::core::withdraw(job& x) {
  auto& d = *x.target;
  erase_one(d.offered, &x);
  --offered_[static_cast<std::size_t>(d.slots)];
  --x.owner->used;
}

/// Takes an offer back into the destination's queue.
void push_scheduler::core::take_back(job& x, time_point now) {
  ready_.remove(x.owner->number, x.order);
  withdraw(x);
  enter(x, phase::queued);
  x.target->queue.give_back(item_of(x));
  release(*x.owner, now);
}

/// The tenant has room again: destinations that left it out may offer its jobs.
void push_scheduler::core::release(tenant& t, time_point now) {
  while (t.used < settings_.tenant_slots && !t.suspended.empty()) {
    const auto found = destinations_.find(number(t.suspended.front()));
    t.suspended.pop_front();
    if (found != destinations_.end() && found->second.queue.resume(t.number))
      offer(found->second, now);
  }
}

void push_scheduler::core::stand_by(destination& d) {
  if (d.standing_by)
    return;
  const fair_queue::item place{number(d.key), d.last_tenant, 1, next_order_++};
  standing_by_[static_cast<std::size_t>(d.slots)].push(place);
  d.standing_by.emplace(d.slots, place);
}

void push_scheduler::core::stop_standing_by(destination& d) {
  if (!d.standing_by)
    return;
  const auto& [c, place] = *d.standing_by;
  standing_by_[static_cast<std::size_t>(c)].remove(place.tenant, place.order);
  d.standing_by.reset();
}

/// Gives room that came free in a class to the destinations that stand by for it, in turn by tenant.
void push_scheduler::core::settle(time_point now) {
  for (const auto c : {slot_class::unproven, slot_class::slow}) {
    auto& waiting = standing_by_[static_cast<std::size_t>(c)];
    while (!waiting.empty() && class_has_room(c, true)) {
      const auto item = waiting.pop();
      if (!item)
        break;
      auto& d = destinations_.at(item->id);
      d.standing_by.reset();
      offer(d, now);
    }
  }
}

// -- from the ready queue to a slot ------------------------------------------------------------

std::optional<grant> push_scheduler::core::next(time_point now) {
  advance(now);
  while (in_phase_[static_cast<std::size_t>(phase::flying)] < settings_.slots) {
    const auto item = ready_.front();
    if (!item)
      return std::nullopt;
    auto& x = jobs_.at(item->id);
    auto& d = *x.target;
    if (free_slots(d) == 0 || !class_has_room(d.slots, false)) {
      // Things changed since it was offered. `offer` is stricter than this test, so it ends here.
      take_back(x, now);
      offer(d, now);
      continue;
    }
    ready_.pop();
    launch(x, now);
    return grant{x.id, d.key, x.kind};
  }
  return std::nullopt;
}

void push_scheduler::core::launch(job& x, time_point now) {
  auto& d = *x.target;
  erase_one(d.offered, &x);
  --offered_[static_cast<std::size_t>(d.slots)];
  ++flying_[static_cast<std::size_t>(d.slots)];
  enter(x, phase::flying);
  x.started = now;
  if (d.breaker.now_in() == circuit_breaker::state::half_open) {
    x.kind = grant_kind::probe;
    d.probe_flying = true;
    ++probes_;
  } else if (x.failures > 0) {
    x.kind = grant_kind::retry;
    ++retries_;
  } else {
    x.kind = grant_kind::first;
    ++firsts_;
    budget_.count_first(now);
  }
  d.flying.push_back(&x);
  if (d.flying.size() == 1)
    start_watch(d, now);
}

// -- health ------------------------------------------------------------------------------------

void push_scheduler::core::refresh(destination& d, time_point now) {
  auto health = destination_health::healthy;
  if (d.breaker.now_in() != circuit_breaker::state::closed)
    health = destination_health::open;
  else if (d.slow)
    health = destination_health::slow;
  else if (!d.tried)
    health = destination_health::untried;
  else if (!d.last_push_succeeded)
    health = destination_health::failing;
  if (health != d.health) {
    const auto count = [&](int step) {
      if (d.health == destination_health::slow)
        slow_ += static_cast<std::uint64_t>(step);
      if (d.health == destination_health::open)
        open_ += static_cast<std::uint64_t>(step);
    };
    count(-1);
    d.health = health;
    d.since = now;
    count(1);
  }
  enter_class(d, now);
  while (d.offered.size() > free_slots(d))
    take_back(*d.offered.back(), now);
  offer(d, now);
  settle(now);
}

void push_scheduler::core::enter_class(destination& d, time_point now) {
  auto c = slot_class::unproven;
  if (d.health == destination_health::healthy)
    c = slot_class::proven;
  else if (d.health == destination_health::open || d.health == destination_health::slow)
    c = slot_class::slow;
  if (c == d.slots)
    return;
  const auto from = static_cast<std::size_t>(d.slots);
  const auto to = static_cast<std::size_t>(c);
  flying_[from] -= static_cast<std::uint32_t>(d.flying.size());
  flying_[to] += static_cast<std::uint32_t>(d.flying.size());
  offered_[from] -= static_cast<std::uint32_t>(d.offered.size());
  offered_[to] += static_cast<std::uint32_t>(d.offered.size());
  d.slots = c;
  stop_standing_by(d);
  offer(d, now);
}

duration push_scheduler::core::patience_with(const destination& d) const {
  if (d.usual_silence == duration{})
    return settings_.slow_after;
  return std::min<duration>(settings_.slow_after, std::max<duration>(settings_.overdue_after, d.usual_silence * 4));
}

void push_scheduler::core::start_watch(destination& d, time_point now) {
  d.last_progress = now;
  auto& where = d.slow ? stalled_ : moving_;
  d.in_motion = where.insert(where.end(), &d);
  if (!d.slow) {
    d.overdue_at = now + patience_with(d);
    overdue_.insert({d.overdue_at, number(d.key)});
  }
}

void push_scheduler::core::stop_watch(destination& d) {
  (d.slow ? stalled_ : moving_).erase(d.in_motion);
  if (!d.slow)
    overdue_.erase({d.overdue_at, number(d.key)});
}

void push_scheduler::core::saw_progress(destination& d, time_point now) {
  d.last_progress = now;
  if (d.flying.empty() || d.slow)
    return;
  stop_watch(d);
  start_watch(d, now);
}

void push_scheduler::core::call_slow(destination& d, duration silence, time_point now) {
  stop_watch(d);
  d.slow = true;
  d.in_motion = stalled_.insert(stalled_.end(), &d);
  d.reason =
      "no progress for " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(silence).count()) + " s";
  refresh(d, now);
}

void push_scheduler::core::find_stalled(time_point now) {
  while (!moving_.empty() && now - moving_.front()->last_progress >= settings_.slow_after)
    call_slow(*moving_.front(), settings_.slow_after, now);
  while (!overdue_.empty() && overdue_.begin()->first <= now && others_wait_for_slots()) {
    auto& d = destinations_.at(overdue_.begin()->second);
    call_slow(d, now - d.last_progress, now);
  }
}

bool push_scheduler::core::others_wait_for_slots() const {
  const auto all_used = in_phase_[static_cast<std::size_t>(phase::flying)] >= settings_.slots;
  const auto& untried = standing_by_[static_cast<std::size_t>(slot_class::unproven)];
  const auto waiting = (all_used ? ready_.size() : 0) + untried.size();
  return waiting > revoking_;
}

/// An upload without progress at a slow destination that holds more than its probe slot, or one of
/// the longest stalled when all slow ones together hold more than their share.
push_scheduler::core::job* push_scheduler::core::hopeless_upload(time_point now) {
  const auto slow = static_cast<std::size_t>(slot_class::slow);
  const auto above_share = flying_[slow] > slow_slots() + revoking_;
  job* candidate = nullptr;
  for (auto* d : stalled_) {
    if (now - d->last_progress < patience_with(*d))
      continue;
    std::size_t kept = 0;
    job* last = nullptr;
    for (auto* x : d->flying) {
      if (!x->revoked) {
        ++kept;
        last = x;
      }
    }
    if (kept > 1)
      return last;
    if (kept == 1 && candidate == nullptr && above_share)
      candidate = last;
  }
  return candidate;
}

std::optional<job_id> push_scheduler::core::revoke(time_point now) {
  advance(now);
  if (stalled_.empty() || !others_wait_for_slots())
    return std::nullopt;
  auto* x = hopeless_upload(now);
  if (x == nullptr)
    return std::nullopt;
  x->revoked = true;
  ++revoking_;
  ++revoked_;
  return x->id;
}

// -- time --------------------------------------------------------------------------------------

void push_scheduler::core::arm(destination& d, time_point when) {
  if (d.timer == when)
    return;
  disarm(d);
  d.timer = when;
  timers_.insert({when, {false, number(d.key)}});
}

void push_scheduler::core::disarm(destination& d) {
  if (!d.timer)
    return;
  timers_.erase({*d.timer, {false, number(d.key)}});
  d.timer.reset();
}

/// A job's backoff is over. At a healthy destination the retry needs a place in the budget, or has
/// waited for the destination's own minimum; at an open one it waits for the probe's success.
void push_scheduler::core::retry_due(job& x, time_point now) {
  auto& d = *x.target;
  if (d.breaker.now_in() == circuit_breaker::state::closed && !budget_.try_take(now)) {
    if (now < d.floor_at) {
      x.due = d.floor_at;
      timers_.insert({x.due, {true, number(x.id)}});
      return;
    }
    d.floor_at = now + jittered_floor();
  }
  place(x, now);
}

void push_scheduler::core::advance(time_point now) {
  expire_idle(now);
  find_stalled(now);
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto [is_job, id] = timers_.begin()->second;
    timers_.erase(timers_.begin());
    if (is_job) {
      retry_due(jobs_.at(id), now);
    } else {
      auto& d = destinations_.at(id);
      d.timer.reset();
      offer(d, now);
    }
  }
  settle(now);
}

void push_scheduler::core::expire_idle(time_point now) {
  while (!idle_.empty() && now - idle_.front()->idle_since >= settings_.forget_after) {
    auto& d = *idle_.front();
    idle_.pop_front();
    slow_ -= d.health == destination_health::slow;
    open_ -= d.health == destination_health::open;
    destinations_.erase(number(d.key));
  }
}

std::optional<time_point> push_scheduler::core::next_wakeup() const {
  std::optional<time_point> result;
  if (!timers_.empty())
    result = timers_.begin()->first;
  if (!moving_.empty()) {
    const time_point stalls = moving_.front()->last_progress + settings_.slow_after;
    result = result ? std::min(*result, stalls) : stalls;
  }
  if (!overdue_.empty() && others_wait_for_slots())
    result = std::min(*result, overdue_.begin()->first);
  return result;
}

} // namespace weir::push_policy
