#include "actors/push_policy/push_scheduler.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include <doctest/doctest.h>

#include "simulated_push.hpp"

using namespace weir;
using namespace weir::push_policy;
using namespace weir::push_policy::testing;
using namespace std::chrono_literals;

namespace {

push_settings with_slots(std::uint32_t slots, std::uint32_t of_one_tenant = 0) {
  push_settings settings;
  settings.slots = slots;
  settings.tenant_slots = of_one_tenant == 0 ? slots : of_one_tenant;
  return settings;
}

std::string tenant_of(std::uint64_t n) {
  return "accounts/" + std::to_string(n);
}

/// Makes each destination proven by one small push of a job of its own, then forgets the records.
void prove(simulated_push& world, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t d = first; d < first + count; ++d)
    world.want(1'000'000 + d, tenant_of(1'000'000 + d), d, 1'000);
  world.run_for(2s);
  for (std::uint64_t d = first; d < first + count; ++d)
    REQUIRE_EQ(world.scheduler.report(destination_key{d})->health, destination_health::healthy);
  world.starts.clear();
}

} // namespace

TEST_CASE("a job that wants to push is granted a slot at once, and only once") {
  simulated_push world;
  world.scheduler.want(job_id{1}, "accounts/1", destination_key{9}, 1'000, world.now);
  world.scheduler.want(job_id{1}, "accounts/1", destination_key{9}, 1'000, world.now);
  const auto g = world.scheduler.next(world.now);
  REQUIRE(g);
  CHECK_EQ(g->job, job_id{1});
  CHECK_EQ(g->destination, destination_key{9});
  CHECK_EQ(g->kind, grant_kind::first);
  CHECK_FALSE(world.scheduler.next(world.now));
  CHECK_EQ(world.scheduler.finished(job_id{1}, stored(), world.now).step, push_step::done);
  CHECK_FALSE(world.scheduler.next(world.now));
  CHECK_EQ(world.scheduler.totals().in_flight, 0);
}

TEST_CASE("the end of an upload that nobody was granted changes nothing") {
  simulated_push world;
  CHECK_EQ(world.scheduler.finished(job_id{5}, failed(), world.now).step, push_step::done);
  world.scheduler.want(job_id{5}, "accounts/1", destination_key{9}, 1, world.now);
  CHECK_EQ(world.scheduler.finished(job_id{5}, refused(400), world.now).step, push_step::done);
  world.scheduler.progressed(job_id{6}, world.now);
  world.scheduler.forget(job_id{6}, world.now);
  CHECK(world.scheduler.next(world.now));
}

TEST_CASE("a job that wants to push again while it uploads is queued again afterwards") {
  simulated_push world;
  world.set(9, simulated_push::answers_after(10ms));
  world.want(1, "accounts/1", 9);
  world.give_out();
  world.want(1, "accounts/1", 9);
  world.run_for(1s);
  CHECK_EQ(world.done[1].size(), 2);
}

TEST_CASE("there are never more uploads than slots, and all slots are used") {
  simulated_push world(with_slots(8));
  for (std::uint64_t d = 0; d < 20; ++d)
    world.set(d, simulated_push::answers_after(100ms));
  prove(world, 0, 20);
  for (std::uint64_t j = 0; j < 40; ++j)
    world.want(j, tenant_of(j), j % 20);
  world.give_out();
  CHECK_EQ(world.scheduler.totals().in_flight, 8);
  world.run_for(1s);
  CHECK_EQ(world.done.size() - 20, 40);
}

TEST_CASE("of 100 destinations fifty never answer: the other fifty get slots within one round") {
  for (const auto slots : {16u, 64u, 128u}) {
    CAPTURE(slots);
    simulated_push world(with_slots(slots));
    for (std::uint64_t d = 0; d < 100; ++d)
      world.set(d, simulated_push::answers_after(50ms));
    prove(world, 0, 100);
    for (std::uint64_t d = 0; d < 50; ++d)
      world.set(d, simulated_push::never_answers());
    // The dead ones first in the queue, and all wanting more all the time.
    world.on_done = [&](std::uint64_t job) {
      if (job < 100)
        world.want(job, tenant_of(job), job);
    };
    for (std::uint64_t j = 0; j < 100; ++j)
      world.want(j, tenant_of(j), j);
    const auto all_living_served = [&] {
      for (std::uint64_t j = 50; j < 100; ++j) {
        if (world.done[j].empty())
          return false;
      }
      return true;
    };
    // Slots for all of the dead and some more: nobody notices. With fewer the dead are found out
    // in rounds of a second.
    world.run_for(slots > 50 ? 500ms : 6'000ms);
    CHECK(all_living_served());
    if (slots < 50)
      CHECK(world.scheduler.totals().in_flight_slow <= slots / 4);
    // From then on the living do not notice, for ten minutes: each pushes back to back.
    for (auto& [job, times] : world.done)
      times.clear();
    world.run_for(600s);
    const auto share = std::min(1.0, (slots - slots / 4) / 50.0);
    for (std::uint64_t j = 50; j < 100; ++j)
      CHECK(static_cast<double>(world.done[j].size()) > 0.8 * share * (600.0 / 0.05));
    for (std::uint64_t j = 0; j < 50; ++j) {
      const auto report = world.scheduler.report(destination_key{j});
      CHECK_EQ(report->health, destination_health::open);
      CHECK(report->in_flight <= 1);
      CHECK_FALSE(report->reason.empty());
    }
  }
}

TEST_CASE("fifty dead destinations that were never tried before hold no more than their share either") {
  simulated_push world(with_slots(32));
  for (std::uint64_t d = 0; d < 50; ++d)
    world.set(d, simulated_push::never_answers());
  for (std::uint64_t d = 50; d < 100; ++d)
    world.set(d, simulated_push::answers_after(50ms));
  for (std::uint64_t j = 0; j < 100; ++j)
    world.want(j, tenant_of(j), j);
  world.give_out();
  // A quarter stays free for destinations that prove themselves.
  CHECK_EQ(world.scheduler.totals().in_flight, 24);
  // They have no usual time to be measured by, so each round of them takes five seconds.
  world.run_for(16s);
  std::size_t served = 0;
  for (std::uint64_t j = 50; j < 100; ++j)
    served += !world.done[j].empty();
  CHECK_EQ(served, 50);
  CHECK(world.scheduler.totals().revoked > 0);
}

TEST_CASE("uploads of slow destinations are left alone while nobody else needs their slots") {
  simulated_push world(with_slots(8));
  for (std::uint64_t d = 0; d < 6; ++d) {
    world.set(d, simulated_push::answers_after(20s));
    world.want(d, tenant_of(d), d);
  }
  world.run_for(21s);
  for (std::uint64_t d = 0; d < 6; ++d)
    CHECK_EQ(world.done[d].size(), 1);
  CHECK_EQ(world.scheduler.totals().revoked, 0);
}

TEST_CASE("a destination without progress for 5 s shrinks to one upload, and grows again when pushes go well") {
  simulated_push world;
  world.set(1, simulated_push::answers_after(100ms));
  world.on_done = [&](std::uint64_t job) { world.want(job, tenant_of(job), 1); };
  for (std::uint64_t j = 0; j < 40; ++j)
    world.want(j, tenant_of(j), 1);
  world.run_for(3s);
  REQUIRE(world.flying_at(1) == 32);
  world.set(1, simulated_push::answers_after(30s));
  world.run_for(6s);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::slow);
  CHECK_EQ(world.scheduler.report(destination_key{1})->limit, 1);
  world.run_for(30s);
  for (int i = 0; i < 3; ++i) {
    CHECK(world.flying_at(1) == 1);
    CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::slow);
    world.run_for(30s);
  }
  world.set(1, simulated_push::answers_after(100ms));
  world.run_for(35s);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::healthy);
  CHECK(world.flying_at(1) > 10);
}

