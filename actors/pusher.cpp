#include "actors/pusher.hpp"

#include <new>
#include <stdexcept>

#include <caf/all.hpp>

#include <fmt/format.h>

#include "actors/guard_rails.hpp"
#include "store/store.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using pusher_self = bounded_pointer<pusher_actor, pusher_state>;
using push_policy::destination_key;
using push_policy::push_step;

constexpr std::chrono::seconds own_trouble_pause{1};
constexpr std::chrono::nanoseconds soonest_tick = std::chrono::milliseconds{10};
constexpr std::chrono::nanoseconds latest_tick = std::chrono::seconds{1};
constexpr std::chrono::seconds lease_patience{90}; // longer than the buffer waits for the writer

/// Turns calls of the network's threads into messages.
class mailed_listener : public upload_listener {
 public:
  explicit mailed_listener(pusher_actor to) : to_(caf::actor_cast<caf::actor_addr>(to)) {}

  void on_wants_window(std::uint64_t upload) override { tell(window_wanted{upload}); }
  void on_finished(std::uint64_t upload, upload_outcome outcome) override {
    tell(upload_ended{upload, std::move(outcome)});
  }

 private:
  template <class T>
  void tell(T message) {
    if (auto to = caf::actor_cast<pusher_actor>(to_))
      caf::anon_send(to, std::move(message));
  }
  caf::actor_addr to_; // not a handle: a listener must not keep a dead pusher alive
};

std::string identity_of(const lease& x) {
  return fmt::format("{}/{}/{}-{}", number(x.job), number(x.cut.generation), x.cut.first, x.cut.end() - 1);
}

void pump(pusher_self self);

void arm_timer(pusher_self self) {
  auto& state = self->state;
  const auto due = state.scheduler->next_wakeup();
  const auto now = self->clock().now();
  // Once a second even if nothing is due: metrics and the list of destinations in trouble are brought up to date.
  const auto wait = due ? std::clamp<std::chrono::nanoseconds>(*due - now, soonest_tick, latest_tick) : latest_tick;
  if (state.timer_armed && state.timer_at <= now + wait)
    return;
  state.timer_armed = true;
  state.timer_at = now + wait;
  self->delayed_send(self, wait, upkeep_tick{});
}

void show_totals(pusher_self self) {
  const auto totals = self->state.scheduler->totals();
  auto& metrics = *self->state.parts.metrics;
  metrics.slots.Set(totals.slots);
  metrics.slots_in_use.Set(totals.in_flight);
  metrics.waiting_jobs.Set(static_cast<double>(totals.waiting + totals.backing_off));
  metrics.open_breakers.Set(static_cast<double>(totals.open));
}

/// The job's turn is over; `outcome` decides what the scheduler makes of it.
push_policy::verdict finish(pusher_self self, job_id job, const upload_outcome& outcome) {
  auto& state = self->state;
  auto found = state.running.find(number(job));
  if (found != state.running.end()) {
    state.job_of.erase(found->second.upload);
    state.running.erase(found);
  }
  auto verdict = state.scheduler->finished(job, outcome, self->clock().now());
  pump(self);
  return verdict;
}

upload_outcome failure(std::string why) {
  upload_outcome outcome;
  outcome.result = upload_result::failed;
  outcome.error = std::move(why);
  return outcome;
}

/// Nothing that the destination could be blamed for: the slot goes back unused, and the job comes again soon.
void give_back(pusher_self self, job_id job) {
  auto& state = self->state;
  state.scheduler->forget(job, self->clock().now());
  const auto again = state.wanted.find(number(job));
  if (again != state.wanted.end())
    self->delayed_send(self, own_trouble_pause, again->second);
  finish(self, job, failure("not tried"));
}

/// Nothing to push after all: the job is forgotten until its buffer wants it again.
void withdraw(pusher_self self, job_id job) {
  self->state.wanted.erase(number(job));
  self->state.scheduler->forget(job, self->clock().now());
  finish(self, job, failure("nothing to push"));
}

