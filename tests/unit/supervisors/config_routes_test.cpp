#include "supervisors/config_routes.hpp"

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include <doctest/doctest.h>
#include <caf/actor_system.hpp>
#include <nlohmann/json.hpp>

#include "supervisors/control_side.hpp"
#include "telemetry/log.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_disk.hpp"
#include "tests/support/fake_memory.hpp"
#include "tests/support/fake_random.hpp"
#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

using nlohmann::json;

/// Roles that adopt everything at once.
struct willing_node final : config_targets {
  std::size_t receivers() const override { return 1; }
  std::size_t forwarders() const override { return 1; }
  bool offer_to_receiver(std::size_t, config_offer_ptr offer) override { return take(*offer); }
  bool offer_to_forwarder(std::size_t, config_offer_ptr offer) override { return take(*offer); }
  void apply_to_buffers(snapshot_ptr) override {}
  void apply_to_intake(snapshot_ptr snapshot) override {
    std::lock_guard lock{mutex};
    now = std::move(snapshot);
  }
  std::string keep_last_known_good(const snapshot_ptr&) override { return {}; }
  snapshot_ptr in_force() const override {
    std::lock_guard lock{mutex};
    return now;
  }
  rollout_health health() const override { return {}; }
  static bool take(const config_offer& offer) {
    offer.answer({true, {}, {}, offer.snapshot->version});
    return true;
  }

  mutable std::mutex mutex;
  snapshot_ptr now = make_config(jobs_up_to(100));
};

/// The control half of a node as it really runs, in its own actor system, and its router.
struct control_half {
  control_half() {
    log::divert([](log::level, std::string_view) {});
    world.clock = std::make_shared<fake_clock>(); // Nothing waits for time: stages are not watched below.
    world.disk = std::make_shared<fake_disk>();
    world.random = std::make_shared<fake_random>(1);
    world.memory = std::make_shared<fake_memory>();
    control_side_parts parts;
    parts.world = world;
    parts.config.datasets = plain_datasets();
    parts.config.rollout.canary = parts.config.rollout.tenth = parts.config.rollout.all = 0ms;
    parts.targets = std::make_shared<willing_node>();
    parts.source = [this] {
      std::lock_guard lock{mutex};
      config_reading reading;
      reading.snapshot = make_config(says);
      reading.who = "reload";
      return reading;
    };
    parts.metrics = &metrics;
    parts.history_file = folder.path + "/history.db";
    side = std::move(*control_side::start(system, std::move(parts)));
    add_config_routes(router, side->config());
    until([this] { return side->config().view() != nullptr; }); // The first question is answered when it has begun.
  }
  ~control_half() {
    side->stop();
    log::divert({});
  }

  /// Asks the publisher something until what it does meanwhile has come about; gives up after ten seconds.
  template <class Condition>
  void until(Condition&& met) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    bool in_time = true;
    while (in_time && !met()) {
      call("GET", "/v1/config/versions/1");
      in_time = std::chrono::steady_clock::now() < end;
    }
    REQUIRE(in_time);
  }

  struct answered {
    int status = 0;
    json body;
  };
  answered call(const std::string& method, const std::string& path, const std::string& body = {},
                http::query_parameters query = {}) {
    const auto found = router.find(method, path);
    REQUIRE(std::holds_alternative<control_router::found>(found));
    const auto& route = std::get<control_router::found>(found);
    control_request request;
    request.method = method;
    request.path = path;
    request.captures = route.captures;
    request.query = std::move(query);
    request.body = body;
    auto caller = std::make_shared<control_caller>();
    caller->token = "olga";
    request.caller = caller;
    struct waiting {
      std::mutex mutex;
      std::condition_variable came;
      std::optional<http::answer> answer;
    };
    const auto shared = std::make_shared<waiting>();
    (*route.handler)(request, [shared](http::answer answer) {
      std::lock_guard lock{shared->mutex};
      shared->answer = std::move(answer);
      shared->came.notify_all();
    });
    std::unique_lock lock{shared->mutex};
    REQUIRE(shared->came.wait_for(lock, 10s, [&] { return shared->answer.has_value(); }));
    return {shared->answer->status, json::parse(shared->answer->body)};
  }

  void say(plain_jobs jobs) {
    {
      std::lock_guard lock{mutex};
      says = std::move(jobs);
    }
    call("POST", "/v1/config/publish");
  }

  own_folder folder;
  environment world;
  metrics_registry metrics;
  std::mutex mutex;
  plain_jobs says = jobs_up_to(100);
  control_system_config config;
  caf::actor_system system{config};
  std::unique_ptr<control_side> side;
  control_router router;
};

} // namespace

TEST_CASE("Looking at the config needs the right to read, ordering something the right to operate") {
  control_half half;
  const auto right_of = [&](const char* method, const char* path) {
    return std::get<control_router::found>(half.router.find(method, path)).right;
  };
  for (const char* path :
       {"/v1/config", "/v1/config/versions", "/v1/config/versions/3", "/v1/config/diff", "/v1/audit"})
    CHECK(right_of("GET", path) == control_right::read);
  for (const char* path : {"/v1/config/approve", "/v1/config/reject", "/v1/config/rollback", "/v1/config/freeze",
                           "/v1/config/unfreeze", "/v1/config/publish"})
    CHECK(right_of("POST", path) == control_right::operate);
}

