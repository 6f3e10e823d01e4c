#include <doctest/doctest.h>

#include "tests/unit/config/config_fixture.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

const std::string least = "[node]\nname = \"n1\"\n";

} // namespace

TEST_CASE("without a word about them, guards, publisher and rollout have the defaults of the manual") {
  fake_config_world world;
  const auto loaded = world.load(least);
  CHECK_NO_PROBLEM(loaded.file.problems);
  const auto& config = loaded.file.config;
  CHECK_EQ(config.publication.interval, 60s);
  CHECK_EQ(config.publication.hold, 24h);
  CHECK_EQ(config.publication.hold_bytes, 1ull << 30);
  CHECK_EQ(config.publication.approval_age, 30min);
  CHECK_EQ(config.publication.stale_after, 10min);
  CHECK(config.forwarding.source == forwarding_source_config::source_kind::jobs);
  CHECK_EQ(config.forwarding.poll, 10s);
  CHECK_FALSE(config.forwarding.public_key);
  CHECK_EQ(config.guards.max_shrink, doctest::Approx(0.10));
  CHECK_EQ(config.guards.max_growth, doctest::Approx(0.25));
  CHECK_EQ(config.guards.max_moved, doctest::Approx(0.10));
  CHECK_EQ(config.guards.free_entries, 10u);
  CHECK_EQ(config.guards.explained_per_tenant_per_minute, 100u);
  CHECK_EQ(config.guards.explained_per_minute, 1'000u);
  CHECK_EQ(config.rollout.canary, 30s);
  CHECK_EQ(config.rollout.tenth, 30s);
  CHECK_EQ(config.drills.schedule, std::vector<std::string>{"blank-config"});
  CHECK_EQ(config.drills.every, 24h);
  CHECK(config.heartbeat.enabled);
  CHECK_EQ(config.heartbeat.every, 60s);
  CHECK_EQ(config.limits.tenant_buffers_share, doctest::Approx(0.25));
}

TEST_CASE("CFG-07: every limit of publisher, guards, rollout, drills and heartbeat is listed as in force") {
  fake_config_world world;
  const auto loaded = world.load(least);
  for (const char* path : {"limits.tenant_buffers_share",
                           "config.interval",
                           "config.hold",
                           "config.hold_bytes",
                           "config.approval_age",
                           "config.stale_after",
                           "forwarding.poll",
                           "forwarding.max_bytes",
                           "guards.max_shrink",
                           "guards.max_growth",
                           "guards.max_moved",
                           "guards.free_entries",
                           "guards.explained_per_minute",
                           "guards.explained_per_tenant_per_minute",
                           "rollout.canary",
                           "rollout.tenth",
                           "rollout.all",
                           "rollout.answer_within",
                           "rollout.max_shed_rise",
                           "rollout.max_not_entitled_rise",
                           "rollout.max_delivered_fall",
                           "rollout.min_events",
                           "drills.every",
                           "heartbeat.every"}) {
    const auto found = std::find_if(loaded.file.limits.begin(), loaded.file.limits.end(),
                                    [&](const limit_in_force& x) { return x.path == path; });
    REQUIRE_MESSAGE(found != loaded.file.limits.end(), path);
    CHECK(found->is_default);
    CHECK_FALSE(found->value.empty());
  }
}

TEST_CASE("CFG-07: a setting of the publisher beyond the machine or the others is refused with an example") {
  fake_config_world world;
  world.disk_bytes = 4ull << 30;
  CHECK_PROBLEM(world.problems_of(least + "[config]\nhold_bytes = \"5GiB\"\n"), "config.hold_bytes", "for example");
  CHECK_PROBLEM(world.problems_of(least + "[config]\ninterval = \"20min\"\n"), "config.stale_after", "config.interval");
  CHECK_PROBLEM(
      world.problems_of(least + "[guards]\nexplained_per_minute = 10\nexplained_per_tenant_per_minute = 11\n"),
      "guards.explained_per_tenant_per_minute", "for example");
  CHECK_PROBLEM(world.problems_of(least + "[guards]\nmax_shrink = 1.0\n"), "guards.max_shrink", "for example");
  CHECK_PROBLEM(world.problems_of(least + "[guards]\noff = true\n"), "guards.off", "is not a key");
}

TEST_CASE("a forwarding config comes from the jobs, a file or a URL") {
  fake_config_world world;
  using kind = forwarding_source_config::source_kind;
  const auto with = [&](const std::string& source) {
    return world.load(least + "[forwarding]\nsource = \"" + source + "\"\n").file;
  };
  CHECK(with("jobs").config.forwarding.source == kind::jobs);
  const auto file = with("file:forwarding.json");
  CHECK_NO_PROBLEM(file.problems);
  CHECK(file.config.forwarding.source == kind::file);
  CHECK_EQ(file.config.forwarding.file, "/etc/weir/forwarding.json");
  CHECK_EQ(with("file:/run/x.json").config.forwarding.file, "/run/x.json");
  const auto https = with("https://generator.example:8443/config?for=weir");
  CHECK_NO_PROBLEM(https.problems);
  CHECK(https.config.forwarding.source == kind::https);
  CHECK_EQ(https.config.forwarding.url, "https://generator.example:8443/config?for=weir");
  for (const char* bad : {"", "file:", "http://generator.example/", "https://", "https:///path", "ftp://x/", "job",
                          "https://user:password@generator.example/", "https://gen erator.example/"})
    CHECK_PROBLEM(with(bad).problems, "forwarding.source", "for example source = ");
}

TEST_CASE("a generator's key is read with the config, and a file that is none is a problem") {
  fake_config_world world;
  const std::string text = least + "[forwarding]\npublic_key_file = \"generator.pem\"\n";
  CHECK_PROBLEM(world.problems_of(text), "forwarding.public_key_file", "cannot be read");
  world.files["/etc/weir/generator.pem"] = {"no key", 0644};
  CHECK_PROBLEM(world.problems_of(text), "forwarding.public_key_file", "Ed25519");
  const auto signer = config_signer::make();
  world.files["/etc/weir/generator.pem"] = {public_key_text(signer.public_key()), 0644};
  const auto loaded = world.load(text);
  CHECK_NO_PROBLEM(loaded.file.problems);
  REQUIRE(loaded.file.config.forwarding.public_key);
  CHECK(*loaded.file.config.forwarding.public_key == signer.public_key());
}

TEST_CASE("drills on the schedule are those that may run beside customers") {
  fake_config_world world;
  const auto with = [&](const std::string& list) {
    return world.load(least + "[drills]\nschedule = " + list + "\n").file;
  };
  CHECK_NO_PROBLEM(with("[]").problems);
  CHECK(with("[]").config.drills.schedule.empty());
  CHECK_NO_PROBLEM(with("[\"blank-config\", \"buffer-storm\", \"dead-destination\", \"slow-disk\"]").problems);
  CHECK_PROBLEM(with("[\"nov14\"]").problems, "drills.schedule", "scratch");
  CHECK_PROBLEM(with("[\"fire\"]").problems, "drills.schedule", "blank-config");
  CHECK_PROBLEM(with("[\"slow-disk\", \"slow-disk\"]").problems, "drills.schedule", "twice");
  CHECK_PROBLEM(with("\"slow-disk\"").problems, "drills.schedule", "list");
}

TEST_CASE("a node reads more jobs than it admits, so that a config that is too large can be shown") {
  limits_config limits;
  limits.memory = 1ull << 30;
  limits.buffers = 25'000;
  CHECK_EQ(readable_jobs(limits), 1'048'576u);
  limits.buffers = 2'000'000;
  CHECK_EQ(readable_jobs(limits), 2'000'000u);
}
