#include "actors/push_policy/push_scheduler.hpp"

#include <algorithm>

#include <openssl/sha.h>

#include "actors/push_policy/push_scheduler_core.hpp"

namespace weir::push_policy {

namespace {

failure_kind kind_of(const upload_outcome& outcome) {
  if (outcome.result == upload_result::refused) {
    const auto about_the_body = outcome.status == 400 || outcome.status == 413 || outcome.status == 422;
    return about_the_body ? failure_kind::content : failure_kind::rejected;
  }
  return outcome.status > 0 ? failure_kind::answered : failure_kind::silent;
}

bool is_success(const upload_outcome& outcome) {
  return outcome.result == upload_result::stored || outcome.result == upload_result::exists;
}

} // namespace

destination_key destination_key_of(std::string_view destination) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(destination.data()), destination.size(), digest);
  std::uint64_t key = 0;
  for (int i = 0; i < 8; ++i)
    key = key << 8 | digest[i];
  return destination_key{key};
}

std::string_view name_of(destination_health health) noexcept {
  switch (health) {
    case destination_health::untried:
      return "untried";
    case destination_health::healthy:
      return "healthy";
    case destination_health::failing:
      return "failing";
    case destination_health::slow:
      return "slow";
    case destination_health::open:
      return "open";
  }
  return "unknown";
}

// -- jobs ------------------------------------------------------------------------------------

push_scheduler::core::core(const push_settings& settings, random_source& random)
    : settings_(settings), random_(random), budget_(settings.budget) {
  settings_.slots = std::max<std::uint32_t>(settings_.slots, 1);
  settings_.tenant_slots = std::clamp<std::uint32_t>(settings_.tenant_slots, 1, settings_.slots);
}

push_scheduler::core::tenant& push_scheduler::core::tenant_named(std::string_view name) {
  auto [found, is_new] = tenants_.try_emplace(std::string{name});
  if (is_new) {
    found->second.name = found->first;
    found->second.number = tenant_number{next_tenant_++};
  }
  return found->second;
}

push_scheduler::core::destination& push_scheduler::core::destination_at(destination_key key, time_point now) {
  auto [found, is_new] = destinations_.try_emplace(number(key), key, settings_);
  auto& d = found->second;
  if (is_new)
    d.since = now;
  if (d.idle) {
    idle_.erase(*d.idle);
    d.idle.reset();
  }
  return d;
}

void push_scheduler::core::enter(job& x, phase to) {
  --in_phase_[static_cast<std::size_t>(x.now_in)];
  ++in_phase_[static_cast<std::size_t>(to)];
  x.now_in = to;
}

void push_scheduler::core::attach(job& x, std::string_view tenant_name, destination_key key, time_point now) {
  x.owner = &tenant_named(tenant_name);
  x.target = &destination_at(key, now);
  ++x.owner->jobs;
  ++x.target->jobs;
  x.target->sample = x.id;
  x.target->last_tenant = x.owner->number;
}

void push_scheduler::core::detach(job& x, time_point now) {
  if (--x.owner->jobs == 0)
    tenants_.erase(std::string{x.owner->name});
  auto& d = *x.target;
  if (--d.jobs == 0) {
    disarm(d);
    stop_standing_by(d);
    d.idle_since = now;
    d.idle = idle_.insert(idle_.end(), &d);
  }
  x.owner = nullptr;
  x.target = nullptr;
}

/// Takes a job that is not flying out of wherever it waits; it is then `queued` nowhere.
void push_scheduler::core::take_out(job& x, time_point now) {
  auto& d = *x.target;
  auto& t = *x.owner;
  switch (x.now_in) {
    case phase::queued:
      d.queue.remove(t.number, x.order);
      break;
    case phase::offered:
      ready_.remove(t.number, x.order);
      withdraw(x);
      enter(x, phase::queued);
      offer(d, now);
      release(t, now);
      settle(now);
      break;
    case phase::backing_off:
      timers_.erase({x.due, {true, number(x.id)}});
      enter(x, phase::queued);
      break;
    case phase::flying:
      break;
  }
}

void push_scheduler::core::drop(job& x, time_point now) {
  --in_phase_[static_cast<std::size_t>(x.now_in)];
  detach(x, now);
  jobs_.erase(number(x.id));
}

void push_scheduler::core::want(job_id id, std::string_view tenant_name, destination_key key, std::uint64_t bytes,
                                time_point now) {
  const auto [found, is_new] = jobs_.try_emplace(number(id));
  auto& x = found->second;
  if (is_new) {
    x.id = id;
    x.bytes = bytes;
    x.order = next_order_++;
    ++in_phase_[static_cast<std::size_t>(phase::queued)];
    attach(x, tenant_name, key, now);
    place(x, now);
    return;
  }
  if (x.now_in == phase::flying) {
    x.more = wish{std::string{tenant_name}, key, bytes};
    return;
  }
  const auto moved = x.owner->name != tenant_name || x.target->key != key;
  // The queues keep the cost of the day it was pushed; only a considerable change is worth a move.
  const auto grown = bytes > 2 * x.bytes || x.bytes > 2 * bytes;
  if (!moved && !grown)
    return;
  if (x.now_in == phase::backing_off && !moved) {
    x.bytes = bytes;
    return;
  }
  take_out(x, now);
  x.bytes = bytes;
  if (moved) {
    // The new place is taken before the old one is left, so that neither is forgotten in between.
    auto& old_owner = *x.owner;
    auto& old_target = *x.target;
    job leaving;
    leaving.owner = &old_owner;
    leaving.target = &old_target;
    attach(x, tenant_name, key, now);
    detach(leaving, now);
    x.failures = 0;
  }
  place(x, now);
}

