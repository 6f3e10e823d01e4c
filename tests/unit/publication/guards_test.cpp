#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/fake_random.hpp"
#include "tests/support/test_seed.hpp"
#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

/// No guard objects to anything but a config without entries.
guard_settings all_off() {
  guard_settings off;
  off.max_shrink = off.max_growth = off.max_moved = 1e9;
  return off;
}

struct large_change {
  const char* guard;
  double guard_settings::*limit;
  std::function<void(plain_jobs&)> make;
};

const large_change large_changes[] = {
    {"shrunk", &guard_settings::max_shrink, [](plain_jobs& jobs) { jobs.erase(jobs.find(51), jobs.end()); }},
    {"grown", &guard_settings::max_growth,
     [](plain_jobs& jobs) {
       for (std::uint64_t id = 101; id <= 200; ++id)
         jobs[id];
     }},
    {"moved", &guard_settings::max_moved,
     [](plain_jobs& jobs) {
       for (std::uint64_t id = 1; id <= 50; ++id)
         jobs[id].destination = "file:///var/tmp/weir/elsewhere";
     }},
};

} // namespace

TEST_CASE("Each guard holds its change with all other guards off, and lets it pass when it is off itself") {
  for (const auto& change : large_changes) {
    CAPTURE(change.guard);
    auto says = jobs_up_to(100);
    change.make(says);
    {
      publisher_bench bench{jobs_up_to(100)};
      bench.settings.guards = all_off();
      bench.settings.guards.*change.limit = guard_settings{}.*change.limit;
      bench.say(says);
      REQUIRE_EQ(bench.held().size(), 1);
      CHECK(bench.held()[0].reasons == std::vector<std::string>{change.guard});
      CHECK_EQ(bench.metric(fmt::format("weir_guard_fired_total{{guard=\"{}\"}}", change.guard)), "1");
      bench.pass(5min);
      CHECK_EQ(bench.version(), 1);
    }
    {
      publisher_bench bench{jobs_up_to(100)};
      bench.settings.guards.*change.limit = 1e9;
      bench.say(says);
      CHECK(bench.held().empty());
      bench.finish_rollout();
      CHECK_EQ(bench.version(), 2);
    }
  }
}

