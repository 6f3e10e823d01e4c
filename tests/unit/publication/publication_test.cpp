#include <doctest/doctest.h>

#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

config_reading refused_reading(const std::string& reason) {
  config_reading reading;
  reading.reason = reason;
  reading.text = "The generated config is of no use: " + reason + ".";
  reading.who = "file:/etc/generated";
  return reading;
}

/// Without `n` jobs at the end.
plain_jobs without_last(plain_jobs jobs, std::size_t n) {
  for (; n > 0; --n)
    jobs.erase(std::prev(jobs.end()));
  return jobs;
}

} // namespace

TEST_CASE("CFG-01: a blank config changes nothing, however it comes to be blank") {
  publisher_bench bench{jobs_up_to(1'000)};
  bench.read();
  const auto before = bench.in_force;
  for (const char* reason : {"blank", "truncated", "unreadable", "zero_entries", "unparsable"}) {
    CAPTURE(reason);
    bench.fails = refused_reading(reason);
    const auto series = fmt::format("weir_config_refused_total{{reason=\"{}\",where=\"publisher\"}}", reason);
    bench.read();
    CHECK_EQ(bench.metric(series), "1");
    bench.read();
    CHECK_EQ(bench.metric(series), "2");
    CHECK_FALSE(bench.view().source.ok);
    CHECK_EQ(bench.view().source.reason, reason);
    CHECK(bench.was_audited(fmt::format("refused:file:/etc/generated:{}", reason)));
  }
  CHECK(bench.view().source.failures == 10);
  CHECK(bench.in_force == before);
  CHECK(bench.story.empty());
  CHECK(bench.was_logged("config-refused"));
  CHECK(bench.was_logged("Version 1 stays in force"));
  // A lasting refusal is one row of the trail, not one a minute.
  CHECK_EQ(bench.history->audit(100).size(), 1 + 5);
}

TEST_CASE("CFG-01: a well-formed config with zero customers is refused by name and changes nothing") {
  publisher_bench bench{jobs_up_to(1'000)};
  bench.say({});
  CHECK_EQ(bench.view().source.reason, "zero_entries");
  CHECK(bench.held().empty());
  plain_jobs off;
  for (std::uint64_t id = 1; id <= 1'000; ++id)
    off[id].enabled = false;
  bench.say(off);
  CHECK_EQ(bench.view().source.reason, "zero_entries");
  CHECK(bench.story.empty());
  CHECK_EQ(bench.version(), 1);
  CHECK_EQ(bench.metric("weir_guard_fired_total{guard=\"zero_entries\"}"), "2");
}

TEST_CASE("CFG-02: a truncated, flipped, foreign or badly signed config is refused, each with its own reason") {
  publisher_bench bench{jobs_up_to(100)};
  bench.open();
  for (const auto reason : publication_refusals()) {
    if (reason == "not_read_yet")
      continue; // No refusal; see below.
    bench.fails = refused_reading(std::string{reason});
    bench.read();
    CHECK_EQ(bench.view().source.reason, reason);
    CHECK(bench.metric(fmt::format("weir_config_refused_total{{reason=\"{}\",where=\"publisher\"}}", reason)) == "1");
  }
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.story.empty());
  bench.fails.reset();
  bench.read();
  CHECK(bench.view().source.ok);
}

TEST_CASE("A source that was not looked at so far is no refusal") {
  publisher_bench bench{jobs_up_to(100)};
  bench.fails = refused_reading("not_read_yet");
  bench.read();
  CHECK_EQ(bench.metric("weir_config_source_failures_total"), "0");
  CHECK(bench.view().source.reason.empty());
  CHECK_FALSE(bench.was_logged("config-refused"));
}

TEST_CASE("CFG-03: a config that lost 15, 50 or 90 % of its customers waits for an operator") {
  for (const std::size_t lost : {150, 500, 900}) {
    CAPTURE(lost);
    publisher_bench bench{jobs_up_to(1'000)};
    bench.say(without_last(jobs_up_to(1'000), lost));
    REQUIRE_EQ(bench.held().size(), 1);
    const auto held = bench.held()[0];
    CHECK(held.reasons == std::vector<std::string>{"shrunk"});
    CHECK_EQ(held.changes.in_all.removed, lost);
    CHECK_EQ(held.changes.tenants, lost);
    CHECK_EQ(held.changes.by_tenant.size(), most_tenants_shown);
    CHECK_EQ(bench.metric("weir_config_held{reason=\"shrunk\"}"), "1");
    CHECK(bench.was_logged("config-held"));
    bench.pass(10min); // Ignoring it changes nothing.
    CHECK_EQ(bench.version(), 1);
    CHECK_EQ(bench.held().size(), 1);

    CHECK(bench.approve(held.hash).done());
    CHECK_EQ(bench.view().stage, rollout_stage::canary); // In stages, like everything.
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 2);
    CHECK_EQ(entitled_in(*bench.in_force).size(), 1'000 - lost);
    CHECK_EQ(bench.view().on_hold, lost); // The vanished are kept for a while.
    CHECK(bench.held().empty());
    CHECK_EQ(bench.metric("weir_config_held{reason=\"shrunk\"}"), "0");
  }
}

TEST_CASE("CFG-03: a rejected change stays away, and is not asked about until an operator wants it judged anew") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  const auto hash = bench.held().at(0).hash;
  CHECK(bench.order(config_command::order::reject, hash).done());
  bench.pass(10min);
  CHECK(bench.held().empty());
  CHECK_EQ(bench.metric("weir_config_held{reason=\"shrunk\"}"), "0");
  CHECK_EQ(bench.version(), 1);
  CHECK_EQ(bench.approve(hash).error, "rejected");
  bench.restart(); // Nor does a restart forget it.
  bench.read();
  CHECK(bench.held().empty());
  CHECK(bench.order(config_command::order::publish).done());
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.approve(bench.held()[0].hash).done());
}

TEST_CASE("CFG-03: losing the one customer with most of yesterday's traffic waits for an operator") {
  publisher_bench bench{jobs_up_to(1'000)};
  config_publication::totals traffic;
  for (std::uint64_t id = 1; id <= 1'000; ++id)
    traffic.emplace_back(job_id{id}, id == 7 ? 5'000 : 10);
  bench.it().traffic(traffic, bench.now);
  auto less = jobs_up_to(1'000);
  less.erase(8);
  bench.say(less); // One small customer is below every guard.
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  less.erase(7);
  bench.say(less);
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"shrunk_bytes"});
  CHECK_EQ(bench.held()[0].changes.in_all.removed, 1);
  CHECK_EQ(bench.version(), 2);
}

TEST_CASE("CFG-04: a config that grew 40 times waits for an operator, who may let it through in stages") {
  publisher_bench bench{jobs_up_to(100)};
  bench.settings.capacity = 10'000;
  bench.say(jobs_up_to(4'000));
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"grown"});
  CHECK_EQ(bench.held()[0].changes.in_all.added, 3'900);
  bench.pass(5min);
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.approve(bench.held()[0].hash).done());
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK_EQ(entitled_in(*bench.in_force).size(), 4'000);
  // What an operator saw is the measure from then on, also for the hour after it.
  auto more = jobs_up_to(4'001);
  bench.say(more);
  bench.finish_rollout();
  CHECK(bench.held().empty());
  CHECK_EQ(bench.version(), 3);
}

TEST_CASE("CFG-04: more jobs than the node can hold wait for an operator, however few they are") {
  publisher_bench bench{jobs_up_to(100)};
  bench.settings.capacity = 105;
  bench.say(jobs_up_to(107));
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"beyond_capacity"});
  CHECK_EQ(bench.version(), 1);
}

TEST_CASE("CFG-05: a dead source leaves everything as it is, shows the config's age, and survives restarts") {
  publisher_bench bench{jobs_up_to(100)};
  bench.read();
  bench.fails = refused_reading("unreadable");
  for (int hour = 0; hour < 24; ++hour) {
    bench.skip(1h);
    bench.read();
  }
  CHECK_EQ(bench.view().age, 24h);
  CHECK(bench.view().stale);
  CHECK_EQ(bench.metric("weir_config_age_seconds"), "86400");
  CHECK_EQ(bench.metric("weir_config_source_failures_total"), "24");
  bench.restart();
  bench.read();
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.story.empty());
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  bench.fails.reset();
  bench.read();
  CHECK_EQ(bench.view().age, 0s);
  CHECK_FALSE(bench.view().stale);
}

TEST_CASE("CFG-06: a customer who vanishes is named at once, kept on hold, and restored without a gap") {
  publisher_bench bench{jobs_up_to(100)};
  auto less = jobs_up_to(100);
  less.erase(42);
  bench.say(less);
  CHECK(bench.was_logged("customer-removed"));
  CHECK(bench.was_audited("customer_removed:generator:on_hold"));
  CHECK_EQ(bench.metric("weir_config_removed_jobs_total"), "1");
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK(is_on_hold(*bench.in_force, 42));
  CHECK_EQ(bench.metric("weir_config_jobs_on_hold"), "1");
  CHECK(bench.view().on_hold_jobs == std::vector<job_id>{job_id{42}});
  bench.pass(10min); // It stays so, and nothing new is published for it.
  CHECK_EQ(bench.version(), 2);

  SUBCASE("restored half an hour later") {
    bench.skip(20min);
    bench.say(jobs_up_to(100));
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 3);
    CHECK_FALSE(is_on_hold(*bench.in_force, 42));
    CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
    CHECK(bench.was_logged("customer-restored"));
    CHECK_EQ(bench.metric("weir_config_jobs_on_hold"), "0");
  }
  SUBCASE("gone when the hold is over, by a version of its own") {
    bench.skip(24h);
    bench.read();
    bench.finish_rollout();
    CHECK_EQ(bench.version(), 3);
    CHECK_FALSE(bench.in_force->find_job(job_id{42}));
    CHECK_EQ(bench.history->version(config_version{3})->why, "hold_over");
  }
}

TEST_CASE("CFG-08: only the exact hash that is held can be approved") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  REQUIRE_EQ(bench.held().size(), 1);
  auto hash = bench.held()[0].hash;
  auto wrong = hash;
  wrong[0] ^= 1;
  CHECK_EQ(bench.approve(wrong).error, "not_held");
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.story.empty());
  CHECK(bench.was_audited("approve:olga:not_held"));
  CHECK(bench.approve(hash).done());
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
}

TEST_CASE("CFG-08: of two operators who approve the same change, one does and the other is told so") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  const auto hash = bench.held().at(0).hash;
  SUBCASE("while it waits") {
    CHECK(bench.freeze().done());
    CHECK(bench.approve(hash, "olga").done());
    const auto second = bench.approve(hash, "piet");
    CHECK_EQ(second.error, "already_approved");
    CHECK(second.text.find("olga") != std::string::npos);
  }
  SUBCASE("after it went out") {
    CHECK(bench.approve(hash, "olga").done());
    CHECK_EQ(bench.approve(hash, "piet").error, "not_held");
    bench.finish_rollout();
    CHECK_EQ(bench.history->versions(10).size(), 2); // Once.
    CHECK_EQ(bench.history->version(config_version{2})->who, "olga");
  }
  SUBCASE("one rejects") {
    CHECK(bench.order(config_command::order::reject, hash, 0, "olga").done());
    CHECK_EQ(bench.approve(hash, "piet").error, "rejected");
    bench.pass(5min);
    CHECK_EQ(bench.version(), 1);
  }
}

TEST_CASE("CFG-08: an approval that is not used in time is void") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  const auto hash = bench.held().at(0).hash;
  CHECK(bench.freeze().done());
  CHECK(bench.approve(hash).done());
  CHECK(bench.held().at(0).approved);
  bench.skip(30min);
  CHECK_FALSE(bench.held().at(0).approved);
  CHECK(bench.unfreeze().done());
  bench.pass(5min);
  CHECK_EQ(bench.version(), 1);
  CHECK_EQ(bench.held().size(), 1);
  CHECK(bench.was_audited("approval_expired:olga:void"));
  CHECK(bench.approve(hash).done()); // The same change may be approved again.
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
}

TEST_CASE("CFG-08: an approval counts once: the same change needs another one the next time") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  CHECK(bench.approve(bench.held().at(0).hash).done());
  bench.finish_rollout();
  bench.say(jobs_up_to(100)); // Back: growth by 100 %.
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.approve(bench.held()[0].hash).done());
  bench.finish_rollout();
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  bench.say(jobs_up_to(50));
  CHECK_EQ(bench.held().size(), 1);
  bench.pass(2min);
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
}

TEST_CASE("CFG-08: an approval does not reach a change that became another one meanwhile") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  const auto hash = bench.held().at(0).hash;
  CHECK(bench.freeze().done());
  CHECK(bench.approve(hash).done());
  bench.says = jobs_up_to(40);
  CHECK(bench.unfreeze().done());
  bench.pass(2min);
  CHECK_EQ(bench.version(), 1);
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].hash != hash);
  CHECK_FALSE(bench.held()[0].approved);
  CHECK(bench.was_audited("withdrawn:publisher:shrunk"));
}

