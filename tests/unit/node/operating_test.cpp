// What an operator sees of a node, and what a node does by its config.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "config/config_builder.hpp"
#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

void kill_now(const caf::actor& whom) {
  caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::exit_reason::kill});
}

bool holds(const std::vector<std::string>& reasons, const std::string& reason) {
  return std::find(reasons.begin(), reasons.end(), reason) != reasons.end();
}

/// The value of one series in the text that Prometheus gets; nothing if it is not there.
std::optional<double> metric(small_node& x, const std::string& series) {
  const auto text = x.node().metrics().text();
  const auto at = text.find("\n" + series + " ");
  if (at == text.npos)
    return std::nullopt;
  return std::stod(text.substr(at + series.size() + 2));
}

/// Kills the job's buffer until its supervisor parks it.
void park(small_node& x, std::uint64_t job) {
  for (int i = 0; i < 20 && x.node().parked(10).empty(); ++i) {
    if (const auto buffer = x.buffer_of(job))
      kill_now(caf::actor_cast<caf::actor>(buffer));
    x.pass(500ms, 50ms);
  }
}

} // namespace

TEST_CASE("metrics of the way in say what became of the lines of a body") {
  small_node x{{{1, zone(1)}}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 5) + "{broken\n[]\n" + events("stranger", 0, 2) + R"({"n":1})" + "\n").status
          == 200);
  x.pass(200ms);
  CHECK(metric(x, "weir_forwarder_received_events_total") == 10);
  CHECK(metric(x, "weir_forwarder_not_entitled_events_total") == 2);
  CHECK(metric(x, R"(weir_forwarder_rejected_events_total{reason="not_json"})") == 2);
  CHECK(metric(x, R"(weir_forwarder_rejected_events_total{reason="no_scope"})") == 1);
  CHECK(metric(x, R"(weir_forwarder_rejected_events_total{reason="refused_with_body"})") == 0);
  CHECK(metric(x, "weir_shard_sealed_events_total") == 5);
  CHECK(metric(x, R"(weir_shard_sealed_blocks_total{trigger="idle"})") == 1);
  CHECK(metric(x, "weir_shard_durable_seconds_count") == 1);
  CHECK(metric(x, "weir_buffer_created_total") == 1);
  CHECK(metric(x, "weir_shard_jobs") == 1);
  CHECK(metric(x, "weir_shard_open_blocks") == 0);
}

TEST_CASE("metrics of the disk count groups, records and segments, and not what failed") {
  small_node x{{{1, zone(1)}}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 5)).status == 200);
  x.pass(100ms);
  const auto groups = metric(x, "weir_store_groups_total");
  CHECK(groups >= 2); // the block, and the body's account
  CHECK(metric(x, "weir_store_records_total") >= groups);
  CHECK(metric(x, "weir_store_sync_seconds_count") == groups);
  CHECK(metric(x, "weir_store_group_bytes_count") == groups);
  CHECK(metric(x, R"(weir_store_written_bytes_total{purpose="append"})") > 0);
  CHECK(metric(x, R"(weir_store_segments{use="live"})") >= 1);
  CHECK(metric(x, "weir_buffer_known") == 1);
  CHECK(metric(x, "weir_store_sync_errors_total") == 0);
  CHECK(metric(x, R"(weir_mailbox_refused_total{role="shard"})").has_value());
}

TEST_CASE("a repeat, and what a shard turns away, are counted by reason") {
  small_node x{{{1, zone(1), 1s, 0, 0, 400}, {2, zone(2)}}};
  x.config.limits.buffers = 1;
  x.start();
  x.put(events(zone(1), 0, 100), "a"); // beyond its quota
  x.put(events(zone(2), 0, 3), "b");   // beyond the number of buffers
  x.pass(200ms);
  CHECK(metric(x, R"(weir_shard_shed_events_total{reason="job_quota"})") == 100);
  CHECK(metric(x, R"(weir_shard_shed_events_total{reason="buffer_count"})") == 3);
  CHECK(metric(x, R"(weir_buffers_refused_total{reason="buffer_count"})") == 1);
}

TEST_CASE("events of open blocks beyond limits.open_block_bytes are sealed without waiting") {
  small_node x{{{1, zone(1)}, {2, zone(2)}, {3, zone(3)}, {4, zone(4)}}};
  x.config.buffer.linger = 1s;
  x.config.limits.open_block_bytes = 1;
  x.start();
  std::string body;
  for (std::uint64_t i = 1; i <= 4; ++i)
    body += events(zone(i), 0, 3);
  const auto answers = {x.post(body), x.post(body)}; // the second keeps the shards from sealing for want of company
  CHECK(x.pump_until(
      [&] { return std::all_of(answers.begin(), answers.end(), [](auto& a) { return a->status == 200; }); }, 100ms));
  x.pass(200ms);
  CHECK(metric(x, R"(weir_shard_sealed_blocks_total{trigger="memory"})") > 0);
}

TEST_CASE("a whole body for an account is refused by a dataset of zones") {
  small_node x{{{1, zone(1)}}};
  x.start();
  CHECK(x.node().gate()->fits(0, "zones/" + zone(1)));
  CHECK_FALSE(x.node().gate()->fits(0, "accounts/" + zone(1)));
}