TEST_CASE("a slow destination that takes window after window is not taken for a dead one") {
  simulated_push world;
  world.set(1, [](simulated_push&) { return reaction{60s, stored(), 4s}; });
  world.want(1, "accounts/1", 1);
  world.run_for(61s);
  CHECK_EQ(world.done[1].size(), 1);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::healthy);
}

TEST_CASE("a tenant with one job and a tenant with a thousand get the same share") {
  simulated_push world(with_slots(16));
  for (std::uint64_t d = 0; d < 2; ++d)
    world.set(d, simulated_push::answers_after(100ms));
  prove(world, 0, 2);
  for (std::uint64_t j = 1; j <= 1'000; ++j)
    world.want(j, "accounts/many", 0);
  world.run_for(2s);
  world.want(5'000, "accounts/one", 1);
  world.run_for(200ms);
  CHECK_EQ(world.done[5'000].size(), 1);
}

TEST_CASE("tenants share a destination they have in common by bytes") {
  auto settings = with_slots(8);
  simulated_push world(settings);
  world.set(0, simulated_push::answers_after(100ms));
  for (std::uint64_t j = 0; j < 2'000; ++j)
    world.want(j, j % 100 == 0 ? "accounts/few" : "accounts/many", 0, 1 << 20);
  world.run_for(1s);
  std::size_t few = 0, many = 0;
  for (const auto& s : world.starts)
    (s.job % 100 == 0 ? few : many) += 1;
  // The small tenant has 20 jobs, and all went out among the first forty or so.
  CHECK(few >= std::min<std::size_t>(20, many - 6));
}

TEST_CASE("a tenant uses at most its slots, and another one goes past it") {
  simulated_push world(with_slots(16, 4));
  for (std::uint64_t d = 0; d < 40; ++d)
    world.set(d, simulated_push::answers_after(100ms));
  prove(world, 0, 40);
  for (std::uint64_t j = 0; j < 39; ++j)
    world.want(j, "accounts/greedy", j);
  world.give_out();
  CHECK_EQ(world.scheduler.totals().in_flight, 4);
  world.want(100, "accounts/other", 39);
  world.give_out();
  CHECK(world.is_flying(100));
  world.run_for(2s);
  for (std::uint64_t j = 0; j < 39; ++j)
    CHECK_EQ(world.done[j].size(), 1);
}

TEST_CASE("a tenant at its limit does not keep others from a destination they share") {
  simulated_push world(with_slots(16, 4));
  world.set(0, simulated_push::answers_after(100ms));
  for (std::uint64_t d = 1; d < 5; ++d)
    world.set(d, simulated_push::answers_after(3s));
  prove(world, 0, 1);
  for (std::uint64_t d = 1; d < 5; ++d)
    world.want(d, "accounts/greedy", d);
  world.give_out();
  for (std::uint64_t j = 10; j < 30; ++j)
    world.want(j, "accounts/greedy", 0);
  world.want(50, "accounts/other", 0);
  world.run_for(300ms);
  CHECK_EQ(world.done[50].size(), 1);
  CHECK(world.done[10].empty());
  world.run_for(10s);
  for (std::uint64_t j = 10; j < 30; ++j)
    CHECK_EQ(world.done[j].size(), 1);
}

TEST_CASE("a failed job is retried later, with growing jittered delays, at a destination that works otherwise") {
  simulated_push world;
  int calls = 0;
  world.set(1, [&](simulated_push& w) {
    const auto& last = w.starts.back();
    if (last.job == 7 && calls++ < 6)
      return reaction{10ms, failed(500), {}};
    return reaction{10ms, stored(), {}};
  });
  world.on_done = [&](std::uint64_t job) {
    if (job == 1)
      world.want(1, "accounts/1", 1);
  };
  world.want(1, "accounts/1", 1);
  world.want(7, "accounts/7", 1);
  world.run_for(300s);
  CHECK_EQ(world.done[7].size(), 1);
  std::vector<time_point> at;
  for (const auto& s : world.starts) {
    if (s.job != 7)
      continue;
    CHECK_EQ(s.kind, at.empty() ? grant_kind::first : grant_kind::retry);
    at.push_back(s.at);
  }
  REQUIRE_EQ(at.size(), 7);
  for (std::size_t i = 1; i < at.size(); ++i) {
    CHECK(at[i] - at[i - 1] >= 1s);
    CHECK(at[i] - at[i - 1] <= 1s * (1 << i) + 100ms);
  }
}

TEST_CASE("a dead destination opens its circuit, is probed by one upload at a time, and gets all when it is back") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(failed(), 10ms));
  for (std::uint64_t j = 0; j < 200; ++j)
    world.want(j, tenant_of(j % 7), 1);
  world.run_for(60s);
  auto report = *world.scheduler.report(destination_key{1});
  CHECK_EQ(report.health, destination_health::open);
  CHECK_EQ(report.reason, "no answer");
  REQUIRE(report.next_try);
  CHECK(*report.next_try > world.now);
  CHECK(*report.next_try <= world.now + 30s);
  CHECK_EQ(report.waiting, 200);
  CHECK(report.since < world.now - 50s);
  const auto tries_at_first = world.starts.size();
  CHECK(tries_at_first < 30);
  world.run_for(6h);
  // 30 s at most and 1 s at least between two probes; about 15 s on average.
  const auto probes = world.starts.size() - tries_at_first;
  CHECK(probes >= 6 * 3600 / 31);
  CHECK(probes <= 6 * 3600 / 10);
  world.set(1, simulated_push::answers_after(10ms));
  world.run_for(31s);
  for (std::uint64_t j = 0; j < 200; ++j)
    CHECK_EQ(world.done[j].size(), 1);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::healthy);
}

TEST_CASE("403 and 404 hold the backlog instead of dead-lettering it, and the reason is shown") {
  for (const int status : {401, 403, 404, 405, 410, 301}) {
    CAPTURE(status);
    simulated_push world;
    world.set(1, simulated_push::fails_with(refused(status)));
    for (std::uint64_t j = 0; j < 50; ++j)
      world.want(j, tenant_of(1), 1);
    world.run_for(600s);
    CHECK(world.poisoned.empty());
    CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::open);
    CHECK_EQ(world.scheduler.report(destination_key{1})->reason, "refused with " + std::to_string(status));
    CHECK(world.starts.size() < 80);
    world.set(1, simulated_push::answers_after(10ms));
    world.run_for(31s);
    CHECK_EQ(world.done.size(), 50);
  }
}

TEST_CASE("a poison body goes back to its owner while the other jobs go on") {
  simulated_push world;
  world.set(1, [](simulated_push& w) {
    return w.starts.back().job == 13 ? reaction{10ms, refused(400), {}} : reaction{10ms, stored(), {}};
  });
  for (std::uint64_t j = 0; j < 50; ++j)
    world.want(j, tenant_of(1), 1);
  world.run_for(5s);
  REQUIRE_EQ(world.poisoned[13].size(), 1);
  CHECK(world.poisoned[13][0].destination_accepts);
  CHECK_EQ(world.done.size(), 49);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::healthy);
  CHECK_EQ(world.scheduler.totals().waiting, 0);
}

