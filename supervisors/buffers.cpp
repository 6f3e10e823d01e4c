#include "supervisors/buffers.hpp"

#include <cstdlib>

#include <caf/all.hpp>

#include <fmt/format.h>

#include "actors/guard_rails.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using buffers_self = bounded_pointer<buffers_actor, buffers_state>;

constexpr std::chrono::seconds stop_within{30};
constexpr std::chrono::seconds walk_step{1};
constexpr std::chrono::seconds round_pause{30};
constexpr std::size_t jobs_of_step = 10'000; // measured: 0.5 ms; a million jobs are seen in 100 s
constexpr std::size_t letters_of_step = 16;  // read from disk
constexpr std::size_t removals_at_once = 64; // each writes one small record after the other

std::string child_id(job_id job) {
  return std::to_string(number(job));
}

void wake(buffers_self self, job_id job) {
  auto& state = self->state;
  child_spec spec;
  spec.id = child_id(job);
  spec.when = restart::transient;
  spec.stop_within = stop_within;
  // The pointer is good: children are started on the supervisor's own thread only.
  spec.start = [self, job]() -> caf::expected<caf::actor> {
    auto& mine = self->state;
    auto parts = mine.parts.child;
    parts.job = job;
    parts.snapshot = mine.snapshot;
    mine.jobs[number(job)].told = 0; // a new instance has heard nothing
    return caf::actor_cast<caf::actor>(self->system().spawn(buffer, std::move(parts)));
  };
  state.parts.child.metrics->woken.Increment();
  if (auto why = state.children->start_child(std::move(spec)))
    log::warn("buffer-not-started", "job {}: {}", number(job), self->system().render(why));
}

void due(buffers_self self, job_id job) {
  auto& state = self->state;
  auto [entry, is_new] = state.jobs.try_emplace(number(job));
  if (is_new) {
    wake(self, job); // it begins as if it had been told
    return;
  }
  if (entry->second.leaving) {
    entry->second.due = true;
    return;
  }
  if (const auto child = state.children->find(child_id(job))) {
    ++entry->second.told;
    self->send(caf::actor_cast<buffer_actor>(child), jobs_due{{job}});
  }
  // Else it is being restarted, or parked until an operator unparks it: then it begins by itself.
}

void let_go(buffers_self self, const leaving& x) {
  auto& state = self->state;
  const auto found = state.jobs.find(number(x.job));
  if (found == state.jobs.end() || found->second.leaving || found->second.told != x.heard)
    return;
  found->second.leaving = true;
  state.parts.child.metrics->passivated.Increment();
  state.parts.child.directory->pusher().tell(push_withdrawn{x.job});
  const auto gone = [self, job = x.job] {
    const auto entry = self->state.jobs.find(number(job));
    const bool again = entry != self->state.jobs.end() && entry->second.due;
    self->state.jobs.erase(number(job));
    self->state.removing.erase(number(job));
    self->state.parts.child.metrics->active.Set(static_cast<double>(self->state.jobs.size()));
    if (again)
      due(self, job);
  };
  if (state.children->stop_child(child_id(x.job), gone))
    gone();
}

/// Has a job that is gone remove what it has, as many at once as may be.
void remove(buffers_self self, job_id job, const remove_events& how) {
  auto& state = self->state;
  if (state.removing.size() >= removals_at_once && state.removing.count(number(job)) == 0)
    return; // its turn comes in a later round
  if (state.jobs.count(number(job)) == 0)
    due(self, job);
  const auto child = state.children->find(child_id(job));
  if (!child || state.jobs.at(number(job)).leaving)
    return;
  state.removing.insert(number(job));
  self->send(caf::actor_cast<buffer_actor>(child), how);
}

/// Whether the oldest dead letter of a job has had its time. `reads` counts down.
bool has_old_letters(buffers_self self, job_id job, std::uint64_t now_ns, std::size_t& reads) {
  auto& state = self->state;
  const auto age = std::chrono::nanoseconds{state.parts.child.settings.dead_letter_age}.count();
  auto known = state.letters.find(number(job));
  if (known == state.letters.end()) {
    if (reads == 0)
      return false; // seen in a later round
    --reads;
    const auto made = oldest_dead_letter_ns(*state.parts.child.store, job);
    if (!made)
      return false;
    known = state.letters.emplace(number(job), *made).first;
  }
  if (known->second + static_cast<std::uint64_t>(age) > now_ns)
    return false;
  state.letters.erase(known); // another one is the oldest soon
  return true;
}