void supply(pusher_self self, job_id job);

/// Cancels the upload of an object that cannot be assembled.
void break_off(pusher_self self, running_push& push, std::string why) {
  push.broken = true;
  push.trouble = std::move(why);
  self->state.parts.world.network->cancel(push.upload);
}

/// Puts blocks into the object. Whatever is thrown over one job's events is this job's trouble alone.
/// Why it cannot be: `trouble`, for ever if `poison`.
void assemble(pusher_self self, running_push& push, const std::vector<store::block_bytes>& blocks) {
  auto& tools = *self->state.tools;
  const store::block_bytes* at = nullptr;
  try {
    for (const auto& block : blocks) {
      at = &block;
      const auto result = push.assembly->push(tools, block.range, block.meta.raw_bytes(), block.payload);
      if (result != assembly_result::ok)
        throw std::runtime_error(std::string{name_of(result)});
    }
    // Blocks that were set aside leave a gap; a window without any means that only gaps are left.
    if (blocks.empty() || push.assembly->next() >= push.leased->cut.end())
      push.assembly->finish(tools);
  } catch (const std::bad_alloc&) {
    break_off(self, push, "out of memory");
  } catch (const std::exception& why) {
    push.poison = true;
    break_off(self, push,
              at ? fmt::format("block {}+{}: {}", at->range.first, at->range.count, why.what()) : why.what());
  }
}

void take_blocks(pusher_self self, job_id job, const std::vector<store::block_bytes>& blocks) {
  auto& push = self->state.running.at(number(job));
  push.reading = false;
  assemble(self, push, blocks);
  if (push.broken)
    return;
  // If nothing of the cut is left, the buffer ends it without an object when it is asked again.
  if (push.assembly->done() && push.assembly->events() == 0)
    break_off(self, push, "all blocks of the cut were set aside");
  else
    supply(self, job);
}

void read_on(pusher_self self, job_id job) {
  auto& state = self->state;
  auto& push = state.running.at(number(job));
  push.reading = true;
  const auto upload = push.upload;
  self->request(state.wanted.at(number(job)).buffer, lease_patience,
                read_window{push.leased->cut, push.assembly->next()})
      .then(
          [self, job, upload](const window_ptr& window) {
            const auto found = self->state.running.find(number(job));
            if (found != self->state.running.end() && found->second.upload == upload)
              take_blocks(self, job, *window);
          },
          [self, job, upload](const caf::error& why) {
            const auto found = self->state.running.find(number(job));
            if (found == self->state.running.end() || found->second.upload != upload)
              return;
            break_off(self, found->second, self->system().render(why));
          });
}

/// Hands the network its next window, if it waits for one and there is one.
void supply(pusher_self self, job_id job) {
  auto& state = self->state;
  auto& push = state.running.at(number(job));
  if (!push.starved || push.broken)
    return;
  auto& assembly = *push.assembly;
  if (!assembly.wants_block() || push.reading) {
    auto window = assembly.pull();
    if (!window.empty() || assembly.done()) {
      push.starved = false;
      push.supplied_bytes += window.size();
      state.parts.world.network->supply(push.upload, std::move(window), assembly.done());
      state.scheduler->progressed(job, self->clock().now());
      return;
    }
  }
  if (!push.reading)
    read_on(self, job);
}

void begin_upload(pusher_self self, job_id job, const lease_ptr& leased) {
  auto& state = self->state;
  auto& push = state.running.at(number(job));
  if (push.revoked) {
    give_back(self, job);
    return;
  }
  push.leased = leased;
  push.assembly = std::make_unique<object_assembly>(job, leased->cut);
  push.upload = ++state.last_upload;
  push.started = self->clock().now();
  state.job_of.emplace(push.upload, job);
  upload_order order;
  order.url = leased->url;
  order.object_name = leased->object_name;
  order.identity = identity_of(*leased);
  order.headers = leased->headers;
  order.length = leased->length;
  order.stall_timeout = state.parts.stall_timeout;
  order.whole_timeout = state.parts.upload_timeout;
  order.allow_insecure_http = state.parts.allow_insecure_http;
  state.parts.world.network->start(push.upload, std::move(order), state.listener);
}