TEST_CASE("one poison event in a million is found by splitting before the circuit opens") {
  simulated_push world;
  int size = 1 << 20, refusals = 0;
  world.set(1, [&](simulated_push&) {
    // The worst case: the poison is in the first half each time.
    return size >= 1 ? reaction{1ms, refused(400), {}} : reaction{1ms, stored(), {}};
  });
  world.on_poison = [&](std::uint64_t job, const verdict& v) {
    ++refusals;
    size /= 2;
    CHECK_FALSE(v.destination_accepts);
    world.want(job, "accounts/1", 1);
  };
  world.want(1, "accounts/1", 1);
  world.run_for(10s);
  CHECK_EQ(refusals, 21);
  CHECK_EQ(world.done[1].size(), 1);
}

TEST_CASE("a destination that refuses every body is taken for broken, not for a place of poison") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(refused(400)));
  world.on_poison = [&](std::uint64_t job, const verdict&) { world.want(job, "accounts/1", 1); };
  for (std::uint64_t j = 0; j < 100; ++j)
    world.want(j, "accounts/1", 1);
  world.run_for(3600s);
  std::size_t poisoned = 0;
  for (const auto& [job, verdicts] : world.poisoned)
    poisoned += verdicts.size();
  CHECK_EQ(poisoned, 23);
  CHECK_EQ(world.scheduler.report(destination_key{1})->health, destination_health::open);
}