/// What a waiting job needs: to be woken for what is too old or was forgotten, or to be removed.
void look_at(buffers_self self, const store::job_glance& x, std::uint64_t now_ns, std::size_t& reads) {
  auto& state = self->state;
  const auto settings = state.snapshot->find_job(x.job);
  // Without any config nobody knows whose job this is.
  if (!settings && number(state.snapshot->version) != 0)
    if (const auto how = state.removals.due(x.job, self->clock().now())) {
      remove(self, x.job, *how);
      return;
    }
  if (state.jobs.count(number(x.job)) != 0)
    return; // sees to it by itself
  const auto age = static_cast<std::uint64_t>(std::chrono::nanoseconds{state.parts.child.settings.max_age}.count());
  const bool too_old = x.buffered_events > 0 && x.oldest_ns + age <= now_ns;
  // Its cut was made before somebody died who knew of it; the shard counts only what no cut has taken.
  const bool forgotten = x.has_cut && settings && settings->entitled();
  if (too_old || forgotten || (x.has_dead_letters && has_old_letters(self, x.job, now_ns, reads)))
    due(self, x.job);
}

void walk(buffers_self self) {
  auto& state = self->state;
  self->delayed_send(self, walk_step, upkeep_tick{});
  const auto now = self->clock().now();
  if (state.walk_from == 0 && now < state.next_round)
    return;
  const auto& child = state.parts.child;
  const auto now_ns = careful_wall_ns(child.world, child.began);
  auto reads = letters_of_step;
  for (const auto& x : child.store->walk(state.walk_from, jobs_of_step))
    look_at(self, x, now_ns, reads);
  if (state.walk_from == 0) {
    state.next_round = now + round_pause;
    state.removals.end_round();
  }
}

void observe(buffers_self self, const child_transition& step) {
  if (self->state.parts.observe)
    self->state.parts.observe(step);
  auto& metrics = *self->state.parts.child.metrics;
  metrics.active.Set(static_cast<double>(self->state.jobs.size()));
  if (step.now.state == child_state::parked) {
    self->state.removing.erase(std::strtoull(step.now.id.c_str(), nullptr, 10));
    metrics.parked.Increment();
    log::error("buffer-parked", "job {}: its buffer crashed too often and waits for an operator: {}", step.now.id,
               step.now.reason);
  } else if (step.before == child_state::parked) {
    metrics.parked.Decrement();
  }
}

} // namespace

buffers_actor::behavior_type buffers(buffers_self self, buffers_parts parts) {
  set_guard_rails(self, "buffers");
  auto& state = self->state;
  state.parts = std::move(parts);
  state.snapshot = state.parts.child.snapshot;
  state.removals = removal_schedule{state.parts.hold};
  state.next_round = self->clock().now() + round_pause; // a start has other things to do first
  self->delayed_send(self, walk_step, upkeep_tick{});
  supervisor_spec spec;
  spec.name = "buffers";
  spec.exhausted = when_exhausted::park;
  spec.limits = state.parts.limits;
  spec.observe = [self](const child_transition& step) { observe(self, step); };
  state.children.emplace(self, std::move(spec), state.parts.child.world,
                         [self](caf::error why) { self->quit(std::move(why)); });
  state.children->start();
  self->set_down_handler([self](const caf::down_msg& down) { self->state.children->child_down(down); });
  self->set_exit_handler([self](const caf::exit_msg& told) { self->state.children->stop_all(told.reason); });
  return {
      [self](const jobs_due& x) {
        for (auto job : x.jobs)
          due(self, job);
      },
      [self](const leaving& x) { let_go(self, x); },
      [self](const snapshot_ptr& snapshot) {
        auto& mine = self->state;
        mine.removals.replaced(*mine.snapshot, *snapshot, self->clock().now());
        mine.snapshot = snapshot;
        for (const auto& [job, entry] : mine.jobs)
          if (const auto child = mine.children->find(child_id(job_id{job})))
            self->send(caf::actor_cast<buffer_actor>(child), snapshot);
      },
      [self](const unpark_child& x) -> caf::result<order_done> {
        if (auto why = self->state.children->unpark_child(x.id))
          return why;
        return order_done{};
      },
      [self](const list_children&) { return self->state.children->list(); },
      [self](const child_timer& x) { self->state.children->timer(x); },
      [self](upkeep_tick) { walk(self); },
  };
}

} // namespace weir
