#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/gzip_text.hpp"
#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

bool empty_within(small_node& x, std::chrono::milliseconds most) {
  return x.pump_until([&] { return x.buffered() == 0; }, most);
}

/// A destination that refuses whatever holds `text`.
fake_network::judge refuses(const std::string& text) {
  return [text](const fake_network::upload& x) {
    const auto raw = gunzip(x.bytes);
    return raw && raw->find(text) != raw->npos ? says::refused(400) : says::stored();
  };
}

void kill_now(const caf::actor& whom) {
  caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::exit_reason::kill});
}

std::optional<child_status> buffer_status(small_node& x, std::uint64_t job) {
  const auto all = x.ask<children_status>(x.node().roles().buffers().actor, list_children{});
  REQUIRE(all);
  for (const auto& child : all->children)
    if (child.id == std::to_string(job))
      return child;
  return std::nullopt;
}

} // namespace

// -- destinations ------------------------------------------------------------------------------

TEST_CASE("PRC-08: an event that its destination will never take is isolated and set apart; the rest is delivered") {
  small_node x{{{1, zone(1)}}};
  x.start();
  x.network->behave("/out/1/", refuses("poison"));
  const auto body = events(zone(1), 0, 37) + event(zone(1), 37, R"(,"x":"poison")") + "\n" + events(zone(1), 38, 62);
  REQUIRE(x.put(body).status == 200);
  REQUIRE(empty_within(x, 120s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 37) + events(zone(1), 38, 62));
  CHECK(x.disorder(1, {38}) == "");
  CHECK(x.account(1).dead_lettered == 1);
  const auto letters = x.node().store().dead_letters(job_id{1}, 10);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].range.first == 38);
  const auto letter = x.node().store().read(job_id{1}, letters[0].range, true);
  REQUIRE(letter);
  CHECK(gunzip(letter->payload) == event(zone(1), 37, R"(,"x":"poison")") + "\n");
  CHECK(letter->meta.dead_reason().find("400") != std::string::npos);
  CHECK(x.balanced());
}

TEST_CASE("PRC-08: several poison events are isolated over power cuts, too") {
  small_node x{{{1, zone(1)}}};
  x.start();
  x.network->behave("/out/1/", refuses("poison"));
  std::string body;
  std::string good;
  for (std::uint64_t n = 0; n < 80; ++n) {
    const bool bad = n == 0 || n == 41 || n == 42 || n == 79;
    body += event(zone(1), n, bad ? R"(,"x":"poison")" : "") + "\n";
    good += bad ? "" : event(zone(1), n) + "\n";
  }
  REQUIRE(x.put(body, "a").status == 200);
  for (std::uint64_t seed = 1; seed < 12; ++seed) {
    x.pump_until([&, before = x.network->started()] { return x.network->started() > before + 1; }, 5s);
    x.crash(seed);
    x.start();
  }
  REQUIRE(empty_within(x, 120s));
  CHECK(x.delivered_text(1) == good);
  CHECK(x.account(1).dead_lettered == 4);
  CHECK(x.balanced());
}

TEST_CASE("a destination that refuses everything does not turn the backlog into dead letters") {
  small_node x{{{1, zone(1)}}};
  x.start();
  for (int status : {400, 403}) {
    CAPTURE(status);
    x.network->behave("/out/1/", [=](const fake_network::upload&) { return says::refused(status); });
    const auto dead_before = x.account(1).dead_lettered;
    const auto delivered_before = x.delivered(1).size();
    REQUIRE(x.put(events(zone(1), 0, 200)).status == 200);
    x.pass(1h, 500ms);
    CHECK(x.account(1).dead_lettered - dead_before <= 10);
    x.network->behave("/out/1/", nullptr);
    REQUIRE(empty_within(x, 600s));
    CHECK(x.delivered(1).size() - delivered_before == 200 - (x.account(1).dead_lettered - dead_before));
    CHECK(x.balanced());
  }
}

