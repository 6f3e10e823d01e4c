#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "actors/push_policy/push_scheduler.hpp"

/// A world for the push scheduler: jobs, destinations with a behaviour, and time that jumps from
/// one event to the next. It plays the pusher's part exactly as the scheduler's header describes.
namespace weir::push_policy::testing {

/// xorshift64*: the same sequence everywhere for one seed.
class seeded_random : public random_source {
 public:
  explicit seeded_random(std::uint64_t seed) : state_(seed * 2685821657736338717ull + 1) {}
  std::uint64_t next() override {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717ull;
  }

 private:
  std::uint64_t state_;
};

inline upload_outcome stored() {
  upload_outcome x;
  x.result = upload_result::stored;
  x.status = 200;
  return x;
}

inline upload_outcome failed(int status = 0, std::optional<std::chrono::seconds> retry_after = {}) {
  upload_outcome x;
  x.result = upload_result::failed;
  x.status = status;
  x.error = status == 0 ? "no answer" : "answered " + std::to_string(status);
  x.retry_after = retry_after;
  return x;
}

inline upload_outcome refused(int status) {
  upload_outcome x;
  x.result = upload_result::refused;
  x.status = status;
  x.error = "refused with " + std::to_string(status);
  return x;
}

/// What a destination does with an upload that starts now.
struct reaction {
  duration after{};
  upload_outcome outcome;
  duration progress_every{}; ///< 0: no sign of life before the end.
};

class simulated_push {
 public:
  explicit simulated_push(const push_settings& settings = {}, std::uint64_t seed = 1)
      : random(seed), scheduler(settings, random), settings_(settings) {}

  using behaviour = std::function<reaction(simulated_push&)>;

  static behaviour answers_after(duration after) {
    return [after](simulated_push&) { return reaction{after, stored(), {}}; };
  }
  static behaviour never_answers(duration stall_timeout = std::chrono::seconds{30}) {
    return [stall_timeout](simulated_push&) { return reaction{stall_timeout, failed(), {}}; };
  }
  static behaviour fails_with(upload_outcome outcome, duration after = std::chrono::milliseconds{10}) {
    return [=](simulated_push&) { return reaction{after, outcome, {}}; };
  }

  void set(std::uint64_t destination, behaviour what) { behaviours_[destination] = std::move(what); }

  void want(std::uint64_t job, const std::string& tenant, std::uint64_t destination, std::uint64_t bytes = 1 << 20) {
    wanted_at_.emplace(job, now);
    where_[job] = {tenant, destination, bytes};
    scheduler.want(job_id{job}, tenant, destination_key{destination}, bytes, now);
  }

  /// Gives out slots, then cancels what is to be cancelled, until nothing changes.
  void give_out() {
    for (;;) {
      auto changed = false;
      while (const auto g = scheduler.next(now)) {
        start(*g);
        changed = true;
      }
      while (const auto victim = scheduler.revoke(now)) {
        finish(number(*victim), failed());
        changed = true;
      }
      if (!changed)
        return;
    }
  }

  /// Runs until `until`; events at that instant included.
  void run(time_point until) {
    give_out();
    for (;;) {
      auto next_event = events_.empty() ? until + duration{1} : events_.begin()->first;
      if (const auto wake = scheduler.next_wakeup())
        next_event = std::min(next_event, std::max(*wake, now + duration{1}));
      if (next_event > until)
        break;
      now = std::max(now, next_event);
      while (!events_.empty() && events_.begin()->first <= now) {
        auto what = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        what();
      }
      give_out();
    }
    now = until;
    give_out();
  }
  void run_for(duration time) { run(now + time); }

  bool is_flying(std::uint64_t job) const { return flying_.count(job) != 0; }
  std::size_t flying_at(std::uint64_t destination) const {
    std::size_t n = 0;
    for (const auto& [job, f] : flying_)
      n += f.destination == destination;
    return n;
  }

  struct start_record {
    std::uint64_t job;
    std::uint64_t destination;
    grant_kind kind;
    time_point at;
  };

  time_point now{std::chrono::hours{1}};
  seeded_random random;
  push_scheduler scheduler;
  std::vector<start_record> starts;
  std::map<std::uint64_t, std::vector<time_point>> done;  ///< By job.
  std::map<std::uint64_t, std::vector<verdict>> poisoned; ///< By job.
  std::map<std::uint64_t, duration> delay;                ///< From `want` to done, of the last one.
  std::function<void(std::uint64_t)> on_done;
  std::function<void(std::uint64_t, const verdict&)> on_poison;

 private:
  struct flight {
    std::uint64_t destination;
    std::uint64_t serial;
  };
  struct place {
    std::string tenant;
    std::uint64_t destination;
    std::uint64_t bytes;
  };

  void start(const grant& g) {
    const auto job = number(g.job);
    const auto destination = number(g.destination);
    const auto serial = ++serial_;
    starts.push_back({job, destination, g.kind, now});
    flying_[job] = {destination, serial};
    const auto will = behaviours_.at(destination)(*this);
    if (will.progress_every.count() > 0) {
      for (auto t = will.progress_every; t < will.after; t += will.progress_every)
        events_.emplace(now + t, [this, job, serial] {
          if (is_current(job, serial))
            scheduler.progressed(job_id{job}, now);
        });
    }
    events_.emplace(now + will.after, [this, job, serial, will] {
      if (is_current(job, serial))
        finish(job, will.outcome);
    });
  }

  bool is_current(std::uint64_t job, std::uint64_t serial) const {
    const auto found = flying_.find(job);
    return found != flying_.end() && found->second.serial == serial;
  }

  void finish(std::uint64_t job, const upload_outcome& outcome) {
    flying_.erase(job);
    const auto v = scheduler.finished(job_id{job}, outcome, now);
    if (v.step == push_step::done) {
      done[job].push_back(now);
      delay[job] = now - wanted_at_[job];
      wanted_at_.erase(job);
      if (on_done)
        on_done(job);
    } else if (v.step == push_step::poison) {
      poisoned[job].push_back(v);
      if (on_poison)
        on_poison(job, v);
    }
  }

  push_settings settings_;
  std::uint64_t serial_ = 0;
  std::map<std::uint64_t, behaviour> behaviours_;
  std::map<std::uint64_t, place> where_;
  std::map<std::uint64_t, time_point> wanted_at_;
  std::map<std::uint64_t, flight> flying_;
  std::multimap<time_point, std::function<void()>> events_;
};

} // namespace weir::push_policy::testing
