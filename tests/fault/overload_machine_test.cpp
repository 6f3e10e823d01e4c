#include <algorithm>
#include <memory>

#include <doctest/doctest.h>

#include "tests/support/control_group.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

using clock_type = std::chrono::steady_clock;

/// A body of which only the head was sent so far: its memory is reserved, and taken as its bytes come.
class held_body {
 public:
  static constexpr std::size_t bytes = 16 << 20;

  explicit held_body(const running_node& node) : client_(std::make_unique<weir::raw_client>(node.ingest_port())) {
    client_->send("POST /v1/ingest/http_requests HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
                  + "\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n");
  }
  /// All but the last byte; false if the node has had enough of it.
  bool fill() {
    const std::string piece(1 << 20, ' ');
    for (std::size_t sent = 0; sent + piece.size() < bytes; sent += piece.size())
      if (!client_->send(piece))
        return false;
    return true;
  }

 private:
  std::unique_ptr<weir::raw_client> client_;
};

bool is_active(running_node& node, const std::string& state) {
  const auto answer = nlohmann::json::parse(node.control("/v1/overload").body, nullptr, false);
  if (answer.is_discarded())
    return false;
  for (const auto& each : answer["states"])
    if (each["name"] == state)
      return each["state"] == "active";
  return false;
}

} // namespace

