#include <doctest/doctest.h>

#include <caf/all.hpp>

#include "actors/config_publisher.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

/// Roles that adopt whatever is newer, at once.
struct obedient_node final : config_targets {
  explicit obedient_node(snapshot_ptr first) : now(std::move(first)), roles(4, now) {}

  std::size_t receivers() const override { return 2; }
  std::size_t forwarders() const override { return 2; }
  bool offer_to_receiver(std::size_t i, config_offer_ptr offer) override { return take(roles[i], *offer); }
  bool offer_to_forwarder(std::size_t i, config_offer_ptr offer) override { return take(roles[2 + i], *offer); }
  void apply_to_buffers(snapshot_ptr) override {}
  void apply_to_intake(snapshot_ptr snapshot) override { now = std::move(snapshot); }
  std::string keep_last_known_good(const snapshot_ptr& snapshot) override {
    kept = snapshot;
    return {};
  }
  snapshot_ptr in_force() const override { return now; }
  rollout_health health() const override { return {}; }
  std::vector<config_version> receiver_versions() const override { return {roles[0]->version, roles[1]->version}; }
  std::vector<config_version> forwarder_versions() const override { return {roles[2]->version, roles[3]->version}; }

  static bool take(snapshot_ptr& role, const config_offer& offer) {
    config_answer answer;
    answer.adopted = offer.snapshot->version > role->version;
    if (answer.adopted)
      role = offer.snapshot;
    answer.in_force = role->version;
    offer.answer(answer);
    return true;
  }

  snapshot_ptr now, kept;
  std::vector<snapshot_ptr> roles;
};

struct publisher_fixture : deterministic_system {
  publisher_fixture() {
    log::divert([](log::level, std::string_view) {});
    begin();
    run();
  }
  ~publisher_fixture() {
    desk->clear();
    log::divert({});
  }

  void begin() {
    config_publisher_parts parts;
    parts.settings.receivers = parts.settings.forwarders = 2;
    parts.settings.readable.cluster = "weir";
    parts.settings.readable.datasets = plain_datasets();
    parts.targets = node;
    parts.source = [this] {
      ++readings;
      config_reading reading;
      reading.snapshot = make_config(says);
      reading.who = "reload";
      return reading;
    };
    parts.clock = clock;
    parts.metrics = metrics;
    parts.desk = desk;
    parts.history_file = folder.path + "/history.db";
    publisher = owned(system.spawn(config_publisher, std::move(parts)));
    desk->enter(publisher);
  }

  own_folder folder;
  plain_jobs says = jobs_up_to(100);
  int readings = 0;
  std::shared_ptr<obedient_node> node = std::make_shared<obedient_node>(make_config(says));
  metrics_registry registry;
  std::shared_ptr<publication_metrics> metrics =
      std::make_shared<publication_metrics>(registry.families(), publication_refusals(), publication_guards());
  std::shared_ptr<config_desk> desk = std::make_shared<config_desk>();
  config_publisher_actor publisher;
};

} // namespace

TEST_CASE_FIXTURE(publisher_fixture, "The source is read once an interval, and a flood of notices adds two a second") {
  CHECK_EQ(readings, 1);
  advance(10min, 100ms);
  CHECK_EQ(readings, 11);
  for (int i = 0; i < 100; ++i) {
    desk->changed();
    advance(20ms);
  }
  CHECK_GE(readings, 13);
  CHECK_LE(readings, 17);
}

TEST_CASE_FIXTURE(publisher_fixture,
                  "A change is judged within a second of its notice, and reaches everybody in stages") {
  says[101];
  desk->changed();
  advance(1s);
  CHECK_EQ(number(desk->view()->rolling_out), 2);
  CHECK_EQ(number(node->roles[0]->version), 2);
  CHECK_EQ(number(node->roles[2]->version), 2);
  CHECK_EQ(number(node->roles[3]->version), 1);
  advance(70s, 100ms);
  CHECK_EQ(number(node->roles[3]->version), 2);
  CHECK_EQ(number(node->now->version), 2);
  CHECK(node->kept == node->now);
  CHECK_EQ(number(desk->view()->in_force), 2);
}

TEST_CASE_FIXTURE(publisher_fixture, "A publisher that is killed is followed by one that knows everything") {
  says = jobs_up_to(40);
  desk->changed();
  advance(1s);
  REQUIRE_EQ(desk->view()->held.size(), 1);
  const auto hash = desk->view()->held[0].hash;
  kill(publisher);
  CHECK_EQ(desk->view()->held.size(), 1); // What was known stays to be seen.
  begin();
  advance(1s);
  CHECK(desk->view()->held.at(0).hash == hash);
  command_result result;
  result.error = "no answer";
  config_command approve;
  approve.what = config_command::order::approve;
  approve.hash = hash;
  approve.who = "olga";
  CHECK(desk->order(approve, [&](command_result x) { result = std::move(x); }));
  advance(200ms);
  CHECK(result.done());
  advance(70s, 100ms);
  CHECK_EQ(entitled_in(*node->now).size(), 40);
  std::size_t rows = 0;
  CHECK(desk->ask([&](config_publication&, config_history& history) { rows = history.audit(100).size(); }));
  run();
  CHECK_GE(rows, 4);
}

TEST_CASE_FIXTURE(publisher_fixture, "A publisher without a history ends with the reason, and nothing else changes") {
  kill(publisher);
  std::filesystem::remove_all(folder.path);
  begin();
  run();
  CHECK(ended(publisher));
  CHECK_EQ(number(node->now->version), 1);
  CHECK(registry.text().find("weir_config_history_failures_total 1") != std::string::npos);
}

} // namespace weir
