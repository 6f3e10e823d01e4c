#include <map>
#include <set>

#include <doctest/doctest.h>

#include "simulated_push.hpp"

using namespace weir;
using namespace weir::push_policy;
using namespace weir::push_policy::testing;
using namespace std::chrono_literals;

namespace {

/// Drives the scheduler with random calls and checks after each what it promises. The model knows
/// only what was wanted, granted and finished.
class random_walk {
 public:
  explicit random_walk(std::uint64_t seed) : random_(seed), scheduler_(settings_for(seed), random_) {
    settings_ = settings_for(seed);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      check();
    }
    drain();
  }

 private:
  static push_settings settings_for(std::uint64_t seed) {
    push_settings s;
    s.slots = 1 + static_cast<std::uint32_t>(seed * 7 % 40);
    s.tenant_slots = 1 + static_cast<std::uint32_t>(seed * 3 % s.slots);
    s.concurrency.maximum = 1 + static_cast<std::uint32_t>(seed % 9);
    return s;
  }

  void step() {
    switch (random_.below(10)) {
      case 0:
      case 1:
      case 2: {
        const auto job = random_.below(60);
        const auto tenant = random_.below(6);
        const auto destination = random_.below(10);
        scheduler_.want(job_id{job}, "t" + std::to_string(tenant), destination_key{destination},
                        random_.below(10'000'000), now_);
        if (flying_.count(job) == 0) {
          waiting_[job] = {tenant, destination};
        } else {
          again_[job] = {tenant, destination};
        }
        break;
      }
      case 3:
      case 4:
      case 5:
        take_one();
        break;
      case 6:
        now_ += std::chrono::milliseconds{random_.below(8'000)};
        break;
      case 7:
      case 8:
        end_one(random_outcome());
        break;
      default:
        if (random_.below(4) == 0)
          forget_one(random_.below(60));
        else if (!flying_.empty())
          scheduler_.progressed(job_id{any_flying()}, now_);
        if (const auto victim = scheduler_.revoke(now_)) {
          const auto job = number(*victim);
          REQUIRE(flying_.count(job) == 1);
          REQUIRE(revoked_.insert(job).second);
        }
    }
  }

  void take_one() {
    const auto g = scheduler_.next(now_);
    if (!g)
      return;
    const auto job = number(g->job);
    REQUIRE(waiting_.count(job) == 1);
    REQUIRE(flying_.count(job) == 0);
    REQUIRE(waiting_[job].second == number(g->destination));
    flying_[job] = waiting_[job];
    kinds_[job] = g->kind;
    waiting_.erase(job);
  }

  upload_outcome random_outcome() {
    // Some destinations are good, some bad, some change with time.
    switch (random_.below(8)) {
      case 0:
        return failed();
      case 1:
        return failed(503, random_.below(2) ? std::optional<std::chrono::seconds>{random_.below(100)} : std::nullopt);
      case 2:
        return refused(400);
      case 3:
        return refused(403);
      default:
        return stored();
    }
  }

  std::uint64_t any_flying() {
    auto it = flying_.begin();
    std::advance(it, static_cast<long>(random_.below(flying_.size())));
    return it->first;
  }

  void end_one(const upload_outcome& outcome) {
    if (flying_.empty())
      return;
    const auto job = any_flying();
    const auto where = flying_[job];
    const auto v = scheduler_.finished(job_id{job}, outcome, now_);
    flying_.erase(job);
    revoked_.erase(job);
    const auto was_forgotten = forgotten_.erase(job) == 1;
    const auto wanted_again = again_.count(job) == 1;
    const auto next = wanted_again ? again_[job] : where;
    if (was_forgotten) {
      REQUIRE(v.step == push_step::done);
      again_.erase(job);
      if (wanted_again)
        waiting_[job] = next;
      return;
    }
    switch (v.step) {
      case push_step::done:
        REQUIRE(outcome.result == upload_result::stored);
        again_.erase(job);
        if (wanted_again)
          waiting_[job] = next;
        break;
      case push_step::again:
        REQUIRE(outcome.result != upload_result::stored);
        waiting_[job] = where;
        break;
      case push_step::poison:
        REQUIRE(outcome.status == 400);
        again_.erase(job);
        break;
    }
  }

  void forget_one(std::uint64_t job) {
    scheduler_.forget(job_id{job}, now_);
    waiting_.erase(job);
    again_.erase(job);
    if (flying_.count(job))
      forgotten_.insert(job);
  }

  void check() {
    const auto totals = scheduler_.totals();
    REQUIRE(totals.in_flight == flying_.size());
    REQUIRE(totals.in_flight <= settings_.slots);
    REQUIRE(totals.waiting + totals.backing_off == waiting_.size());
    std::map<std::uint64_t, std::uint32_t> by_tenant, by_destination;
    for (const auto& [job, where] : flying_) {
      ++by_tenant[where.first];
      ++by_destination[where.second];
    }
    for (const auto& [tenant, n] : by_tenant)
      REQUIRE(n <= settings_.tenant_slots);
    for (const auto& [destination, n] : by_destination)
      REQUIRE(n <= settings_.concurrency.maximum + 1); // One probe may go beside uploads of before.
    std::uint64_t waiting = 0, in_flight = 0;
    for (const auto& r : scheduler_.reports(false, 1'000)) {
      waiting += r.waiting;
      in_flight += r.in_flight;
    }
    REQUIRE(waiting == waiting_.size());
    REQUIRE(in_flight == flying_.size());
    if (!waiting_.empty() && flying_.empty())
      REQUIRE(scheduler_can_go_on());
  }

  /// Somebody waits and nothing runs: then either a grant is due or the scheduler wants to be woken.
  bool scheduler_can_go_on() {
    if (scheduler_.next_wakeup())
      return true;
    take_one();
    return !flying_.empty();
  }

  /// From now on all goes well: everybody who waits must be served, in bounded time.
  void drain() {
    const auto until = now_ + 30min;
    while (!waiting_.empty() || !flying_.empty()) {
      CAPTURE(waiting_.size());
      REQUIRE(now_ < until);
      for (;;) {
        const auto before = flying_.size();
        take_one();
        if (flying_.size() == before)
          break;
      }
      now_ += 100ms;
      while (!flying_.empty())
        end_one(stored());
      check();
    }
  }

  using place = std::pair<std::uint64_t, std::uint64_t>; ///< (tenant, destination)
  push_settings settings_;
  seeded_random random_;
  push_scheduler scheduler_;
  time_point now_{1h};
  std::map<std::uint64_t, place> waiting_;
  std::map<std::uint64_t, place> flying_;
  std::map<std::uint64_t, place> again_;
  std::map<std::uint64_t, grant_kind> kinds_;
  std::set<std::uint64_t> forgotten_;
  std::set<std::uint64_t> revoked_;
};

} // namespace

TEST_CASE("no sequence of wants, ends and pauses breaks a limit, loses a job or leaves one waiting for ever") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    random_walk(seed).run(2'000);
  }
}

TEST_CASE("the same seed and calls give the same grants") {
  const auto grants_of = [](std::uint64_t seed) {
    simulated_push world({}, seed);
    for (std::uint64_t d = 0; d < 20; ++d)
      world.set(d, [](simulated_push& w) {
        return w.random.below(4) == 0 ? reaction{50ms, failed(500), {}} : reaction{20ms, stored(), {}};
      });
    for (std::uint64_t j = 0; j < 200; ++j)
      world.want(j, "t" + std::to_string(j % 9), j % 20);
    world.run_for(60s);
    std::vector<std::pair<std::uint64_t, time_point>> result;
    for (const auto& s : world.starts)
      result.emplace_back(s.job, s.at);
    return result;
  };
  CHECK(grants_of(1) == grants_of(1));
  CHECK(grants_of(1) != grants_of(2));
}
