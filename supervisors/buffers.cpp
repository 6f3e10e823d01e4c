#include "supervisors/buffers.hpp"

#include <caf/all.hpp>

#include <fmt/format.h>

#include "actors/guard_rails.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using buffers_self = bounded_pointer<buffers_actor, buffers_state>;

constexpr std::chrono::seconds stop_within{30};

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
    self->state.parts.child.metrics->active.Set(static_cast<double>(self->state.jobs.size()));
    if (again)
      due(self, job);
  };
  if (state.children->stop_child(child_id(x.job), gone))
    gone();
}

void observe(buffers_self self, const child_transition& step) {
  if (self->state.parts.observe)
    self->state.parts.observe(step);
  auto& metrics = *self->state.parts.child.metrics;
  metrics.active.Set(static_cast<double>(self->state.jobs.size()));
  if (step.now.state == child_state::parked) {
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
  };
}

} // namespace weir
