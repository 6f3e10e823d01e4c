#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

/// A node under even load: per tenth of a second 1,000 events in 10 bodies.
void even_load(rollout_health& x) {
  x.received += 1'000;
  x.delivered += 900;
  x.not_entitled += 100;
  x.bodies += 10;
}

std::size_t adopters(const publisher_bench& bench, std::uint64_t version) {
  return static_cast<std::size_t>(std::count_if(bench.forwarders.begin(), bench.forwarders.end(),
                                                [&](const auto& x) { return number(x.in_force->version) == version; }));
}

} // namespace

TEST_CASE("A version goes to all receivers, then the buffers, then forwarders by stage, then the intake and the disk") {
  publisher_bench bench{jobs_up_to(100), 2, 2};
  bench.say(jobs_up_to(101));
  bench.finish_rollout();
  const std::vector<std::string> expected{"receiver 0 2",  "receiver 1 2", "buffers 2", "forwarder 0 2",
                                          "forwarder 1 2", "intake 2",     "keep 2"};
  CHECK_EQ(bench.story, expected);
  CHECK(bench.kept == bench.in_force);
  const auto row = bench.history->version(config_version{2});
  CHECK(row->outcome == version_outcome::complete);
  CHECK_EQ(number(row->parent), 1);
  CHECK(row->finished > row->created);
}

TEST_CASE("Of 25 forwarders one is the canary, three are the tenth, and each stage is watched") {
  publisher_bench bench{jobs_up_to(100), 1, 25};
  bench.say(jobs_up_to(101));
  CHECK_EQ(bench.view().stage, rollout_stage::canary);
  CHECK_EQ(adopters(bench, 2), 1);
  bench.pass(29s);
  CHECK_EQ(adopters(bench, 2), 1);
  bench.pass(2s);
  CHECK_EQ(bench.view().stage, rollout_stage::tenth);
  CHECK_EQ(adopters(bench, 2), 3);
  bench.pass(30s);
  CHECK_EQ(bench.view().stage, rollout_stage::all);
  CHECK_EQ(adopters(bench, 2), 25);
  CHECK(bench.kept == nullptr); // Not good until the last stage was watched, too.
  bench.pass(30s);
  CHECK(bench.rolled_out());
  CHECK(bench.kept != nullptr);
}

TEST_CASE("A node with one forwarder has one stage") {
  publisher_bench bench{jobs_up_to(100), 1, 1};
  bench.say(jobs_up_to(101));
  CHECK_EQ(bench.view().stage, rollout_stage::canary);
  bench.pass(31s);
  CHECK(bench.rolled_out());
  CHECK_EQ(bench.version(), 2);
}

TEST_CASE("A role that refuses a version stops it, and what was in force is put back under a new one") {
  for (const bool forwarder : {false, true}) {
    publisher_bench bench{jobs_up_to(100), 2, 2};
    (forwarder ? bench.forwarders : bench.receivers)[1].refuses = "shrunk";
    bench.watch_offer = [&](const fake_role&, const publication_effect& effect) {
      if (number(effect.snapshot->version) == 3) // It has nothing against what it has.
        (forwarder ? bench.forwarders : bench.receivers)[1].refuses.clear();
    };
    bench.say(jobs_up_to(101));
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 3);
    CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
    for (const auto* group : {&bench.receivers, &bench.forwarders})
      for (const auto& role : *group)
        CHECK_EQ(number(role.in_force->version), 3);
    CHECK(bench.history->version(config_version{2})->outcome == version_outcome::stopped);
    CHECK(bench.history->version(config_version{2})->text.find("shrunk") != std::string::npos);
    CHECK_EQ(bench.history->version(config_version{3})->why, "return");
    CHECK_EQ(bench.metric("weir_config_stopped_total"), "1");
    CHECK(bench.was_logged("config-stopped"));
    CHECK(bench.was_audited("stopped:publisher:stopped"));

    // What was stopped is not tried again and again: it waits for an operator.
    bench.pass(10min);
    CHECK_EQ(bench.version(), 3);
    REQUIRE_EQ(bench.held().size(), 1);
    CHECK(bench.held()[0].reasons == std::vector<std::string>{"stopped"});
    CHECK(bench.approve(bench.held()[0].hash).done());
    bench.finish_rollout();
    CHECK_EQ(entitled_in(*bench.in_force).size(), 101);
  }
}

TEST_CASE("A role that dies in the middle is offered the version again, and stops it if it stays away") {
  publisher_bench bench{jobs_up_to(100), 2, 2};
  bench.receivers[1].there = false;
  bench.say(jobs_up_to(101));
  bench.pass(3s);
  CHECK_EQ(bench.view().stage, rollout_stage::receivers);
  SUBCASE("it comes back") {
    bench.receivers[1].there = true;
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 2);
  }
  SUBCASE("it stays away") {
    bench.pass(13s);
    CHECK(bench.history->version(config_version{2})->outcome == version_outcome::stopped);
    bench.pass(2min); // The return does not wait for ever, either.
    CHECK(bench.rolled_out());
    CHECK_EQ(bench.version(), 3);
    CHECK_EQ(number(bench.receivers[0].in_force->version), 3);
    bench.receivers[1].there = true; // Back with what it had: brought up at the next interval.
    bench.pass(1min);
    CHECK_EQ(number(bench.receivers[1].in_force->version), 3);
  }
}