void start(pusher_self self, job_id job) {
  auto& state = self->state;
  const auto found = state.wanted.find(number(job));
  if (found == state.wanted.end()) {
    withdraw(self, job);
    return;
  }
  state.running[number(job)] = {};
  const auto asked = found->second.buffer.id();
  self->request(found->second.buffer, lease_patience, caf::get_atom::value)
      .then([self, job](const lease_ptr& leased) { begin_upload(self, job, leased); },
            [self, job, asked](const caf::error& why) {
              const auto now = self->state.wanted.find(number(job));
              if (now != self->state.wanted.end() && now->second.buffer.id() != asked)
                give_back(self, job); // its successor has asked already
              else if (code_of(why) == errc::not_found || code_of(why) == errc::none)
                withdraw(self, job); // nothing there, or its buffer died: whoever follows it wants anew
              else
                give_back(self, job);
            });
}

void pump(pusher_self self) {
  auto& state = self->state;
  const auto now = self->clock().now();
  while (auto job = state.scheduler->revoke(now)) {
    const auto found = state.running.find(number(*job));
    if (found == state.running.end())
      continue;
    found->second.revoked = true; // if its lease is still to come, it is given back then
    if (found->second.upload != 0)
      state.parts.world.network->cancel(found->second.upload);
  }
  while (!state.stopping) {
    const auto granted = state.scheduler->next(now);
    if (!granted)
      break;
    if (granted->kind != push_policy::grant_kind::first)
      state.parts.metrics->retries.Increment();
    start(self, granted->job);
  }
  arm_timer(self);
  if (state.draining.pending() && state.running.empty())
    state.draining.deliver(drained{});
}

/// The destination has the object: the buffer makes that durable, and only then the slot is free.
void commit(pusher_self self, job_id job, upload_outcome outcome) {
  auto& state = self->state;
  auto& push = state.running.at(number(job));
  auto& metrics = *state.parts.metrics;
  metrics.uploaded_bytes.Increment(static_cast<double>(push.supplied_bytes));
  metrics.merged_members.Increment(static_cast<double>(push.assembly->merged_members()));
  metrics.upload_seconds.Observe(std::chrono::duration<double>(self->clock().now() - push.started).count());
  const auto events = push.leased->cut.count;
  self->request(state.wanted.at(number(job)).buffer, lease_patience, commit_cut{push.leased->cut})
      .then(
          [self, job, events, outcome](recorded) {
            self->state.parts.metrics->delivered_events.Increment(static_cast<double>(events));
            finish(self, job, outcome);
          },
          [self, job](const caf::error& why) {
            // It is there, but we may not remember it: the same name will be tried again and found equal.
            log::warn("commit-not-recorded", "job {}: {}; the object is pushed again under its name", number(job),
                      self->system().render(why));
            give_back(self, job);
          });
}

void tell_buffer_refusal(pusher_self self, job_id job, const lease_ptr& leased, const upload_outcome& outcome,
                         bool destination_accepts) {
  auto& state = self->state;
  refuse_cut refused;
  refused.cut = leased->cut;
  refused.status = outcome.status;
  refused.reason = outcome.error;
  refused.destination_accepts = destination_accepts;
  const auto events = leased->cut.count;
  self->request(state.wanted.at(number(job)).buffer, lease_patience, refused)
      .then(
          [self, events](recorded) {
            if (events == 1)
              self->state.parts.metrics->dead_lettered_events.Increment();
          },
          [self, job](const caf::error& why) {
            log::warn("refusal-not-recorded", "job {}: {}; the object will be refused again", number(job),
                      self->system().render(why));
          });
}

