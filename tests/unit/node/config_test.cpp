// How a whole node takes configs, or does not, and goes on.

#include <algorithm>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "actors/config_publisher.hpp"
#include "config/config_builder.hpp"
#include "config/forwarding_guards.hpp"
#include "supervisors/kept_config.hpp"
#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

constexpr std::uint64_t jobs = 20;

std::vector<small_job> some_jobs(std::uint64_t first, std::uint64_t last) {
  std::vector<small_job> result;
  for (auto i = first; i <= last; ++i)
    result.push_back({i, zone(i)});
  return result;
}

void kill_now(const caf::actor& whom) {
  caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::exit_reason::kill});
}

/// Two forwarders and two receivers, twenty jobs.
struct guarded_node : small_node {
  guarded_node() : small_node(some_jobs(1, jobs)) {
    config.threads.data = 2;
    start();
  }

  std::vector<config_version> versions(judging_role role) { return node().targets()->roles().versions(role); }
  bool all_have(std::uint64_t version) {
    bool all = true;
    for (const auto role : {judging_role::forwarder, judging_role::receiver})
      for (const auto x : versions(role))
        all = all && number(x) == version;
    return all;
  }
  double metric(const std::string& series) {
    const auto text = node().metrics().text();
    const auto at = text.find("\n" + series + " ");
    REQUIRE_NE(at, text.npos);
    return std::stod(text.substr(at + series.size() + 2));
  }
  double refused(const std::string& reason, const std::string& where) {
    return metric(fmt::format(R"(weir_config_refused_total{{reason="{}",where="{}"}})", reason, where));
  }
  /// Both forwarders get as many bodies; an event each of an entitled and of a strange zone.
  void check_forwarding() {
    for (int i = 0; i < 4; ++i) {
      const auto answer = put(event(zone(1), 1) + "\n" + event(zone(jobs), 2) + "\n" + event("stranger", 3) + "\n");
      CHECK_EQ(answer.status, 200);
      CHECK_NE(answer.body.find(R"("accepted":2)"), std::string::npos);
      CHECK_NE(answer.body.find(R"("not_entitled":1)"), std::string::npos);
    }
  }
  config_offer offer_of(std::vector<small_job> some) {
    config_offer what;
    what.snapshot = snapshot_of(some);
    return what;
  }
};

} // namespace

TEST_CASE("whatever is refused or held by a role, its events go where they went before") {
  guarded_node x;
  REQUIRE(x.all_have(1));
  struct variant {
    const char* reason;
    config_offer what;
  };
  std::vector<small_job> everybody = some_jobs(1, 40 * jobs);
  std::vector<variant> variants;
  variants.push_back({"zero_entries", x.offer_of({})});
  variants.push_back({"shrunk", x.offer_of(some_jobs(1, 2))});
  variants.push_back({"grown", x.offer_of(everybody)});
  variants.push_back({"blank", {}});
  for (const auto& now : variants)
    for (const auto role : {judging_role::receiver, judging_role::forwarder})
      for (std::size_t i = 0; i < 2; ++i) {
        CAPTURE(now.reason);
        const auto said = x.offer(role, i, now.what);
        REQUIRE(said);
        CHECK_FALSE(said->adopted);
        CHECK_EQ(said->reason, now.reason);
        CHECK_EQ(number(said->in_force), 1);
      }
  CHECK(x.all_have(1));
  for (const auto& now : variants) {
    CHECK_EQ(x.refused(now.reason, "forwarder"), 2);
    CHECK_EQ(x.refused(now.reason, "receiver"), 2);
  }
  CHECK_EQ(x.metric(R"(weir_config_version{role="forwarder"})"), 1);
  x.check_forwarding();
}