void push_scheduler::core::forget(job_id id, time_point now) {
  const auto found = jobs_.find(number(id));
  if (found == jobs_.end())
    return;
  auto& x = found->second;
  if (x.now_in == phase::flying) {
    x.forgotten = true;
    x.more.reset();
    return;
  }
  take_out(x, now);
  drop(x, now);
}

// -- outcomes --------------------------------------------------------------------------------

void push_scheduler::core::progressed(job_id id, time_point now) {
  const auto found = jobs_.find(number(id));
  if (found == jobs_.end() || found->second.now_in != phase::flying)
    return;
  saw_progress(*found->second.target, now);
}

verdict push_scheduler::core::finished(job_id id, const upload_outcome& outcome, time_point now) {
  const auto found = jobs_.find(number(id));
  if (found == jobs_.end() || found->second.now_in != phase::flying)
    return {};
  auto& x = found->second;
  auto& d = *x.target;
  auto& t = *x.owner;
  // Somebody may hold no other job of this tenant or destination: keep both until all is settled.
  ++t.jobs;
  ++d.jobs;
  land(x, now);
  learn(x, outcome, now);
  refresh(d, now);
  const auto result = decide(x, outcome, now);
  offer(d, now);
  release(t, now);
  settle(now);
  job guard;
  guard.owner = &t;
  guard.target = &d;
  detach(guard, now);
  return result;
}

/// Frees the slot.
void push_scheduler::core::land(job& x, time_point) {
  auto& d = *x.target;
  d.flying.erase(std::find(d.flying.begin(), d.flying.end(), &x));
  --flying_[static_cast<std::size_t>(d.slots)];
  --x.owner->used;
  if (x.revoked)
    --revoking_;
  x.revoked = false;
  if (x.kind == grant_kind::probe)
    d.probe_flying = false;
  if (d.flying.empty())
    stop_watch(d);
  enter(x, phase::queued);
}

void push_scheduler::core::learn(job& x, const upload_outcome& outcome, time_point now) {
  auto& d = *x.target;
  if (is_success(outcome)) {
    learn_success(x, now);
  } else if (x.forgotten) {
    // It was cancelled for the job's sake: the destination is not to blame.
    if (x.kind == grant_kind::probe)
      d.breaker.abandon_probe(now);
    return;
  } else {
    learn_failure(x, outcome, now);
  }
  if (is_success(outcome) || outcome.status > 0)
    saw_progress(d, now);
}

void push_scheduler::core::learn_success(job& x, time_point now) {
  auto& d = *x.target;
  const auto silence = now - d.last_progress;
  const auto prompt = silence < settings_.slow_after;
  d.usual_silence = d.usual_silence == duration{} ? silence : d.usual_silence + (silence - d.usual_silence) / 4;
  d.tried = true;
  d.last_push_succeeded = true;
  d.last_success = now;
  d.failures = 0;
  if (d.breaker.succeeded())
    d.limit.restart();
  if (d.slow && prompt) {
    d.limit.restart();
    const auto watched = !d.flying.empty();
    if (watched)
      stop_watch(d);
    d.slow = false;
    if (watched)
      start_watch(d, now);
  }
  if (!d.slow) {
    d.reason.clear();
    d.limit.succeeded(x.bytes, now - x.started, static_cast<std::uint32_t>(d.flying.size()) + 1, x.started, now);
  }
}

void push_scheduler::core::learn_failure(job& x, const upload_outcome& outcome, time_point now) {
  auto& d = *x.target;
  const auto kind = kind_of(outcome);
  d.tried = true;
  d.reason = outcome.error;
  const auto at_once = d.slow && kind == failure_kind::silent;
  d.breaker.failed(kind, x.kind == grant_kind::probe, at_once, outcome.retry_after, outcome.error, now, random_);
  if (kind == failure_kind::content)
    return;
  ++d.failures;
  d.last_push_succeeded = false;
  d.limit.failed(x.started, now);
  d.floor_at = std::max(d.floor_at, x.started + jittered_floor());
}