TEST_CASE("A role that does not answer counts as not having adopted") {
  publisher_bench bench{jobs_up_to(100), 1, 2};
  bench.forwarders[0].silent = true;
  bench.say(jobs_up_to(101));
  bench.pass(14s);
  CHECK_EQ(bench.forwarders[0].offers, 3);
  bench.pass(2s);
  CHECK(bench.history->version(config_version{2})->outcome == version_outcome::stopped);
  bench.forwarders[0].silent = false;
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 3);
}

TEST_CASE("A role whose answer was lost is not mistaken for one that refuses") {
  publisher_bench bench{jobs_up_to(100), 1, 1};
  bench.forwarders[0].silent = true;
  bench.watch_offer = [&](const fake_role& role, const publication_effect& effect) {
    auto& mine = bench.forwarders[0];
    if (&role != &mine)
      return;
    if (mine.offers == 1)
      mine.in_force = effect.snapshot; // Adopted, but nobody hears of it.
    else
      mine.silent = false;
  };
  bench.say(jobs_up_to(101));
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK_EQ(bench.metric("weir_config_stopped_total"), "0");
}

TEST_CASE("A rollout stops by itself when the node's health falls") {
  struct fall {
    const char* what;
    std::function<void(rollout_health&)> under_it;
  };
  const fall falls[] = {
      {"shed", [](rollout_health& x) { even_load(x), x.shed += 200; }},
      {"not entitled", [](rollout_health& x) { even_load(x), x.not_entitled += 300; }},
      {"refused bodies", [](rollout_health& x) { even_load(x), x.refused_bodies += 5; }},
      {"delivery fell", [](rollout_health& x) { even_load(x), x.delivered -= 800; }},
  };
  for (const auto& fall : falls) {
    CAPTURE(fall.what);
    publisher_bench bench{jobs_up_to(100), 1, 2};
    bench.flow = even_load;
    bench.pass(40s);
    bench.say(jobs_up_to(101));
    CHECK_EQ(bench.view().stage, rollout_stage::canary);
    bench.flow = fall.under_it;
    bench.pass(32s);
    const auto row = bench.history->version(config_version{2});
    CHECK(row->outcome == version_outcome::stopped);
    CHECK_MESSAGE(row->text.find(fall.what) != std::string::npos, row->text);
    bench.finish_rollout();
    CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  }
}

TEST_CASE("An even load, more load and no load at all let a rollout pass") {
  const std::function<void(rollout_health&)> loads[] = {
      even_load,
      [](rollout_health& x) {
        for (int i = 0; i < 3; ++i)
          even_load(x);
      },
      [](rollout_health&) {},
  };
  for (const auto& load : loads) {
    publisher_bench bench{jobs_up_to(100), 1, 20};
    bench.flow = even_load;
    bench.pass(40s);
    bench.say(jobs_up_to(101));
    bench.flow = load;
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 2);
  }
}

TEST_CASE("Too few events say nothing about health") {
  rollout_config limits;
  stage_health before, now;
  before.seconds = now.seconds = 30;
  before.counts.received = now.counts.received = limits.min_events - 1;
  now.counts.shed = now.counts.received;
  CHECK(worse_than(limits, before, now, true).empty());
  before.counts.received = now.counts.received = limits.min_events;
  CHECK_FALSE(worse_than(limits, before, now, true).empty());
}

TEST_CASE("The last known good copy is written again each interval until it could be written") {
  publisher_bench bench{jobs_up_to(100)};
  bench.keep_problem = "No space left on device";
  bench.say(jobs_up_to(101));
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2); // In force all the same.
  CHECK_EQ(bench.view().last_known_good_problem, "No space left on device");
  CHECK(bench.was_logged("config-not-kept"));
  bench.keep_problem.clear();
  bench.pass(1min);
  CHECK(bench.kept == bench.in_force);
  CHECK(bench.view().last_known_good_problem.empty());
}

TEST_CASE("A publisher that ended in the middle of a rollout puts back what is in force") {
  publisher_bench bench{jobs_up_to(100), 1, 2};
  bench.say(jobs_up_to(101));
  CHECK_EQ(bench.view().stage, rollout_stage::canary);
  bench.restart();
  bench.pass(1s);
  CHECK(bench.history->version(config_version{2})->outcome == version_outcome::interrupted);
  CHECK_EQ(bench.version(), 3);
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  for (const auto& role : bench.forwarders)
    CHECK_EQ(number(role.in_force->version), 3);
  bench.pass(3min); // And then the change goes out anew.
  CHECK_EQ(entitled_in(*bench.in_force).size(), 101);
}

} // namespace weir