TEST_CASE("what is shown of the pusher is up to date while nothing is pushed") {
  small_node x{{{1, zone(1)}}};
  x.start();
  CHECK(metric(x, "weir_pusher_slots") == 128);
  x.network->behave("/out/1/", [](auto&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 3)).status == 200);
  x.pass(60s);
  CHECK(metric(x, "weir_pusher_open_breakers") == 1);
  REQUIRE(x.node().destinations().size() == 1);
  x.network->behave("/out/1/", nullptr);
  REQUIRE(x.pump_until([&] { return x.buffered() == 0; }, 120s));
  x.pass(2s);
  CHECK(x.node().destinations().empty());
  CHECK(metric(x, "weir_pusher_open_breakers") == 0);
  CHECK(metric(x, "weir_pusher_slots_in_use") == 0);
}

TEST_CASE("a buffer that crashes too often is parked and listed, and goes on when an operator says so") {
  small_node x{{{1, zone(1)}, {2, zone(2)}}};
  x.start();
  x.network->behave("/out/1/", [](auto&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 3)).status == 200);
  x.pass(2s);
  park(x, 1);
  REQUIRE(x.node().parked(10).size() == 1);
  CHECK(x.node().parked(10)[0].child.id == "1");
  CHECK_FALSE(x.node().parked(10)[0].child.reason.empty());
  CHECK(metric(x, R"(weir_supervisor_parked{supervisor="buffers"})") == 1);
  CHECK(metric(x, R"(weir_supervisor_restarts_total{supervisor="buffers"})") >= 5);

  std::optional<caf::error> answer;
  const auto take = [&answer](caf::error why) { answer = std::move(why); };
  x.node().unpark(job_id{2}, take);
  x.pump();
  REQUIRE(answer);
  CHECK(*answer); // it is not parked

  x.network->behave("/out/1/", nullptr);
  answer.reset();
  x.node().unpark(job_id{1}, take);
  x.pump();
  REQUIRE(answer);
  CHECK_FALSE(*answer);
  CHECK(x.node().parked(10).empty());
  CHECK(x.pump_until([&] { return x.buffered() == 0; }, 120s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 3));
}

TEST_CASE("a node whose roles crash again and again says that it gave up, and tells whoever runs it") {
  small_node x{{{1, zone(1)}}};
  x.start();
  CHECK_FALSE(holds(x.node().not_ready(), "gave_up"));
  for (int i = 0; i < 20 && !x.node().status().gave_up.load(); ++i) {
    if (const auto pusher = x.node().roles().pusher())
      kill_now(caf::actor_cast<caf::actor>(pusher.actor));
    x.pass(500ms, 50ms);
  }
  CHECK(holds(x.node().not_ready(), "gave_up"));
  CHECK(x.put(events(zone(1), 0, 1)).status == 503);
}

TEST_CASE("whoever runs a node is told once when its roles gave up, and not when it ends as told") {
  for (const bool crashes : {true, false}) {
    CAPTURE(crashes);
    deterministic_system x;
    x.disk->make_directories("/data");
    node_parts parts;
    parts.config.name = "small";
    parts.config.data_dir = "/data";
    parts.config.threads.data = parts.config.threads.shards = 1;
    parts.config.store.segment_bytes = 256 << 10;
    parts.config.store.group_bytes = 32 << 10;
    parts.snapshot = config_builder{{}, {}}.finish({});
    parts.world = {x.clock, x.disk, std::make_shared<fake_network>(x.clock), x.random, x.memory};
    parts.own_threads = false;
    int told = 0;
    parts.gave_up = [&told] { ++told; };
    auto made = node::start(x.system, std::move(parts));
    REQUIRE(made);
    auto& running = **made;
    x.advance(100ms);
    for (int i = 0; crashes && i < 20 && told == 0; ++i) {
      kill_now(caf::actor_cast<caf::actor>(running.roles().pusher().actor));
      x.advance(10s);
    }
    if (!crashes)
      running.refuse_ingest(); // as `stop` does first
    running.abandon();
    x.run();
    CHECK_EQ(told, crashes ? 1 : 0);
  }
}

TEST_CASE("dead letters are removed when they are as old as the config says, and free their quota") {
  small_node x{{{1, zone(1)}}};
  x.config.pusher.dead_letter_age = std::chrono::hours{1};
  x.config.buffer.passivate_after = std::chrono::hours{24};
  x.start();
  x.network->behave("/out/1/", [](auto& sent) {
    return sent.order.object_name.empty() || sent.bytes.empty() ? says::stored() : says::refused(400);
  });
  REQUIRE(x.put(event(zone(1), 0) + "\n").status == 200);
  REQUIRE(x.pump_until([&] { return x.account(1).dead_lettered == 1; }, 120s));
  x.network->behave("/out/1/", nullptr);
  x.pass(50min, 10s);
  CHECK(x.node().store().dead_letters(job_id{1}, 10).size() == 1);
  x.pass(12min, 10s);
  CHECK(x.node().store().dead_letters(job_id{1}, 10).empty());
  CHECK(metric(x, "weir_buffer_expired_dead_letters_total") == 1);
  CHECK(x.account(1).dead_lettered == 1);
  CHECK(x.balanced());
}