verdict push_scheduler::core::decide(job& x, const upload_outcome& outcome, time_point now) {
  auto& d = *x.target;
  verdict result;
  const auto succeeded = is_success(outcome);
  if ((succeeded || x.forgotten) && x.more) {
    auto more = std::move(*x.more);
    const auto id = x.id;
    drop(x, now);
    want(id, more.tenant, more.destination, more.bytes, now);
    return result;
  }
  if (succeeded || x.forgotten) {
    drop(x, now);
    return result;
  }
  if (kind_of(outcome) == failure_kind::content && d.breaker.now_in() == circuit_breaker::state::closed) {
    result.step = push_step::poison;
    result.destination_accepts =
        d.last_push_succeeded && d.last_success && now - *d.last_success < std::chrono::hours{1};
    drop(x, now);
    return result;
  }
  result.step = push_step::again;
  ++x.failures;
  if (d.breaker.now_in() == circuit_breaker::state::closed) {
    x.due = now + backoff_delay(settings_.retries, x.failures, random_);
    timers_.insert({x.due, {true, number(x.id)}});
    enter(x, phase::backing_off);
    result.at = x.due;
  } else {
    place(x, now);
    result.at = d.breaker.now_in() == circuit_breaker::state::open ? d.breaker.probe_at() : now;
  }
  return result;
}

bool push_scheduler::core::probe_now(destination_key key, time_point now) {
  const auto found = destinations_.find(number(key));
  if (found == destinations_.end())
    return false;
  auto& d = found->second;
  if (d.breaker.now_in() == circuit_breaker::state::open) {
    d.breaker.postpone(now);
    d.floor_at = now;
    offer(d, now);
  }
  return true;
}

// -- reports ---------------------------------------------------------------------------------

push_totals push_scheduler::core::totals() const {
  push_totals result;
  result.slots = settings_.slots;
  result.in_flight = static_cast<std::uint32_t>(in_phase_[static_cast<std::size_t>(phase::flying)]);
  result.in_flight_slow = flying_[static_cast<std::size_t>(slot_class::slow)];
  result.in_flight_unproven = flying_[static_cast<std::size_t>(slot_class::unproven)];
  result.waiting =
      in_phase_[static_cast<std::size_t>(phase::queued)] + in_phase_[static_cast<std::size_t>(phase::offered)];
  result.backing_off = in_phase_[static_cast<std::size_t>(phase::backing_off)];
  result.destinations = destinations_.size();
  result.slow = slow_;
  result.open = open_;
  result.firsts = firsts_;
  result.retries = retries_;
  result.probes = probes_;
  result.revoked = revoked_;
  return result;
}

destination_report push_scheduler::core::report_of(const destination& d) const {
  destination_report result;
  result.destination = d.key;
  result.job = d.sample;
  result.health = d.health;
  result.since = d.since;
  result.reason = d.reason;
  if (d.breaker.now_in() == circuit_breaker::state::open)
    result.next_try = d.breaker.probe_at();
  result.in_flight = static_cast<std::uint32_t>(d.flying.size());
  const auto troubled = d.slow || d.breaker.now_in() != circuit_breaker::state::closed;
  result.limit = troubled ? 1 : d.limit.value();
  result.waiting = d.jobs - d.flying.size();
  result.failures = d.failures;
  return result;
}

std::optional<destination_report> push_scheduler::core::report(destination_key key) const {
  const auto found = destinations_.find(number(key));
  if (found == destinations_.end())
    return std::nullopt;
  return report_of(found->second);
}

std::vector<destination_report> push_scheduler::core::reports(bool troubled_only, std::size_t most) const {
  std::vector<destination_report> result;
  for (const auto& [key, d] : destinations_) {
    if (result.size() >= most)
      break;
    const auto fine = d.health == destination_health::healthy || d.health == destination_health::untried;
    if (!troubled_only || !fine)
      result.push_back(report_of(d));
  }
  return result;
}

// -- the outside -----------------------------------------------------------------------------

push_scheduler::push_scheduler(const push_settings& settings, random_source& random)
    : core_(std::make_unique<core>(settings, random)) {}
push_scheduler::~push_scheduler() = default;

void push_scheduler::want(job_id job, std::string_view tenant, destination_key destination, std::uint64_t bytes,
                          time_point now) {
  core_->want(job, tenant, destination, bytes, now);
}
std::optional<grant> push_scheduler::next(time_point now) {
  return core_->next(now);
}
std::optional<job_id> push_scheduler::revoke(time_point now) {
  return core_->revoke(now);
}
void push_scheduler::progressed(job_id job, time_point now) {
  core_->progressed(job, now);
}
verdict push_scheduler::finished(job_id job, const upload_outcome& outcome, time_point now) {
  return core_->finished(job, outcome, now);
}
void push_scheduler::forget(job_id job, time_point now) {
  core_->forget(job, now);
}
bool push_scheduler::probe_now(destination_key destination, time_point now) {
  return core_->probe_now(destination, now);
}
std::optional<time_point> push_scheduler::next_wakeup() const {
  return core_->next_wakeup();
}
push_totals push_scheduler::totals() const {
  return core_->totals();
}
std::optional<destination_report> push_scheduler::report(destination_key destination) const {
  return core_->report(destination);
}
std::vector<destination_report> push_scheduler::reports(bool troubled_only, std::size_t most) const {
  return core_->reports(troubled_only, most);
}

} // namespace weir::push_policy