TEST_CASE("A held change is shown, compared, approved by its hash in the name of the token, and audited") {
  control_half half;
  half.say(jobs_up_to(40));
  half.until([&] { return !half.side->config().view()->held.empty(); });
  const auto state = half.call("GET", "/v1/config");
  CHECK_EQ(state.status, 200);
  CHECK_EQ(state.body["version"], "1");
  CHECK_EQ(state.body["held"][0]["reasons"][0], "shrunk");
  CHECK_EQ(state.body["held"][0]["changes"]["in_all"]["removed"], "60");
  CHECK_FALSE(state.body.contains("frozen"));
  const std::string hash = state.body["held"][0]["hash"];
  REQUIRE_EQ(hash.size(), 64);

  const auto diff = half.call("GET", "/v1/config/diff", {}, {{"held", hash}});
  CHECK_EQ(diff.status, 200);
  CHECK_EQ(diff.body["removed"].size(), 60);

  auto wrong = hash;
  wrong[0] = wrong[0] == '0' ? '1' : '0';
  CHECK_EQ(half.call("POST", "/v1/config/approve", R"({"hash":")" + wrong + R"("})").status, 409);
  const auto done = half.call("POST", "/v1/config/approve", R"({"hash":")" + hash + R"(","why":"ticket 17"})");
  CHECK_EQ(done.status, 200);
  CHECK_EQ(done.body["done"], true);
  half.until([&] { return number(half.side->config().view()->in_force) == 2; });

  const auto version = half.call("GET", "/v1/config/versions/2");
  CHECK_EQ(version.body["who"], "olga");
  CHECK_EQ(version.body["why"], "approved");
  CHECK_EQ(half.call("GET", "/v1/config/diff", {}, {{"from", "1"}, {"to", "2"}}).body["removed"].size(), 60);
  CHECK_EQ(half.call("GET", "/v1/config").body["on_hold"].size(), 60);
  const auto audit = half.call("GET", "/v1/audit", {}, {{"limit", "1000"}});
  bool found = false;
  for (const auto& row : audit.body["rows"])
    found = found || (row["what"] == "approved" && row["who"] == "olga" && row["text"] == "ticket 17");
  CHECK(found);

  const auto back = half.call("POST", "/v1/config/rollback", R"({"version":1})");
  CHECK_EQ(back.status, 200);
  half.until([&] { return number(half.side->config().view()->in_force) == 3; });
  CHECK_EQ(half.call("GET", "/v1/config").body["frozen"]["who"], "olga");
  CHECK_EQ(half.call("POST", "/v1/config/freeze").status, 409);
  CHECK_EQ(half.call("POST", "/v1/config/unfreeze").status, 200);
}

TEST_CASE("Requests that make no sense are refused by name and change nothing") {
  control_half half;
  const auto refused = [&](const std::string& path, const std::string& body, const char* error) {
    const auto answer = half.call("POST", path, body);
    CHECK_EQ(answer.status, 400);
    CHECK_EQ(answer.body["error"], error);
  };
  refused("/v1/config/approve", "", "bad_hash");
  refused("/v1/config/approve", R"({"hash":"12ab"})", "bad_hash");
  refused("/v1/config/approve", "{", "bad_body");
  refused("/v1/config/approve", R"({"hsah":"12ab"})", "bad_body");
  refused("/v1/config/rollback", "", "bad_version");
  CHECK_EQ(half.call("POST", "/v1/config/rollback", R"({"version":"99"})").status, 404);
  CHECK_EQ(half.call("GET", "/v1/config/versions/nine").status, 400);
  CHECK_EQ(half.call("GET", "/v1/config/versions/9").status, 404);
  CHECK_EQ(half.call("GET", "/v1/config/diff").status, 400);
  CHECK_EQ(half.call("GET", "/v1/config/diff", {}, {{"from", "1"}, {"to", "7"}}).status, 404);
  CHECK_EQ(half.call("GET", "/v1/audit", {}, {{"limit", "0"}}).status, 400);
  CHECK_EQ(number(half.side->config().view()->in_force), 1);
}

TEST_CASE("Versions and the audit trail come in pages, newest first") {
  control_half half;
  for (std::uint64_t last = 101; last <= 105; ++last) {
    half.say(jobs_up_to(last));
    half.until([&] { return number(half.side->config().view()->in_force) == last - 99; });
  }
  const auto first = half.call("GET", "/v1/config/versions", {}, {{"limit", "4"}});
  REQUIRE_EQ(first.body["versions"].size(), 4);
  CHECK_EQ(first.body["versions"][0]["version"], "6");
  CHECK_EQ(first.body["next_cursor"], "3");
  const auto second = half.call("GET", "/v1/config/versions", {}, {{"limit", "4"}, {"cursor", "3"}});
  REQUIRE_EQ(second.body["versions"].size(), 2);
  CHECK_EQ(second.body["versions"][1]["version"], "1");
  CHECK_EQ(second.body["next_cursor"], "");
}

TEST_CASE("Without a publisher the last state is still shown, and everything else says to try again") {
  control_half half;
  half.side->config().clear();
  CHECK_EQ(half.call("GET", "/v1/config").status, 200);
  for (const char* path : {"/v1/config/versions", "/v1/config/versions/1", "/v1/audit"}) {
    const auto answer = half.call("GET", path);
    CHECK_EQ(answer.status, 503);
    CHECK_EQ(answer.body["error"], "no_publisher");
  }
  CHECK_EQ(half.call("POST", "/v1/config/freeze").status, 503);
}

} // namespace weir