TEST_CASE("CFG-08: a rollback takes effect within 5 s, passes the guards in its operator's name, and stays") {
  publisher_bench bench{jobs_up_to(100), 2, 20};
  bench.read();
  bench.say(jobs_up_to(150));
  CHECK(bench.approve(bench.held().at(0).hash).done());
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK(bench.rollback(1).done());
  bench.pass(1s);
  CHECK(bench.rolled_out());
  CHECK_EQ(bench.version(), 3); // Old content under a new version.
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  CHECK_EQ(bench.view().on_hold, 50); // What has come since is not thrown away.
  for (const auto& role : bench.forwarders)
    CHECK_EQ(number(role.in_force->version), 3);
  CHECK(bench.forwarders[0].approved != content_hash{});
  bench.pass(10min);
  CHECK_EQ(bench.version(), 3);
  REQUIRE(bench.view().frozen);
  CHECK_EQ(bench.view().frozen->who, "olga");
  CHECK_EQ(bench.metric("weir_config_frozen"), "1");
  CHECK(bench.was_audited("rollback:olga:done"));
  CHECK_EQ(bench.rollback(77).error, "unknown_version");
  CHECK_EQ(bench.rollback(3).error, "same_content");
}

TEST_CASE("CFG-08: a rollback in the middle of a rollout takes back what is under way") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(105));
  CHECK_EQ(bench.view().stage, rollout_stage::canary);
  CHECK(bench.rollback(1).done());
  bench.pass(1s);
  CHECK(bench.rolled_out());
  CHECK_EQ(bench.version(), 3);
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  for (const auto* group : {&bench.receivers, &bench.forwarders})
    for (const auto& role : *group)
      CHECK_EQ(number(role.in_force->version), 3);
  CHECK(bench.history->version(config_version{2})->outcome == version_outcome::interrupted);
}