TEST_CASE("Retry-After stops all uploads to that destination and to no other") {
  simulated_push world;
  auto throttled = true;
  world.set(1, [&](simulated_push&) {
    return throttled ? reaction{10ms, failed(429, 120s), {}} : reaction{10ms, stored(), {}};
  });
  world.set(2, simulated_push::answers_after(10ms));
  for (std::uint64_t j = 0; j < 20; ++j)
    world.want(j, tenant_of(j), 1);
  for (std::uint64_t j = 20; j < 40; ++j)
    world.want(j, tenant_of(j), 2);
  world.run_for(119s);
  CHECK_EQ(world.starts.size(), 21);
  for (std::uint64_t j = 20; j < 40; ++j)
    CHECK_EQ(world.done[j].size(), 1);
  throttled = false;
  world.run_for(20s);
  for (std::uint64_t j = 0; j < 20; ++j)
    CHECK_EQ(world.done[j].size(), 1);
}

TEST_CASE("when the retry budget is spent every dead destination is still probed within 30 s") {
  auto settings = with_slots(128);
  settings.budget.minimum = 0;
  settings.budget.share = 0.0;
  simulated_push world(settings);
  for (std::uint64_t d = 0; d < 100; ++d) {
    world.set(d, simulated_push::fails_with(failed(503)));
    world.want(d, tenant_of(d), d);
  }
  world.run_for(300s);
  std::map<std::uint64_t, std::vector<time_point>> by_destination;
  std::map<std::int64_t, int> by_second;
  for (const auto& s : world.starts) {
    by_destination[s.destination].push_back(s.at);
    if (s.kind != grant_kind::first)
      ++by_second[std::chrono::duration_cast<std::chrono::seconds>(s.at.time_since_epoch()).count()];
  }
  REQUIRE_EQ(by_destination.size(), 100);
  for (const auto& [d, times] : by_destination) {
    for (std::size_t i = 1; i < times.size(); ++i) {
      CHECK(times[i] - times[i - 1] >= 14s);
      // 15–30 s from one start to the next, and the job's own backoff may come on top at first.
      CHECK(times[i] - times[i - 1] <= 62s);
    }
    CHECK(world.now - times.back() <= 62s);
  }
  // Jittered: they do not come together.
  for (const auto& [second, n] : by_second)
    CHECK(n <= 30);
}