TEST_CASE("a config that is old or of another cluster is refused by every role") {
  guarded_node x;
  auto old = x.offer_of(some_jobs(1, jobs + 1)); // version 2
  x.publish(some_jobs(1, jobs + 2));             // version 3
  REQUIRE(x.all_have(3));
  config_builder builder{x.config.datasets, x.config.pusher.object};
  job only;
  only.id = job_id{1};
  only.dataset = "http_requests";
  only.scope = "zones/" + zone(1);
  only.destination_conf = secret{"file:///out/1"};
  REQUIRE(builder.add(only, 1));
  snapshot_identity identity;
  identity.version = config_version{9};
  identity.cluster = "rival";
  config_offer foreign;
  foreign.snapshot = builder.finish(identity);
  for (const auto role : {judging_role::receiver, judging_role::forwarder}) {
    CHECK_EQ(x.offer(role, 0, old)->reason, "older_version");
    CHECK_EQ(x.offer(role, 0, foreign)->reason, "foreign_cluster");
  }
  CHECK(x.all_have(3));
  x.check_forwarding();
}

TEST_CASE(
    "a role that dies in the middle of a rollout comes back with what it had, not with what it has yet to judge") {
  guarded_node x;
  const auto next = x.offer_of(some_jobs(1, jobs + 1));
  REQUIRE(x.offer(judging_role::receiver, 0, next)->adopted);
  REQUIRE(x.offer(judging_role::receiver, 1, next)->adopted);
  x.node().targets()->apply_to_buffers(next.snapshot);
  REQUIRE(x.offer(judging_role::forwarder, 0, next)->adopted);
  const std::vector<config_version> canary{config_version{2}, config_version{1}};
  for (std::size_t i = 0; i < 2; ++i) {
    kill_now(caf::actor_cast<caf::actor>(x.node().roles().forwarder(i).actor));
    kill_now(caf::actor_cast<caf::actor>(x.node().roles().receiver(i).actor));
    kill_now(caf::actor_cast<caf::actor>(x.node().roles().shard(i).actor));
    x.pass(5s);
  }
  REQUIRE(x.node().recovered());
  CHECK_EQ(x.versions(judging_role::forwarder), canary);
  CHECK_EQ(x.versions(judging_role::receiver), std::vector<config_version>(2, config_version{2}));
  // One of two bodies comes to the forwarder that has the new job.
  std::uint64_t accepted = 0;
  for (int i = 0; i < 6; ++i)
    accepted += x.put(event(zone(jobs + 1), 1) + "\n").body.find(R"("accepted":1)") != std::string::npos;
  CHECK_EQ(accepted, 3);
  REQUIRE(x.offer(judging_role::forwarder, 1, next)->adopted);
  x.node().targets()->apply_to_intake(next.snapshot);
  CHECK(x.all_have(2));
  CHECK_NE(x.put(event(zone(jobs + 1), 1) + "\n").body.find(R"("accepted":1)"), std::string::npos);
  x.check_forwarding();
}

TEST_CASE("a forwarder that is ahead of its receiver entitles nobody") {
  guarded_node x;
  const auto next = x.offer_of(some_jobs(1, jobs + 1));
  for (std::size_t i = 0; i < 2; ++i)
    REQUIRE(x.offer(judging_role::forwarder, i, next)->adopted);
  const auto answer = x.put(event(zone(jobs + 1), 1) + "\n" + event(zone(1), 2) + "\n");
  CHECK_EQ(answer.status, 200);
  CHECK_NE(answer.body.find(R"("accepted":1)"), std::string::npos);
  CHECK_NE(answer.body.find(R"("not_entitled":1)"), std::string::npos);
  CHECK_EQ(x.metric("weir_receiver_not_entitled_events_total"), 1);
  CHECK(x.balanced());
}

TEST_CASE("what a config removes counts until it is in force everywhere, and no longer") {
  guarded_node x;
  const auto next = x.offer_of(some_jobs(2, jobs));
  for (std::size_t i = 0; i < 2; ++i)
    REQUIRE(x.offer(judging_role::receiver, i, next)->adopted);
  x.node().targets()->apply_to_buffers(next.snapshot);
  for (int i = 0; i < 4; ++i)
    CHECK_NE(x.put(event(zone(1), 1) + "\n").body.find(R"("accepted":1)"), std::string::npos);
  for (std::size_t i = 0; i < 2; ++i)
    REQUIRE(x.offer(judging_role::forwarder, i, next)->adopted);
  x.node().targets()->apply_to_intake(next.snapshot);
  x.pump();
  for (std::size_t i = 0; i < 2; ++i)
    CHECK_EQ(x.node().targets()->roles().of(judging_role::receiver, i, x.clock->steady()).leaving, nullptr);
  CHECK_NE(x.put(event(zone(1), 1) + "\n").body.find(R"("not_entitled":1)"), std::string::npos);
}