TEST_CASE("OVL-04: a destination that is down keeps its backlog for its return, and delays nobody else") {
  std::vector<small_job> jobs;
  for (std::uint64_t i = 1; i <= 6; ++i)
    jobs.push_back({i, zone(i)});
  small_node x{jobs};
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
  x.network->behave("/out/2/", [](const fake_network::upload&) { return says::nothing(); });
  std::uint64_t n = 0;
  for (; n < 30; ++n) {
    for (std::uint64_t i = 1; i <= 6; ++i)
      CHECK(x.put(events(zone(i), n * 10, 10)).status == 200);
    x.pass(10s);
    for (std::uint64_t i = 3; i <= 6; ++i)
      CHECK(x.account(i).buffered == 0); // within its interval and a little
  }
  CHECK(x.account(1).buffered == 300);
  CHECK(x.account(2).buffered == 300);
  CHECK_FALSE(x.node().destinations().empty());
  // A probe at least every 30 s, jittered, and no more than a few a minute.
  CHECK(x.network->started("/out/1/") >= 5);
  CHECK(x.network->started("/out/1/") <= 60);
  x.network->behave("/out/1/", nullptr);
  x.network->behave("/out/2/", nullptr);
  REQUIRE(empty_within(x, 600s));
  for (std::uint64_t i = 1; i <= 6; ++i) {
    CHECK(x.delivered_text(i) == events(zone(i), 0, 300));
    CHECK(x.disorder(i) == "");
  }
}

TEST_CASE("a job at its quota is refused new events, no other is, and takes them again once it drained") {
  small_node x{{{1, zone(1), 1s, 0, 0, 8'000}, {2, zone(2)}}};
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
  std::string last;
  for (std::uint64_t n = 0; n < 100; ++n) {
    const auto answer = x.put(events(zone(1), n * 20, 20) + events(zone(2), n * 20, 20));
    REQUIRE(answer.status == 200); // a lasting refusal is counted, not repeated
    last = answer.body;
    x.pass(100ms);
  }
  CHECK(last.find(R"("shed":{"job_quota":20})") != std::string::npos);
  CHECK(last.find(R"("accepted":20)") != std::string::npos);
  const auto account = x.account(1);
  CHECK(account.shed[static_cast<std::size_t>(shed_reason::job_quota)] + account.accepted == 2000);
  CHECK(x.node().store().job(job_id{1})->buffered_bytes <= 8'000);
  CHECK(x.account(2).accepted == 2000);
  CHECK(x.account(2).shed[static_cast<std::size_t>(shed_reason::job_quota)] == 0);
  x.network->behave("/out/1/", nullptr);
  REQUIRE(empty_within(x, 600s));
  x.pass(1s);
  for (int i = 0; i < 50; ++i) { // the quota does not wear off
    CHECK(x.put(events(zone(1), 9000, 20)).body.find(R"("shed":{})") != std::string::npos);
    x.pass(3s);
  }
  CHECK(x.balanced());
}

// -- buffers -----------------------------------------------------------------------------------

TEST_CASE(
    "PRC-07: a buffer that crashes again and again is restarted, then parked, while others deliver; unparked, it goes "
    "on") {
  small_node x{{{1, zone(1)}, {2, zone(2)}}};
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 10)).status == 200);
  x.pass(3s);
  for (int crashes = 0; crashes < 6; ++crashes) {
    REQUIRE(x.pump_until([&] { return buffer_status(x, 1)->state == child_state::running && x.buffer_of(1); }, 40s));
    const auto victim = caf::actor_cast<caf::actor>(x.buffer_of(1));
    kill_now(victim);
    x.pump_until([&] { return x.ended(victim); });
    x.pass(2s, 10ms);
  }
  CHECK(buffer_status(x, 1)->state == child_state::parked);
  CHECK_FALSE(buffer_status(x, 1)->reason.empty());
  x.network->behave("/out/1/", nullptr);
  REQUIRE(x.put(events(zone(1), 10, 10)).status == 200);
  REQUIRE(x.put(events(zone(2), 0, 10)).status == 200);
  x.pass(60s);
  CHECK(x.account(1).buffered == 20);
  CHECK(x.delivered_text(2) == events(zone(2), 0, 10));
  CHECK(x.ask<order_done>(x.node().roles().buffers().actor, unpark_child{"1"}));
  REQUIRE(empty_within(x, 60s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 20));
  CHECK(x.disorder(1) == "");
}

TEST_CASE("an idle buffer is let go after a while and woken by the next events") {
  small_node x{{{1, zone(1)}}};
  x.config.buffer.passivate_after = 60s;
  x.start();
  for (std::uint64_t n = 0; n < 4; ++n) {
    REQUIRE(x.put(events(zone(1), n * 5, 5)).status == 200);
    REQUIRE(empty_within(x, 10s));
    CHECK(buffer_status(x, 1));
    x.pass(5min);
    CHECK_FALSE(buffer_status(x, 1));
  }
  CHECK(x.delivered_text(1) == events(zone(1), 0, 20));
}

TEST_CASE("what becomes due while a buffer is leaving is not forgotten") {
  // Events come at every moment around its leaving.
  for (auto at = 88'000ms; at < 95'000ms; at += 170ms) {
    CAPTURE(at.count());
    small_node x{{{1, zone(1)}}};
    x.config.buffer.passivate_after = 60s;
    x.start();
    REQUIRE(x.put(events(zone(1), 0, 5)).status == 200);
    x.pass(at);
    REQUIRE(x.put(events(zone(1), 5, 5)).status == 200);
    CHECK(empty_within(x, 10s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 10));
  }
}

TEST_CASE("a destination that was given up for the time being gets its backlog when it returns, however long that is") {
  small_node x{{{1, zone(1)}}};
  x.config.buffer.passivate_after = 60s;
  x.start();
  x.network->behave("/out/1/", [=](const fake_network::upload&) { return says::refused(400); });
  REQUIRE(x.put(events(zone(1), 0, 64)).status == 200);
  x.pass(20min, 250ms);
  const auto dead = x.account(1).dead_lettered;
  x.network->behave("/out/1/", nullptr);
  REQUIRE(x.put(events(zone(1), 64, 5)).status == 200);
  CHECK(empty_within(x, 300s));
  CHECK(x.delivered(1).size() == 69 - dead);
}

TEST_CASE("whoever wakes the buffers may die: what is due is announced to its successor") {
  small_node x{{{1, zone(1), 1s}, {2, zone(2), 60s}}};
  x.start();
  x.network->behave("/out/", [](const fake_network::upload&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 5) + events(zone(2), 0, 5)).status == 200);
  x.pass(5s);
  kill_now(caf::actor_cast<caf::actor>(x.node().roles().buffers().actor));
  x.pass(5s);
  x.network->behave("/out/", nullptr);
  REQUIRE(empty_within(x, 120s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 5));
  CHECK(x.delivered_text(2) == events(zone(2), 0, 5));
}