TEST_CASE("I13: every step of an operator and of the publisher is in the audit trail with a name") {
  publisher_bench bench{jobs_up_to(100)};
  bench.read();
  bench.say(jobs_up_to(50));
  CHECK(bench.approve(bench.held().at(0).hash).done());
  bench.finish_rollout();
  CHECK(bench.freeze().done());
  CHECK(bench.unfreeze().done());
  CHECK_EQ(bench.unfreeze().error, "not_frozen");
  const std::vector<std::string> expected{
      "completed:node:complete",       "held:generator:shrunk",        "approved:olga:done", "published:olga:approved",
      "customer_removed:olga:on_hold", "completed:publisher:complete", "frozen:olga:done",   "unfrozen:olga:done",
      "unfreeze:olga:not_frozen",
  };
  CHECK_EQ(bench.audited(), expected);
  for (const auto& row : bench.history->audit(100)) {
    CHECK_FALSE(row.who.empty());
    CHECK(row.at != std::chrono::system_clock::time_point{});
  }
}

TEST_CASE("While one change is held, others go on, and the held one keeps its hash") {
  publisher_bench bench{jobs_up_to(100)};
  auto says = jobs_up_to(50);
  bench.say(says);
  const auto hash = bench.held().at(0).hash;
  says[1].destination = "file:///var/tmp/weir/b";
  says[101];
  bench.say(says);
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK_EQ(entitled_in(*bench.in_force).size(), 101); // All of before, and the new one.
  CHECK_EQ(bench.in_force->find_job(job_id{1})->destination.reveal(), "file:///var/tmp/weir/b");
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].hash == hash);
  CHECK(bench.approve(hash).done());
  bench.finish_rollout();
  CHECK_EQ(entitled_in(*bench.in_force).size(), 51);
}