TEST_CASE("retries stay within a tenth of the first tries, the minimum and the probes") {
  auto settings = with_slots(128);
  simulated_push world(settings, 5);
  // Every tenth upload fails: without a budget retries would grow with the load.
  for (std::uint64_t d = 0; d < 40; ++d)
    world.set(d, [](simulated_push& w) {
      return w.random.below(3) == 0 ? reaction{20ms, failed(500), {}} : reaction{20ms, stored(), {}};
    });
  world.on_done = [&](std::uint64_t job) { world.want(job, tenant_of(job), job % 40); };
  for (std::uint64_t j = 0; j < 400; ++j)
    world.want(j, tenant_of(j), j % 40);
  world.run_for(120s);
  const auto totals = world.scheduler.totals();
  REQUIRE(totals.firsts > 1'000);
  // The destination's own minimum: one per 15 s at least apart, for 40 destinations.
  const auto minimum = 40 * (120 / 15) + 2 * 10;
  // A circuit that closes lets the jobs through that waited for it; each closing was paid by its probe.
  CHECK(totals.retries + totals.probes <= totals.firsts / 10 + minimum + totals.probes * 4);
}

TEST_CASE("OVL-05: when all destinations come back after hours the drain is paced and fresh data is not starved") {
  simulated_push world(with_slots(64));
  auto dead = true;
  for (std::uint64_t d = 0; d < 200; ++d)
    world.set(d, [&](simulated_push&) { return dead ? reaction{1s, failed(), {}} : reaction{50ms, stored(), {}}; });
  for (std::uint64_t j = 0; j < 2'000; ++j)
    world.want(j, tenant_of(j % 200), j % 200, 16 << 20);
  world.run_for(4h);
  world.starts.clear();
  CHECK_EQ(world.scheduler.totals().open, 200);
  dead = false;
  world.on_done = [&](std::uint64_t job) {
    if (job >= 10'000)
      world.want(job, "accounts/fresh", job - 10'000, 1 << 20);
  };
  const auto back = world.now;
  world.run_for(300ms);
  // No stampede: no destination got more than its ramp allows, and not all probes went at once.
  std::map<std::uint64_t, int> firsts;
  for (const auto& s : world.starts)
    ++firsts[s.destination];
  for (const auto& [d, n] : firsts)
    CHECK(n <= 1 + 2 + 4 + 8 + 16);
  CHECK(firsts.size() < 60);
  world.want(10'000 + 5, "accounts/fresh", 5, 1 << 20);
  world.run_for(60s);
  std::size_t delivered = 0;
  for (std::uint64_t j = 0; j < 2'000; ++j)
    delivered += world.done[j].size();
  CHECK_EQ(delivered, 2'000);
  CHECK(world.done[10'005].size() > 100);
  CHECK_EQ(world.scheduler.totals().open, 0);
  CHECK(world.now - back < 61s);
}

TEST_CASE("OVL-03: with a third of the destinations throttled or slow the others use the slots") {
  simulated_push world(with_slots(64));
  for (std::uint64_t d = 0; d < 90; ++d)
    world.set(d, simulated_push::answers_after(100ms));
  prove(world, 0, 90);
  for (std::uint64_t d = 0; d < 10; ++d)
    world.set(d, simulated_push::answers_after(30s));
  for (std::uint64_t d = 10; d < 20; ++d)
    world.set(d, simulated_push::fails_with(failed(503, 1800s)));
  for (std::uint64_t d = 20; d < 30; ++d)
    world.set(d, simulated_push::never_answers());
  world.on_done = [&](std::uint64_t job) {
    if (job < 900)
      world.want(job, tenant_of(job % 90), job % 90);
  };
  for (std::uint64_t j = 0; j < 900; ++j)
    world.want(j, tenant_of(j % 90), j % 90);
  world.run_for(60s);
  world.starts.clear();
  world.run_for(60s);
  std::size_t good = 0;
  for (const auto& s : world.starts)
    good += s.destination >= 30;
  CHECK(static_cast<double>(good) >= 0.7 * 64 * 600);
  CHECK(world.scheduler.totals().in_flight_slow <= 16);
}

TEST_CASE("a forgotten job is not granted; one that uploads keeps its slot until the end and is done then") {
  simulated_push world(with_slots(1));
  world.scheduler.want(job_id{1}, "a", destination_key{1}, 1, world.now);
  world.scheduler.want(job_id{2}, "a", destination_key{1}, 1, world.now);
  world.scheduler.want(job_id{3}, "b", destination_key{2}, 1, world.now);
  REQUIRE_EQ(world.scheduler.next(world.now)->job, job_id{1});
  world.scheduler.forget(job_id{2}, world.now);
  world.scheduler.forget(job_id{1}, world.now);
  CHECK_FALSE(world.scheduler.next(world.now));
  CHECK_EQ(world.scheduler.finished(job_id{1}, failed(), world.now).step, push_step::done);
  CHECK_EQ(world.scheduler.report(destination_key{1})->failures, 0);
  CHECK_EQ(world.scheduler.next(world.now)->job, job_id{3});
  CHECK_EQ(world.scheduler.totals().waiting, 0);
}

TEST_CASE("a forgotten probe does not keep its destination closed to others") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(refused(403)));
  world.want(1, "a", 1);
  world.want(2, "a", 1);
  world.run_for(50ms);
  REQUIRE_EQ(world.scheduler.report(destination_key{1})->health, destination_health::open);
  auto now = *world.scheduler.next_wakeup() + 1s;
  const auto probe = world.scheduler.next(now);
  REQUIRE(probe);
  CHECK_EQ(probe->kind, grant_kind::probe);
  CHECK_FALSE(world.scheduler.next(now));
  world.scheduler.forget(probe->job, now);
  world.scheduler.finished(probe->job, failed(), now);
  now += 31s;
  const auto second = world.scheduler.next(now);
  REQUIRE(second);
  CHECK_EQ(second->kind, grant_kind::probe);
  CHECK(second->job != probe->job);
}

TEST_CASE("a job whose destination changed while it waited goes to the new one") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(refused(403)));
  world.set(2, simulated_push::answers_after(10ms));
  world.want(1, "a", 1);
  world.run_for(100ms);
  CHECK(world.done[1].empty());
  world.want(1, "a", 2);
  world.run_for(100ms);
  CHECK_EQ(world.done[1].size(), 1);
}

TEST_CASE("an operator can have a destination probed at once") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(failed(503, 300s)));
  world.want(1, "a", 1);
  world.run_for(10s);
  world.set(1, simulated_push::answers_after(10ms));
  CHECK_FALSE(world.scheduler.probe_now(destination_key{7}, world.now));
  CHECK(world.scheduler.probe_now(destination_key{1}, world.now));
  world.run_for(100ms);
  CHECK_EQ(world.done[1].size(), 1);
}

TEST_CASE("the list for operators names troubled destinations with a job, a reason and the next try") {
  simulated_push world;
  world.set(1, simulated_push::fails_with(refused(403)));
  world.set(2, simulated_push::answers_after(10ms));
  world.set(3, simulated_push::never_answers());
  for (std::uint64_t d = 1; d <= 3; ++d)
    world.want(100 + d, tenant_of(d), d);
  world.run_for(6s);
  const auto all = world.scheduler.reports(false, 100);
  CHECK_EQ(all.size(), 3);
  CHECK_EQ(world.scheduler.reports(false, 2).size(), 2);
  auto troubled = world.scheduler.reports(true, 100);
  REQUIRE_EQ(troubled.size(), 2);
  std::sort(troubled.begin(), troubled.end(), [](auto& a, auto& b) { return a.job < b.job; });
  CHECK_EQ(troubled[0].job, job_id{101});
  CHECK_EQ(troubled[0].health, destination_health::open);
  CHECK(troubled[0].next_try);
  CHECK_EQ(troubled[1].job, job_id{103});
  CHECK_EQ(troubled[1].health, destination_health::slow);
  CHECK_EQ(troubled[1].reason, "no progress for 5 s");
  CHECK_EQ(troubled[1].in_flight, 1);
  CHECK_EQ(world.scheduler.totals().slow, 1);
  CHECK_EQ(world.scheduler.totals().open, 1);
}

TEST_CASE("a destination nobody pushes to is forgotten") {
  simulated_push world;
  for (std::uint64_t d = 0; d < 100; ++d) {
    world.set(d, simulated_push::answers_after(10ms));
    world.want(d, tenant_of(d), d);
  }
  world.run_for(1s);
  CHECK_EQ(world.scheduler.totals().destinations, 100);
  world.run_for(11min);
  CHECK_EQ(world.scheduler.totals().destinations, 0);
}

TEST_CASE("two destinations have different keys, and the key of one is always the same") {
  CHECK_EQ(destination_key_of("https://a.example/x"), destination_key_of("https://a.example/x"));
  CHECK(destination_key_of("https://a.example/x") != destination_key_of("https://a.example/y"));
  CHECK_EQ(number(destination_key_of("")), 0xe3b0c44298fc1c14ull);
}

TEST_CASE("100,000 waiting jobs are shared out in microseconds each, whether their destinations are one or many") {
  for (const std::uint64_t destinations : {1ull, 1'000ull, 100'000ull}) {
    simulated_push world;
    auto& scheduler = world.scheduler;
    const auto began = std::chrono::steady_clock::now();
    for (std::uint64_t j = 0; j < 100'000; ++j)
      scheduler.want(job_id{j}, tenant_of(j % 50'000), destination_key{j % destinations}, 1'000, world.now);
    std::uint64_t granted = 0;
    while (granted < 100'000) {
      world.now += 1ms;
      std::vector<job_id> flying;
      while (const auto g = scheduler.next(world.now))
        flying.push_back(g->job);
      REQUIRE_FALSE(flying.empty());
      granted += flying.size();
      for (const auto j : flying)
        scheduler.finished(j, stored(), world.now);
    }
    const auto took = std::chrono::steady_clock::now() - began;
    const auto each = std::chrono::duration<double, std::micro>(took).count() / 100'000;
    MESSAGE(destinations << " destinations: " << each << " us for want, grant and end of each job");
    CHECK(each < 200); // Two orders of magnitude above what it takes; a quadratic step would be seen.
  }
}