/// What cannot be encoded is found by halves and set apart, as what its destination refuses.
void isolate(pusher_self self, job_id job, const lease_ptr& leased, std::string why) {
  self->state.scheduler->forget(job, self->clock().now());
  finish(self, job, failure("not tried"));
  tell_buffer_refusal(self, job, leased, failure("cannot be encoded: " + why), true);
}

void rename(pusher_self self, job_id job, const lease_ptr& leased) {
  self->request(self->state.wanted.at(number(job)).buffer, lease_patience, rename_cut{leased->cut})
      .then([self, job](recorded) { give_back(self, job); }, [self, job](const caf::error&) { give_back(self, job); });
}

void upload_done(pusher_self self, const upload_ended& ended) {
  auto& state = self->state;
  const auto known = state.job_of.find(ended.upload);
  if (known == state.job_of.end())
    return;
  const auto job = known->second;
  auto& push = state.running.at(number(job));
  auto outcome = ended.outcome;
  state.parts.metrics->uploads[outcome.result].Increment();
  const auto leased = push.leased;
  if (push.broken) {
    log::warn("push-broken-off", "job {}: {}", number(job), push.trouble);
    if (push.poison)
      isolate(self, job, leased, push.trouble);
    else
      give_back(self, job);
    return;
  }
  switch (outcome.result) {
    case upload_result::stored:
      commit(self, job, std::move(outcome));
      return;
    case upload_result::exists:
      if (outcome.existing_identity == identity_of(*leased))
        commit(self, job, std::move(outcome));
      else
        rename(self, job, leased);
      return;
    case upload_result::refused:
    case upload_result::failed:
      break;
  }
  caf::anon_send(state.wanted.at(number(job)).buffer, push_health{outcome.error});
  const auto verdict = finish(self, job, outcome);
  if (verdict.step == push_step::poison)
    tell_buffer_refusal(self, job, leased, outcome, verdict.destination_accepts);
}

} // namespace

pusher_actor::behavior_type pusher(pusher_self self, pusher_parts parts) {
  set_guard_rails(self, "pusher");
  auto& state = self->state;
  state.scheduler = std::make_unique<push_policy::push_scheduler>(parts.settings, *parts.world.random);
  state.tools = std::make_unique<assembly_tools>();
  state.listener = std::make_shared<mailed_listener>(pusher_actor{self});
  state.parts = std::move(parts);
  // Uploads of a predecessor may still be running: theirs must not be taken for ours.
  state.last_upload = state.parts.world.random->next() >> 1;
  show_totals(self);
  arm_timer(self);
  return {
      [self](const push_wanted& x) {
        auto& mine = self->state;
        mine.wanted[number(x.job)] = x;
        mine.scheduler->want(x.job, x.tenant, destination_key{x.destination}, x.bytes, self->clock().now());
        pump(self);
      },
      [self](const push_withdrawn& x) {
        auto& mine = self->state;
        mine.scheduler->forget(x.job, self->clock().now());
        if (mine.running.find(number(x.job)) == mine.running.end())
          mine.wanted.erase(number(x.job));
      },
      [self](const window_wanted& x) {
        auto& mine = self->state;
        const auto known = mine.job_of.find(x.upload);
        if (known == mine.job_of.end())
          return;
        mine.running.at(number(known->second)).starved = true;
        mine.scheduler->progressed(known->second, self->clock().now());
        supply(self, known->second);
      },
      [self](const upload_ended& x) { upload_done(self, x); },
      [self](drain) -> caf::result<drained> {
        auto& mine = self->state;
        mine.stopping = true;
        mine.draining = self->make_response_promise<drained>();
        auto answer = mine.draining;
        pump(self);
        return answer;
      },
      [self](upkeep_tick) {
        if (self->clock().now() >= self->state.timer_at)
          self->state.timer_armed = false;
        if (self->state.parts.observe)
          self->state.parts.observe(*self->state.scheduler);
        show_totals(self);
        pump(self);
      },
  };
}

} // namespace weir