TEST_CASE("with its guards switched off a role lets the flood through, and the other role alone stops it") {
  for (const bool forwarders_judge : {true, false}) {
    CAPTURE(forwarders_judge);
    small_node x{some_jobs(1, jobs)};
    x.guards.forwarder_guards = forwarders_judge;
    x.guards.receiver_guards = !forwarders_judge;
    x.start();
    config_offer flood;
    flood.snapshot = x.snapshot_of(some_jobs(1, 40 * jobs));
    CHECK_EQ(x.offer(judging_role::receiver, 0, flood)->adopted, forwarders_judge);
    CHECK_EQ(x.offer(judging_role::forwarder, 0, flood)->adopted, !forwarders_judge);
    std::string body;
    for (std::uint64_t i = 1; i <= 40 * jobs; ++i)
      body += event(zone(i), i) + "\n";
    const auto answer = x.put(body);
    CHECK_EQ(answer.status, 200);
    CHECK_NE(answer.body.find(fmt::format(R"("accepted":{})", jobs)), std::string::npos);
    CHECK_NE(answer.body.find(fmt::format(R"("not_entitled":{})", 39 * jobs)), std::string::npos);
  }
}

TEST_CASE("each guard of the roles fires when it has to, and says so; one that is not made to fire here is red") {
  guarded_node x;
  const auto fired = [&](role_guard guard) {
    return x.metric(fmt::format(R"(weir_guard_fired_total{{guard="{}"}})", name_of(guard)));
  };
  for (std::size_t i = 0; i < role_guard_count; ++i) {
    const auto guard = static_cast<role_guard>(i);
    CAPTURE(name_of(guard));
    CHECK_EQ(fired(guard), 0);
    switch (guard) {
      case role_guard::forwarder:
        x.offer(judging_role::forwarder, 0, x.offer_of(some_jobs(1, 2)));
        break;
      case role_guard::receiver:
        x.offer(judging_role::receiver, 0, x.offer_of(some_jobs(1, 2)));
        break;
      case role_guard::entitlement: {
        const auto next = x.offer_of(some_jobs(1, jobs + 1));
        for (std::size_t k = 0; k < 2; ++k)
          REQUIRE(x.offer(judging_role::forwarder, k, next)->adopted);
        x.put(event(zone(jobs + 1), 1) + "\n");
        break;
      }
      case role_guard::admission: {
        small_node full{some_jobs(1, jobs)};
        full.config.limits.buffers = 1;
        full.start();
        full.put(event(zone(1), 1) + "\n" + event(zone(2), 2) + "\n");
        const auto text = full.node().metrics().text();
        CHECK_NE(text.find("weir_guard_fired_total{guard=\"admission\"} 1"), text.npos);
        continue;
      }
      case role_guard::memory:
        x.memory->set_resident(x.config.limits.memory);
        x.pass(1s, 50ms);
        break;
    }
    CHECK_GT(fired(guard), 0);
  }
}

// -- with a publisher --------------------------------------------------------------------------

namespace {

/// A small node that keeps its last known good config, and a publisher whose source a test can take away.
struct published_node : small_node {
  publication_metrics metrics;
  std::shared_ptr<config_desk> desk = std::make_shared<config_desk>();
  std::optional<config_snapshot_ptr> source; ///< Empty: dead.
  config_publisher_actor publisher;

  published_node()
      : small_node({}), metrics(metrics_of_publisher.families(), publication_refusals(), publication_guards()) {
    config.rollout.canary = config.rollout.tenth = config.rollout.all = 1s;
    source = snapshot_of(some_jobs(1, jobs));
  }
  ~published_node() { end_publisher(); }

