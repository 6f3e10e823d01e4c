// What a forwarder or receiver makes of a config by itself, and what it remembers for its successor.

#include "actors/config_gate.hpp"

#include <doctest/doctest.h>

#include "actors/config_judge.hpp"
#include "tests/unit/actors/role_fixture.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// One forwarder with twenty jobs in force, of which ten may change at will.
struct judging {
  snapshot_maker make;
  config_gate_settings how;
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<role_configs> configs;
  std::vector<std::string> refusals;
  std::optional<config_answer> answer;

  judging() {
    make.cluster = how.cluster;
    configs = std::make_shared<role_configs>(1, 1, make(jobs(1, 20)), clock->steady());
  }

  static std::vector<job> jobs(std::uint64_t first, std::uint64_t count) {
    std::vector<job> result;
    for (auto i = first; i < first + count; ++i)
      result.push_back(zone_job(i, "zone" + std::to_string(i)));
    return result;
  }
  config_snapshot_ptr version(std::uint64_t number, std::vector<job> some) {
    make.version = config_version{number};
    return make(std::move(some));
  }
  config_answer offer(config_snapshot_ptr next, content_hash approved = {}, std::uint64_t explained = 0) {
    config_judge judge;
    judge.configs = configs;
    judge.gate = std::make_shared<const config_gate>(how);
    judge.clock = clock;
    judge.refused = [this](std::string_view reason) { refusals.emplace_back(reason); };
    config_offer what;
    what.snapshot = std::move(next);
    what.approved = approved;
    what.explained = explained;
    answer.reset();
    what.answer = [this](config_answer said) { answer = std::move(said); };
    judge.consider(what);
    REQUIRE(answer);
    return *answer;
  }
  role_configs::row mine() const { return configs->of(judging_role::forwarder, 0, clock->steady()); }
};

#define CHECK_REFUSED(answer, why)            \
  do {                                        \
    const auto said = answer;                 \
    CHECK_FALSE(said.adopted);                \
    CHECK_EQ(said.reason, why);               \
    CHECK_NE(said.text, "");                  \
    CHECK_EQ(said.in_force, before->version); \
    CHECK_EQ(x.mine().in_force, before);      \
  } while (false)

} // namespace

TEST_CASE("a role takes a config with a small change, and answers by which version it works") {
  judging x;
  const auto next = x.version(2, x.jobs(1, 22));
  const auto said = x.offer(next);
  CHECK(said.adopted);
  CHECK_EQ(said.reason, "");
  CHECK_EQ(said.in_force, config_version{2});
  CHECK_EQ(x.mine().in_force, next);
  CHECK(x.refusals.empty());
}

TEST_CASE("what is blank, old, foreign or of other datasets is refused by name, and nothing changes") {
  judging x;
  const auto before = x.mine().in_force;
  CHECK_REFUSED(x.offer(nullptr), "blank");
  CHECK_REFUSED(x.offer(x.version(2, {})), "zero_entries");
  CHECK_REFUSED(x.offer(x.version(1, x.jobs(1, 21))), "older_version");
  CHECK_REFUSED(x.offer(x.version(0, x.jobs(1, 21))), "older_version");
  x.make.cluster = "theirs";
  CHECK_REFUSED(x.offer(x.version(2, x.jobs(1, 21))), "foreign_cluster");
  x.make.cluster = x.how.cluster;
  dataset_config other;
  other.name = "dns_logs";
  config_builder builder{{other}, {}};
  auto only = zone_job(1, "zone1");
  only.dataset = other.name;
  REQUIRE(builder.add(only, 1));
  snapshot_identity identity;
  identity.version = config_version{2};
  identity.cluster = x.how.cluster;
  CHECK_REFUSED(x.offer(builder.finish(identity)), "unknown_dataset");
  CHECK_EQ(x.refusals, std::vector<std::string>{"blank", "zero_entries", "older_version", "older_version",
                                                "foreign_cluster", "unknown_dataset"});
  const auto& known = config_gate::reasons();
  for (const auto& reason : x.refusals)
    CHECK(std::find(known.begin(), known.end(), reason) != known.end());
}

TEST_CASE("a role holds a config that shrinks, grows or moves too much, whatever the publisher thought of it") {
  judging x;
  const auto before = x.mine().in_force;
  CHECK_REFUSED(x.offer(x.version(2, x.jobs(1, 2))), "shrunk");
  CHECK_REFUSED(x.offer(x.version(2, x.jobs(1, 800))), "grown");
  x.how.capacity = 21;
  CHECK_REFUSED(x.offer(x.version(2, x.jobs(1, 25))), "beyond_capacity");
}