TEST_CASE("Each guard on yesterday's traffic holds the change of one large customer with all other guards off") {
  const std::pair<const char*, double guard_settings::*> guards[] = {{"shrunk_bytes", &guard_settings::max_shrink},
                                                                     {"moved_bytes", &guard_settings::max_moved}};
  for (const auto& [guard, limit] : guards) {
    CAPTURE(guard);
    publisher_bench bench{jobs_up_to(100)};
    bench.settings.guards = all_off();
    bench.settings.guards.*limit = guard_settings{}.*limit;
    bench.it().traffic({{job_id{1}, 1'000}, {job_id{2}, 10}}, bench.now);
    auto says = jobs_up_to(100);
    if (limit == &guard_settings::max_shrink)
      says.erase(1);
    else
      says[1].destination = "file:///var/tmp/weir/elsewhere";
    bench.say(says);
    REQUIRE_EQ(bench.held().size(), 1);
    CHECK(bench.held()[0].reasons == std::vector<std::string>{guard});
  }
}

TEST_CASE("Two large changes of different kinds wait together, and all else goes on") {
  publisher_bench bench{jobs_up_to(100)};
  auto says = jobs_up_to(200);
  for (std::uint64_t id = 1; id <= 50; ++id)
    says[id].destination = "file:///var/tmp/weir/elsewhere";
  says.erase(60);
  bench.say(says);
  REQUIRE_EQ(bench.held().size(), 1);
  auto reasons = bench.held()[0].reasons;
  std::sort(reasons.begin(), reasons.end());
  CHECK(reasons == std::vector<std::string>{"grown", "moved"});
  CHECK_EQ(bench.held()[0].changes.in_all.total(), 150);
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK(is_on_hold(*bench.in_force, 60));
  CHECK_EQ(entitled_in(*bench.in_force).size(), 99);
}

TEST_CASE("A few entries may change freely") {
  publisher_bench bench{jobs_up_to(12)};
  bench.say(jobs_up_to(4));
  CHECK(bench.held().empty());
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
}

namespace {

/// What a random source says next: usually a little else, sometimes a lot.
void change(plain_jobs& jobs, fake_random& chance, std::uint64_t& next_id) {
  const auto times = chance.below(4) == 0 ? 1 + chance.below(60) : 1 + chance.below(4);
  const auto what = chance.below(4);
  for (std::uint64_t i = 0; i < times; ++i) {
    if (what == 0 || jobs.size() < 2) {
      jobs[next_id++];
      continue;
    }
    auto at = jobs.begin();
    std::advance(at, static_cast<long>(chance.below(jobs.size())));
    if (what == 1)
      jobs.erase(at);
    else if (what == 2)
      at->second.destination = fmt::format("file:///var/tmp/weir/{}", chance.below(5));
    else
      at->second.enabled = !at->second.enabled;
  }
}

} // namespace

TEST_CASE(
    "Whatever the source says and operators do, nothing beyond the guards goes out unapproved, and it all settles") {
  const auto seed = test_seed("publication property");
  for (std::uint64_t run = 0; run < 12; ++run) {
    CAPTURE(run);
    fake_random chance{seed * 1'000 + run};
    publisher_bench bench{jobs_up_to(100), 2, 1 + chance.below(12)};
    bench.settings.capacity = 200;
    std::map<std::uint64_t, config_snapshot_ptr> published; // By version.
    published[1] = bench.in_force;
    std::uint64_t violations = 0;
    bench.watch_offer = [&](const fake_role&, const publication_effect& effect) {
      const auto& next = *effect.snapshot;
      if (!published.emplace(number(next.version), effect.snapshot).second)
        return;
      const auto row = bench.history->version(next.version);
      violations += row ? 0 : 1; // Written down before anybody is offered it.
      violations += count_entries(next).entitled == 0 ? 1 : 0;
      const bool seen = row && (row->why == "approved" || row->why == "rollback" || row->why == "return");
      guard_facts facts;
      facts.capacity = bench.settings.capacity;
      if (!seen && !judge(bench.settings.guards, facts, bench.in_force.get(), nullptr, next).pass())
        ++violations;
    };
    std::uint64_t next_id = 1'000;
    for (int step = 0; step < 60; ++step) {
      switch (chance.below(12)) {
        case 0:
          if (!bench.held().empty())
            bench.approve(bench.held()[0].hash);
          break;
        case 1:
          if (!bench.held().empty())
            bench.order(config_command::order::reject, bench.held()[0].hash);
          break;
        case 2:
          bench.rollback(1 + chance.below(bench.version()));
          break;
        case 3:
          chance.below(2) == 0 ? bench.freeze() : bench.unfreeze();
          break;
        case 4:
          bench.fails = config_reading{};
          bench.fails->reason = "truncated";
          break;
        case 5:
          bench.fails.reset();
          break;
        case 6:
          bench.restart();
          break;
        case 7:
          bench.skip(std::chrono::minutes{chance.below(90)});
          break;
        case 8: {
          auto& role = chance.below(2) == 0 ? bench.receivers[chance.below(bench.receivers.size())]
                                            : bench.forwarders[chance.below(bench.forwarders.size())];
          role.refuses = chance.below(3) == 0 ? "moved" : "";
          role.silent = chance.below(6) == 0;
          role.there = chance.below(6) != 0;
          break;
        }
        default:
          change(bench.says, chance, next_id);
      }
      bench.pass(std::chrono::seconds{chance.below(40)});
      REQUIRE_EQ(violations, 0);
    }
    // Trouble ends; somebody approves what is held: everybody comes to what the source says.
    for (auto* group : {&bench.receivers, &bench.forwarders})
      for (auto& role : *group) {
        role.refuses.clear();
        role.silent = false;
        role.there = true;
      }
    bench.fails.reset();
    bench.says[1]; // Somebody is entitled.
    bench.unfreeze();
    bench.order(config_command::order::publish);
    std::set<std::uint64_t> wanted;
    for (const auto& [id, job] : bench.says)
      if (job.enabled)
        wanted.insert(id);
    for (int i = 0; i < 20 && entitled_in(*bench.in_force) != wanted; ++i) {
      bench.pass(5min);
      if (!bench.held().empty())
        bench.approve(bench.held()[0].hash);
    }
    CHECK(entitled_in(*bench.in_force) == wanted);
    bench.pass(2min);
    for (auto* group : {&bench.receivers, &bench.forwarders})
      for (const auto& role : *group)
        CHECK_EQ(number(role.in_force->version), bench.version());
    CHECK(bench.kept == bench.in_force);
    REQUIRE_EQ(violations, 0);
  }
}

} // namespace weir