TEST_CASE("OVL-09: the steps of memory pressure come in their order, each visible, and go in reverse by themselves") {
  const auto zones = running_node::zones(3);
  weir::node_plan plan;
  plan.jobs = 3;
  // Steps far apart, and a budget that bodies under way alone can fill, so that the test holds the lever.
  plan.settings["limits"] =
      "memory = \"256MiB\"\nin_flight_bytes = \"128MiB\"\nmemory_seal_at = 0.25\nmemory_shrink_at = 0.4\n"
      "memory_refuse_at = 0.55\n";
  running_node node(plan);
  node.start();
  const auto event_of = [](const std::string& zone) { return R"({"ZoneID":")" + zone + "\"}\n"; };
  std::uint64_t accepted = 0;
  const auto post = [&](const std::string& zone) {
    const auto answer = node.post(event_of(zone));
    accepted += answer.status == 200 ? 1 : 0;
    return answer;
  };
  REQUIRE_EQ(post(zones[0]).status, 200);
  const auto began = weir::usage_of(node.id()).resident;
  REQUIRE_LT(began, 60ull << 20);

  // Reserved while there is plenty; what is granted stays granted.
  std::vector<held_body> bodies;
  for (int i = 0; i < 7; ++i)
    bodies.emplace_back(node);
  REQUIRE(weir::wait_for([&] { return node.metric("weir_memory_in_flight_bytes") >= 7.0 * held_body::bytes; }));

  REQUIRE(bodies[0].fill());
  REQUIRE(bodies[1].fill());
  REQUIRE(bodies[2].fill());
  REQUIRE(weir::wait_for([&] { return is_active(node, "sealing_early"); }));
  CHECK_FALSE(is_active(node, "credit_shrunk"));
  // First new buffers; existing ones do not notice.
  const auto refused = post(zones[1]);
  CHECK_EQ(refused.status, 429);
  CHECK_NE(refused.body.find(R"("memory":1)"), std::string::npos);
  CHECK(refused.headers.count("retry-after") == 1);
  CHECK_EQ(post(zones[0]).status, 200);
  // Shards show their counts ten times a second.
  CHECK(weir::wait_for([&] { return node.metric("weir_buffers_refused_total", R"(reason="memory")") > 0; }));

  REQUIRE(bodies[3].fill());
  REQUIRE(bodies[4].fill());
  REQUIRE(weir::wait_for([&] { return is_active(node, "credit_shrunk"); }));
  CHECK_FALSE(is_active(node, "refusing_ingest"));
  CHECK(node.ready());
  CHECK_EQ(post(zones[0]).status, 429); // a quarter of the credit is long used

  REQUIRE(bodies[5].fill());
  REQUIRE(bodies[6].fill());
  REQUIRE(weir::wait_for([&] { return is_active(node, "refusing_ingest"); }));
  CHECK_EQ(post(zones[0]).status, 503);
  CHECK_FALSE(node.ready());
  CHECK_NE(node.control("/readyz").body.find("memory"), std::string::npos);
  const auto highest = weir::usage_of(node.id()).peak_resident;
  CHECK_LT(highest, 256ull << 20);
  const auto table =
      node.run({"overload", "--active", "--connect", "127.0.0.1:" + std::to_string(node.control_port())});
  INFO(table.text);
  CHECK_EQ(table.exit_code, 3);
  for (const auto* state : {"sealing_early", "credit_shrunk", "refusing_ingest"})
    CHECK_NE(table.text.find(state), std::string::npos);

  // One sender after another gives up: the steps go as they came.
  const std::pair<const char*, int> back[] = {{"refusing_ingest", 5}, {"credit_shrunk", 2}, {"sealing_early", 0}};
  for (const auto& [state, left] : back) {
    CAPTURE(state);
    bodies.erase(bodies.begin() + left, bodies.end());
    const auto since = clock_type::now();
    CHECK(weir::wait_for([&] { return !is_active(node, state); }, 30s));
    std::printf("%s is left after %.1f s at %llu MiB\n", state,
                std::chrono::duration<double>(clock_type::now() - since).count(),
                static_cast<unsigned long long>(weir::usage_of(node.id()).resident >> 20));
  }
  CHECK(weir::wait_for([&] { return node.ready(); }));
  CHECK_EQ(post(zones[1]).status, 200);
  CHECK_EQ(post(zones[2]).status, 200);
  REQUIRE(node.drained());
  CHECK_EQ(ledger_number(node.ledger()["totals"]["delivered"]), accepted);
  for (const auto* state : {"sealing_early", "credit_shrunk", "refusing_ingest"})
    CHECK_EQ(node.metric("weir_overload_entered_total", std::string(R"(state=")") + state + '"'), 1);
}

TEST_CASE("OVL-10: with a fifth of a core under a flood delay grows and nothing is lost; control answers in a second") {
  const auto why = weir::control_group::missing("cpu");
  if (why) {
    MESSAGE("skipped: no control group for processor time here: " << *why);
    return;
  }
  weir::control_group fifth("cpu");
  weir::node_plan plan;
  plan.jobs = 20;
  running_node node(plan);
  node.start();
  REQUIRE(fifth.set("cpu.cfs_period_us", "100000"));
  REQUIRE(fifth.set("cpu.cfs_quota_us", "20000"));
  fifth.take(node.id());
  weir::control_poller health(node, {"/healthz"}), overload(node, {"/v1/overload"});
  weir::load_plan load;
  load.events = 0;
  load.zones = 20;
  load.connections = 4;
  load.body_bytes = 100'000;
  auto flood = node.send(load);
  const auto ended = weir::wait_for([&] { return !node.running() || !flood.running(); }, weir::phase_length(10s));
  INFO(node.log());
  REQUIRE_FALSE(ended);
  health.stop();
  overload.stop();
  const auto periods = fifth.number("cpu.stat", "nr_periods"), throttled = fifth.number("cpu.stat", "nr_throttled");
  REQUIRE(fifth.set("cpu.cfs_quota_us", "-1"));
  flood.terminate();
  CHECK_EQ(flood.wait(60s), 0);
  REQUIRE(node.drained(60s));
  const auto totals = node.ledger()["totals"];
  std::printf(
      "a fifth of a core: throttled in %llu of %llu periods, %llu events taken; /healthz p99 %lld ms of %zu, "
      "/v1/overload p99 %lld ms of %zu\n",
      static_cast<unsigned long long>(throttled), static_cast<unsigned long long>(periods),
      static_cast<unsigned long long>(ledger_number(totals["accepted"])), static_cast<long long>(health.p99().count()),
      health.looks(), static_cast<long long>(overload.p99().count()), overload.looks());
  CHECK_GT(throttled, periods / 2); // it was one
  CHECK_GT(health.looks(), 20);
  CHECK_LT(health.p99().count(), 1'000);
  CHECK_LT(overload.p99().count(), 1'000);
  CHECK_GT(ledger_number(totals["accepted"]), 1'000);
  const auto verdict = node.audit();
  INFO(verdict.text);
  CHECK_EQ(verdict.exit_code, 0);
}

TEST_CASE("while senders flood the node at full speed, /healthz and /v1/overload answer within a second") {
  weir::node_plan plan;
  plan.jobs = 200;
  running_node node(plan);
  node.start();
  weir::control_poller health(node, {"/healthz"}), overload(node, {"/v1/overload"});
  weir::load_plan load;
  load.events = 0;
  load.zones = 200;
  load.connections = 8;
  load.body_bytes = 500'000;
  auto flood = node.send(load);
  const auto ended = weir::wait_for([&] { return !node.running() || !flood.running(); }, weir::phase_length(8s));
  INFO(node.log());
  REQUIRE_FALSE(ended);
  health.stop();
  overload.stop();
  flood.terminate();
  CHECK_EQ(flood.wait(60s), 0);
  const auto accepted = ledger_number(node.ledger()["totals"]["accepted"]);
  std::printf("%llu events taken; /healthz p99 %lld ms of %zu, /v1/overload p99 %lld ms of %zu\n",
              static_cast<unsigned long long>(accepted), static_cast<long long>(health.p99().count()), health.looks(),
              static_cast<long long>(overload.p99().count()), overload.looks());
  CHECK_GT(accepted, 100'000);
  CHECK_GT(health.looks(), 20);
  CHECK_LT(health.p99().count(), 1'000);
  CHECK_LT(overload.p99().count(), 1'000);
}