// -- on hold -----------------------------------------------------------------------------------

TEST_CASE(
    "a job that vanishes from the config is on hold: kept, not pushed, and delivered without a gap when it is back") {
  for (auto since : {0s, 1s, 200s}) { // with the cut made, with the buffer awake, with the buffer gone
    CAPTURE(since.count());
    small_node x{{{1, zone(1), 1s, 30}, {2, zone(2)}}};
    x.start();
    x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
    REQUIRE(x.put(events(zone(1), 0, 100)).status == 200);
    x.pass(since);
    x.publish({{2, zone(2)}});
    x.network->behave("/out/1/", nullptr);
    const auto pushed = x.network->started("/out/1/");
    const auto meanwhile = x.put(events(zone(1), 100, 7));
    CHECK(meanwhile.body.find(R"("not_entitled":7)") != std::string::npos);
    x.pass(10min, 250ms);
    CHECK(x.account(1).buffered + x.account(1).delivered == 100);
    CHECK(x.network->started("/out/1/") <= pushed + 1); // what ran may end
    x.publish({{1, zone(1), 1s, 30}, {2, zone(2)}});
    REQUIRE(empty_within(x, 60s));
    REQUIRE(x.put(events(zone(1), 100, 7)).status == 200);
    REQUIRE(empty_within(x, 60s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 107));
    CHECK(x.disorder(1) == "");
  }
}

TEST_CASE("a job that is on hold with a cut made goes on with that cut when it is back, after a restart as well") {
  for (bool restart : {false, true}) {
    small_node x{{{1, zone(1), 1s, 30}, {2, zone(2)}}};
    x.config.buffer.passivate_after = 60s;
    x.start();
    x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
    REQUIRE(x.put(events(zone(1), 0, 30)).status == 200);
    x.pass(5s);
    REQUIRE(x.node().store().job(job_id{1})->open_cut);
    x.publish({{2, zone(2)}});
    x.network->behave("/out/1/", nullptr);
    x.pass(1h, 500ms);
    if (restart) {
      x.crash(6);
      x.start();
      x.pass(1h, 500ms);
    }
    CHECK(x.account(1).buffered == 30);
    x.publish({{1, zone(1), 1s, 30}, {2, zone(2)}});
    REQUIRE(empty_within(x, 60s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 30));
  }
}