TEST_CASE("a held config passes with the approval of exactly this change, and of no other") {
  judging x;
  const auto before = x.mine().in_force;
  const auto next = x.version(2, x.jobs(1, 2));
  const auto other = x.version(2, x.jobs(1, 3));
  CHECK_REFUSED(x.offer(next, approval_hash(before->content, other->content)), "shrunk");
  CHECK_REFUSED(x.offer(next, approval_hash(next->content, before->content)), "shrunk");
  CHECK(x.offer(next, approval_hash(before->content, next->content)).adopted);
  CHECK_EQ(x.mine().in_force, next);
  // Approval of one large change is none of the next one.
  CHECK(x.offer(x.version(3, x.jobs(1, 3))).adopted);
}

TEST_CASE("no approval makes a config without entries pass") {
  judging x;
  const auto before = x.mine().in_force;
  const auto blank = x.version(2, {});
  CHECK_REFUSED(x.offer(blank, approval_hash(before->content, blank->content)), "zero_entries");
}

TEST_CASE("many small changes that add up to a large one within an hour are held") {
  judging x;
  x.how.guards.free_entries = 4;
  CHECK(x.offer(x.version(2, x.jobs(1, 17))).adopted);
  x.clock->advance(10min);
  CHECK(x.offer(x.version(3, x.jobs(1, 16))).adopted);
  x.clock->advance(10min);
  auto before = x.mine().in_force;
  CHECK_REFUSED(x.offer(x.version(4, x.jobs(1, 13))), "shrunk");
  x.clock->advance(2h);
  CHECK(x.offer(x.version(4, x.jobs(1, 13))).adopted);
}

TEST_CASE("what an operator approved is the measure of what follows") {
  judging x;
  const auto first = x.mine().in_force;
  const auto next = x.version(2, x.jobs(1, 2));
  REQUIRE(x.offer(next, approval_hash(first->content, next->content)).adopted);
  CHECK_EQ(x.mine().an_hour_ago, next);
  CHECK(x.offer(x.version(3, x.jobs(1, 4))).adopted);
}

TEST_CASE("a node's first config is taken up to the number of buffers it may have") {
  for (const std::uint64_t capacity : {500, 499}) {
    judging x;
    x.how.capacity = capacity;
    x.configs = std::make_shared<role_configs>(1, 1, x.version(0, {}), x.clock->steady());
    const auto before = x.mine().in_force;
    if (capacity == 500)
      CHECK(x.offer(x.version(1, x.jobs(1, 500))).adopted);
    else
      CHECK_REFUSED(x.offer(x.version(1, x.jobs(1, 500))), "beyond_capacity");
  }
}

TEST_CASE("with its guards switched off a role takes a change of any size, but nothing blank, old or foreign") {
  judging x;
  x.how.judges_changes = false;
  auto before = x.mine().in_force;
  CHECK_REFUSED(x.offer(x.version(2, {})), "zero_entries");
  CHECK_REFUSED(x.offer(x.version(1, x.jobs(1, 800))), "older_version");
  CHECK(x.offer(x.version(2, x.jobs(1, 800))).adopted);
  CHECK(x.offer(x.version(3, x.jobs(800, 1))).adopted);
}

TEST_CASE("changes that owners asked for are counted apart, up to a rate") {
  judging x;
  x.how.guards.explained_per_minute = 15;
  const auto before = x.mine().in_force;
  CHECK_REFUSED(x.offer(x.version(2, x.jobs(1, 32)), {}, 0), "grown");
  CHECK(x.offer(x.version(2, x.jobs(1, 32)), {}, 12).adopted);
  auto y = judging{};
  y.how.guards.explained_per_minute = 15;
  const auto mine = y.mine().in_force;
  CHECK_FALSE(y.offer(y.version(2, y.jobs(1, 80)), {}, 60).adopted); // 60 said, 15 believed
  CHECK_EQ(y.mine().in_force, mine);
}

TEST_CASE("what a config removes is remembered as leaving until the config is in force everywhere") {
  judging x;
  const auto first = x.mine().in_force;
  REQUIRE(x.offer(x.version(2, x.jobs(2, 19))).adopted);
  CHECK_EQ(x.mine().leaving, first);
  x.configs->settle(config_version{1});
  CHECK_EQ(x.mine().leaving, first);
  x.configs->settle(config_version{2});
  CHECK_EQ(x.mine().leaving, nullptr);
  REQUIRE(x.offer(x.version(3, x.jobs(2, 20))).adopted);
  CHECK_EQ(x.mine().leaving, nullptr);
}

TEST_CASE("each instance of a role has its own version, and none has another's") {
  judging x;
  role_configs configs{2, 3, x.mine().in_force, x.clock->steady()};
  const auto next = x.version(2, x.jobs(1, 21));
  configs.adopt(judging_role::receiver, 1, {next, false, false, 0}, x.clock->steady());
  CHECK_EQ(configs.versions(judging_role::receiver),
           std::vector<config_version>{config_version{1}, config_version{2}, config_version{1}});
  CHECK_EQ(configs.versions(judging_role::forwarder),
           std::vector<config_version>{config_version{1}, config_version{1}});
}