TEST_CASE("A held change that the source takes back is forgotten") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(50));
  const auto hash = bench.held().at(0).hash;
  bench.say(jobs_up_to(100));
  CHECK(bench.held().empty());
  CHECK_EQ(bench.approve(hash).error, "not_held");
  CHECK_EQ(bench.version(), 1);
}

TEST_CASE("Many small removals do not add up to a large one within an hour") {
  publisher_bench bench{jobs_up_to(1'000)};
  bench.say(without_last(jobs_up_to(1'000), 80));
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  bench.say(without_last(jobs_up_to(1'000), 160));
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK_EQ(bench.held()[0].changes.in_all.removed, 80); // Of what is in force: the rest of it is out already.
  CHECK_EQ(bench.version(), 2);
  for (int i = 0; i < 3; ++i) { // After an hour, or up to two, it may go on.
    bench.skip(61min);
    bench.read();
  }
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 3);
}

TEST_CASE("Nothing is published while the config is frozen, and freezing takes back what is under way") {
  publisher_bench bench{jobs_up_to(100)};
  bench.say(jobs_up_to(105));
  CHECK_EQ(bench.view().stage, rollout_stage::canary);
  CHECK(bench.freeze().done());
  bench.pass(1s);
  CHECK(bench.rolled_out());
  CHECK_EQ(entitled_in(*bench.in_force).size(), 100);
  CHECK_EQ(bench.version(), 3);
  bench.pass(10min);
  CHECK_EQ(bench.version(), 3);
  CHECK_EQ(bench.freeze().error, "already_frozen");
  CHECK_EQ(bench.order(config_command::order::publish).error, "frozen");
  bench.restart();
  CHECK(bench.view().frozen);
  CHECK(bench.unfreeze().done());
  bench.finish_rollout();
  CHECK_EQ(entitled_in(*bench.in_force).size(), 105);
}

TEST_CASE("Changes that owners made themselves pass the stages without waiting, at a bounded rate") {
  plain_jobs first;
  for (std::uint64_t id = 1; id <= 1'000; ++id)
    first[id].account = fmt::format("{:032x}", 0xacc0 + id % 10);
  publisher_bench bench{first};
  bench.settings.guards.explained_per_tenant_per_minute = 50;
  auto less = first;
  for (std::uint64_t id = 10; id <= 300; id += 10) { // 30 jobs of one account: 3 % of all.
    less.erase(id);
    bench.explained.insert(id);
  }
  bench.say(less);
  CHECK(bench.rolled_out()); // No stage waited.
  CHECK_EQ(bench.version(), 2);
  CHECK_EQ(bench.view().on_hold, 0);                    // Their owner deleted them.
  for (std::uint64_t id = 310; id <= 1'000; id += 10) { // 70 more, but only 20 are left of this minute's 50.
    less.erase(id);
    bench.explained.insert(id);
  }
  bench.settings.guards.max_shrink = 0.01;
  bench.restart();
  bench.say(less);
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"shrunk"});
}

TEST_CASE("The publisher does the same work each interval, whether or not anything changed") {
  publisher_bench bench{jobs_up_to(100)};
  bench.pass(10min);
  CHECK_EQ(bench.readings, 10);
  CHECK_EQ(bench.metric("weir_config_intervals_total"), "10");
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.story.empty());
}

TEST_CASE("The very first config is accepted once, up to the node's capacity") {
  publisher_bench bench{jobs_up_to(10)};
  bench.in_force = make_config({}, 0);
  for (auto* group : {&bench.receivers, &bench.forwarders})
    for (auto& role : *group)
      role.in_force = bench.in_force;
  bench.settings.capacity = 5'000;
  bench.say(jobs_up_to(5'001));
  CHECK_EQ(bench.view().source.reason, "beyond_capacity");
  CHECK_EQ(bench.version(), 0);
  bench.say(jobs_up_to(4'000));
  CHECK_EQ(bench.version(), 1);
  CHECK_EQ(bench.history->version(config_version{1})->why, "first");
  bench.say(jobs_up_to(4'001)); // What comes later is measured from it, and not from nothing.
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  bench.say(jobs_up_to(1));
  CHECK_EQ(bench.version(), 2);
  REQUIRE_EQ(bench.held().size(), 1);
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"shrunk"});
  CHECK(bench.held()[0].text.find("version 3 would remove 4000 of 4001") != std::string::npos);
}

TEST_CASE("With the publisher's guards off, a config without entries is still refused") {
  publisher_bench bench{jobs_up_to(100)};
  bench.settings.judges_changes = false;
  bench.say({});
  CHECK_EQ(bench.view().source.reason, "zero_entries");
  bench.say(jobs_up_to(4'000));
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2); // What is left are the roles' own guards.
}

} // namespace weir