TEST_CASE("a job on hold over a restart is kept, too") {
  small_node x{{{1, zone(1)}, {2, zone(2)}}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 10)).status == 200);
  x.publish({{2, zone(2)}});
  x.crash(4);
  x.start();
  x.pass(5min);
  CHECK(x.account(1).buffered == 10);
  x.publish({{1, zone(1)}, {2, zone(2)}});
  REQUIRE(empty_within(x, 60s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 10));
}

// -- time --------------------------------------------------------------------------------------

TEST_CASE("CLK-01: whatever the wall clock jumps to, nothing stalls, nothing expires, and names stay unique") {
  for (auto jump : {2h, -2h, 24h, -24h, 24h * 365, -24h * 365}) {
    CAPTURE(jump.count());
    small_node x{{{1, zone(1)}, {2, zone(2)}}};
    x.start();
    x.network->behave("/out/2/", [](const fake_network::upload&) { return says::failed(); });
    std::uint64_t n = 0;
    for (; n < 10; ++n) {
      REQUIRE(x.put(events(zone(1), n * 5, 5) + events(zone(2), n * 5, 5)).status == 200);
      if (n == 4)
        x.clock->jump_wall(jump);
      x.pass(2s);
      CHECK(x.account(1).buffered == 0);
    }
    x.pass(10min, 500ms);
    CHECK(x.account(2).buffered == 50);
    CHECK(x.account(2).expired == 0);
    x.network->behave("/out/2/", nullptr);
    REQUIRE(empty_within(x, 600s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 50));
    CHECK(x.delivered_text(2) == events(zone(2), 0, 50));
    CHECK(x.balanced());
  }
}

TEST_CASE("CLK-01: a key is remembered though the wall clock jumps far ahead, and forgotten when its time is over") {
  for (auto jump : {24h, 24h * 90, -24h * 90}) {
    CAPTURE(jump.count());
    small_node x{{{1, zone(1)}}};
    x.start();
    const auto body = events(zone(1), 0, 5);
    REQUIRE(x.put(body, "key").status == 200);
    x.clock->jump_wall(jump);
    x.pass(10s);
    CHECK(x.put(body, "key").status == 200);
    CHECK(x.account(1).accepted == 5);
    CHECK(x.delivered_text(1) == body);
  }
  small_node x{{{1, zone(1)}}};
  x.start();
  const auto body = events(zone(1), 0, 5);
  REQUIRE(x.put(body, "key").status == 200);
  x.pass(23h, 10s);
  CHECK(x.put(body, "key").status == 200);
  CHECK(x.account(1).accepted == 5);
  x.pass(2h, 10s);
  CHECK(x.put(body, "key").status == 200);
  CHECK(x.account(1).accepted == 10);
}

TEST_CASE("events that nobody took within the maximum age expire, oldest first, and the ledger says so") {
  small_node x{{{1, zone(1)}, {2, zone(2)}}};
  x.config.buffer.max_age = 1h;
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 20) + events(zone(2), 0, 20)).status == 200);
  x.pass(30min, 1s);
  REQUIRE(x.put(events(zone(1), 20, 20)).status == 200);
  x.pass(25min, 1s);
  CHECK(x.account(1).expired == 0);
  x.pass(10min, 1s);
  CHECK(x.account(1).expired == 20);
  CHECK(x.account(1).buffered == 20);
  CHECK(x.balanced());
  x.network->behave("/out/1/", nullptr);
  REQUIRE(empty_within(x, 600s));
  CHECK(x.delivered_text(1) == events(zone(1), 20, 20));
  // What came after an expiry becomes due as ever.
  REQUIRE(x.put(events(zone(1), 40, 5)).status == 200);
  CHECK(empty_within(x, 10s));
  CHECK(x.delivered_text(1) == events(zone(1), 20, 25));
  CHECK(x.account(2).expired == 0);
}

TEST_CASE("events that waited too long while the node was down expire after the start") {
  small_node x{{{1, zone(1)}}};
  x.config.buffer.max_age = 1h;
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
  x.crash(2);
  x.clock->advance(2h);
  x.scheduler.clock().current_time += 2h;
  x.start();
  x.pass(2min, 100ms);
  CHECK(x.account(1).expired == 20);
  CHECK(x.balanced());
}