  /// As a process starts.
  kept_config::opened begin() {
    auto kept = kept_config::open(disk, config);
    REQUIRE_MESSAGE(kept.kept, kept.problem);
    keeps = std::move(kept.kept);
    start_with(kept.snapshot, [this](const config_snapshot& x) { return keeps->keep(x); });
    config_publisher_parts parts;
    parts.settings.publication = config.publication;
    parts.settings.rollout = config.rollout;
    parts.settings.readable.cluster = config.cluster;
    parts.settings.readable.datasets = config.datasets;
    parts.settings.readable.defaults = config.pusher.object;
    parts.settings.receivers = parts.settings.forwarders = 1;
    parts.targets = node().targets();
    parts.source = [this] {
      config_reading now;
      if (source)
        now.snapshot = *source;
      else
        now.reason = "unreachable", now.text = "The source is dead.";
      return now;
    };
    parts.clock = clock;
    parts.metrics = std::shared_ptr<publication_metrics>{std::shared_ptr<void>{}, &metrics};
    parts.desk = desk;
    parts.history_file = ":memory:";
    publisher = system.spawn(config_publisher, std::move(parts));
    desk->enter(publisher);
    pass(10s, 100ms);
    return kept;
  }
  void end_publisher() {
    if (publisher)
      kill_now(caf::actor_cast<caf::actor>(publisher));
    publisher = nullptr;
    desk->clear();
    pump();
  }
  std::uint64_t version() { return number(node().snapshot()->version); }
  void check_forwarding() {
    const auto answer = put(event(zone(jobs), 1) + "\n" + event("stranger", 2) + "\n");
    CHECK_EQ(answer.status, 200);
    CHECK_NE(answer.body.find(R"("accepted":1)"), std::string::npos);
    CHECK_NE(answer.body.find(R"("not_entitled":1)"), std::string::npos);
  }

 private:
  static inline metrics_registry metrics_of_publisher;
  std::unique_ptr<kept_config> keeps;
};

} // namespace

TEST_CASE("a node that never had a config takes the first one from its publisher, and keeps it on disk") {
  published_node x;
  const auto begun = x.begin();
  CHECK(begun.first_start);
  CHECK(begun.refused.empty());
  CHECK_EQ(x.version(), 1);
  x.check_forwarding();
  const auto kept = kept_config::open(x.disk, x.config);
  CHECK_EQ(number(kept.snapshot->version), 1);
  CHECK_EQ(kept.snapshot->jobs.size(), jobs);
}

TEST_CASE("CFG-05: with its source dead for a day a node goes on, and forwarder and node start with what they had") {
  published_node x;
  x.begin();
  REQUIRE_EQ(x.version(), 1);
  x.source.reset();
  x.pass(24h, 60s);
  CHECK_EQ(x.version(), 1);
  x.check_forwarding();
  const auto view = x.desk->view();
  REQUIRE(view);
  CHECK_GE(view->age, 24h - 2min);
  CHECK(view->stale);
  CHECK_FALSE(view->source.ok);
  CHECK_GE(x.metrics.age_seconds.Value(), 86'000);

  kill_now(caf::actor_cast<caf::actor>(x.node().roles().forwarder(0).actor));
  x.pass(1s, 10ms);
  CHECK_EQ(number(x.node().targets()->roles().versions(judging_role::forwarder)[0]), 1);
  x.check_forwarding();

  x.end_publisher();
  x.crash(7);
  const auto begun = x.begin();
  CHECK_FALSE(begun.first_start);
  CHECK(begun.refused.empty());
  CHECK_EQ(x.version(), 1);
  CHECK(x.node().not_ready().empty());
  x.check_forwarding();
}

TEST_CASE("a node whose last known good config cannot be used takes nothing until there is one, and says why") {
  published_node x;
  x.begin();
  x.end_publisher();
  x.source.reset();
  x.crash(3);
  for (const auto* name : {"last-known-good", "last-known-good.spare"}) {
    std::unique_ptr<disk_file> file;
    REQUIRE_FALSE(x.disk->open("/data/config/" + std::string{name}, disk::open_mode::read_write, file));
    REQUIRE_FALSE(file->write(40, {"damaged"}));
    REQUIRE_FALSE(file->sync());
  }
  const auto begun = x.begin();
  CHECK_FALSE(begun.first_start);
  CHECK_EQ(begun.refused.size(), 2);
  const auto reasons = x.node().not_ready();
  CHECK(std::find(reasons.begin(), reasons.end(), "no_config") != reasons.end());
  CHECK_EQ(x.put(event(zone(1), 1) + "\n").status, 503);
}
