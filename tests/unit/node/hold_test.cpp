#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

small_job normal(std::uint64_t id) {
  return {id, zone(id)};
}
small_job held(std::uint64_t id) {
  auto x = normal(id);
  x.on_hold = true;
  return x;
}
small_job disabled(std::uint64_t id) {
  auto x = normal(id);
  x.enabled = false;
  return x;
}

bool empty_within(small_node& x, std::chrono::milliseconds most) {
  return x.pump_until([&] { return x.buffered() == 0; }, most);
}

bool has_buffer_actor(small_node& x, std::uint64_t job) {
  const auto all = x.ask<children_status>(x.node().roles().buffers().actor, list_children{});
  REQUIRE(all);
  for (const auto& child : all->children)
    if (child.id == std::to_string(job))
      return true;
  return false;
}

std::uint64_t shed_at_quota(small_node& x, std::uint64_t job) {
  return x.account(job).shed[static_cast<std::size_t>(shed_reason::job_quota)];
}

void fail(small_node& x, std::uint64_t job) {
  x.network->behave(fmt::format("/out/{}/", job), [](const fake_network::upload&) { return says::failed(); });
}
void recover(small_node& x, std::uint64_t job) {
  x.network->behave(fmt::format("/out/{}/", job), nullptr);
}

} // namespace

TEST_CASE("CFG-06: a customer who vanishes from a config is buffered and not pushed, and gets all of it once back") {
  small_node x{{normal(1), normal(2)}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 50) + events(zone(2), 0, 50)).status == 200);
  REQUIRE(empty_within(x, 10s));
  x.publish({held(1), normal(2)});
  const auto pushed = x.network->started("/out/1/");
  std::uint64_t n = 50;
  for (int minute = 0; minute < 30; ++minute, n += 5) {
    const auto answer = x.put(events(zone(1), n, 5) + events(zone(2), n, 5));
    CHECK(answer.status == 200);
    CHECK(answer.body.find(R"("accepted":10)") != std::string::npos);
    x.pass(1min, 1s);
    CHECK(x.account(2).buffered == 0);
  }
  CHECK(x.network->started("/out/1/") == pushed);
  CHECK(x.account(1).buffered == n - 50);
  CHECK(x.balanced());
  x.publish({normal(1), normal(2)});
  REQUIRE(empty_within(x, 2s)); // at once
  CHECK(x.delivered_text(1) == events(zone(1), 0, n));
  CHECK(x.delivered_text(2) == events(zone(2), 0, n));
  CHECK(x.disorder(1) == "");
  CHECK(x.balanced());
}

TEST_CASE("CFG-06: a hold lasts over restarts, and what was taken before and after one comes in one piece") {
  small_node x{{normal(1), normal(2)}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 20), "a").status == 200);
  x.publish({held(1), normal(2)});
  REQUIRE(x.put(events(zone(1), 20, 20), "b").status == 200);
  for (std::uint64_t seed = 1; seed < 4; ++seed) {
    x.crash(seed);
    x.start(); // with the config that was in force
    REQUIRE(x.put(events(zone(1), 20 + 20 * seed, 20), fmt::format("c{}", seed)).status == 200);
    x.pass(5min, 500ms);
    CHECK(x.account(1).buffered == 40 + 20 * seed);
  }
  x.publish({normal(1), normal(2)});
  REQUIRE(empty_within(x, 5s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 100));
  CHECK(x.disorder(1) == "");
}

TEST_CASE("CFG-06: a job on hold is buffered up to its bound and shed beyond, and nobody else notices") {
  small_node x{{normal(1), normal(2)}};
  x.config.publication.hold_bytes = 6'000;
  x.start();
  x.publish({held(1), normal(2)});
  for (std::uint64_t n = 0; n < 100; ++n) {
    REQUIRE(x.put(events(zone(1), n * 20, 20) + events(zone(2), n * 20, 20)).status == 200);
    x.pass(100ms);
  }
  const auto account = x.account(1);
  CHECK(account.accepted > 0);
  CHECK(shed_at_quota(x, 1) > 0);
  CHECK(account.accepted + shed_at_quota(x, 1) == 2'000);
  CHECK(x.node().store().job(job_id{1})->buffered_bytes <= 6'000);
  CHECK(shed_at_quota(x, 2) == 0);
  x.publish({normal(1), normal(2)});
  REQUIRE(empty_within(x, 10s));
  CHECK(x.account(1).delivered == account.accepted);
  CHECK(x.delivered_text(2) == events(zone(2), 0, 2'000));
  // Its own quota counts again.
  const auto shed = shed_at_quota(x, 1);
  x.pass(1s);
  REQUIRE(x.put(events(zone(1), 5'000, 200)).status == 200);
  CHECK(shed_at_quota(x, 1) == shed);
  CHECK(x.balanced());
}

TEST_CASE("an upload that runs when its job goes on hold may end, and is committed; the next does not begin") {
  small_node x{{{1, zone(1), 1s, 30}, normal(2)}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 100)).status == 200);
  REQUIRE(x.pump_until([&] { return x.network->started("/out/1/") == 1; }));
  auto on_hold = small_job{1, zone(1), 1s, 30};
  on_hold.on_hold = true;
  x.publish({on_hold, normal(2)});
  x.pass(10min, 250ms);
  CHECK(x.network->started("/out/1/") == 1);
  CHECK(x.account(1).delivered == 30);
  CHECK(x.account(1).buffered == 70);
  x.publish({{1, zone(1), 1s, 30}, normal(2)});
  REQUIRE(empty_within(x, 5s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 100));
  CHECK(x.disorder(1) == "");
}

TEST_CASE(
    "CFG-06: when a hold is over what the job has expires and is counted, whether its buffer is awake or asleep") {
  for (const auto since : {0s, 10s, 1800s}) {
    CAPTURE(since.count());
    small_node x{{normal(1), normal(2)}};
    x.start();
    fail(x, 1);
    REQUIRE(x.put(events(zone(1), 0, 100)).status == 200);
    x.pass(since, 1s); // before that: with or without a cut, with the buffer asleep
    x.publish({held(1), normal(2)});
    recover(x, 1);
    REQUIRE(x.put(events(zone(1), 100, 50)).status == 200);
    x.pass(24h, 10s);
    CHECK(x.account(1).buffered == 150);
    CHECK(x.account(1).expired == 0);
    x.publish({normal(2)}); // as the publisher does once the hold is over
    CHECK(x.put(events(zone(1), 150, 5)).body.find(R"("not_entitled":5)") != std::string::npos);
    x.pass(5min, 1s);
    CHECK(x.account(1).buffered == 0);
    CHECK(x.account(1).expired == 150);
    CHECK(x.account(1).deleted == 0);
    CHECK(x.network->objects().empty());
    CHECK(x.balanced());
    CHECK_FALSE(has_buffer_actor(x, 1));
    // And it stays so; were it to come back, it would begin behind what is gone.
    x.crash(9);
    x.start();
    CHECK(x.account(1).expired == 150);
    CHECK(x.balanced());
    x.publish({normal(1), normal(2)});
    REQUIRE(x.put(events(zone(1), 150, 5)).status == 200);
    REQUIRE(empty_within(x, 10s));
    CHECK(x.delivered_text(1) == events(zone(1), 150, 5));
  }
}

TEST_CASE("what a deleted job has stays for a hold, goes with its dead letters then, and is counted as deleted") {
  small_node x{{normal(1), normal(2)}};
  x.start();
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::refused(400); });
  REQUIRE(x.put(events(zone(1), 0, 40)).status == 200);
  x.pass(10min, 1s);
  const auto letters = x.account(1).dead_lettered;
  REQUIRE(letters > 0);
  recover(x, 1);
  x.publish({normal(2)});
  x.pass(23h, 10s);
  CHECK(x.account(1).buffered == 40 - letters);
  x.pass(70min, 1s);
  CHECK(x.account(1).buffered == 0);
  CHECK(x.account(1).deleted == 40 - letters);
  CHECK(x.account(1).expired == 0);
  CHECK(x.account(1).dead_lettered == letters);
  CHECK(x.node().store().dead_letters(job_id{1}, 10).empty());
  CHECK(x.node().store().job(job_id{1})->buffered_bytes == 0);
  CHECK(x.balanced());
}

TEST_CASE("a deleted job that is back within a hold has lost nothing") {
  small_node x{{normal(1), normal(2)}};
  x.start();
  fail(x, 1);
  REQUIRE(x.put(events(zone(1), 0, 40)).status == 200);
  x.pass(10s);
  x.publish({normal(2)});
  x.pass(23h, 10s);
  recover(x, 1);
  x.publish({normal(1), normal(2)});
  REQUIRE(empty_within(x, 60s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 40));
  x.pass(2h, 10s); // and its time is not remembered
  x.publish({normal(2)});
  x.pass(2h, 10s);
  CHECK(x.account(1).deleted == 0);
}

TEST_CASE("a job of which a restarted node knows nothing is kept for a whole hold before it goes") {
  small_node x{{normal(1), normal(2)}};
  x.config.buffer.max_age = std::chrono::hours{24 * 365};
  x.start();
  fail(x, 1);
  REQUIRE(x.put(events(zone(1), 0, 40)).status == 200);
  x.pass(10s);
  x.publish({normal(2)});
  x.pass(23h, 10s);
  x.crash(3);
  x.start();
  x.pass(23h, 10s);
  CHECK(x.account(1).buffered == 40);
  x.pass(2h, 1s);
  CHECK(x.account(1).buffered == 0);
  CHECK(x.account(1).expired == 40);
  CHECK(x.balanced());
}

TEST_CASE("many jobs that go at once are removed a few at a time, and others are served meanwhile") {
  std::vector<small_job> jobs;
  std::vector<small_job> held_ones{normal(1)};
  std::string body;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    jobs.push_back(normal(i));
    if (i > 1)
      held_ones.push_back(held(i));
    body += events(zone(i), 0, 3);
  }
  small_node x{jobs};
  x.start();
  x.publish(held_ones);
  REQUIRE(x.put(body).status == 200);
  x.pass(5min, 1s);
  CHECK(x.buffered() == 199 * 3);
  x.publish({normal(1)});
  std::uint64_t n = 3;
  std::size_t most = 0;
  for (int i = 0; i < 300 && x.buffered() > 0; ++i, n += 2) {
    REQUIRE(x.put(events(zone(1), n, 2)).status == 200);
    x.pass(1s);
    const auto all = x.ask<children_status>(x.node().roles().buffers().actor, list_children{});
    REQUIRE(all);
    most = std::max(most, all->children.size());
  }
  REQUIRE(empty_within(x, 10s));
  CHECK(most <= 65);
  std::uint64_t expired = 0;
  for (std::uint64_t i = 2; i <= 200; ++i)
    expired += x.account(i).expired;
  CHECK(expired == 199 * 3);
  CHECK(x.delivered_text(1) == events(zone(1), 0, n));
  CHECK(x.balanced());
}

TEST_CASE("events of a job that is not pushed expire at their age though its buffer sleeps, over a restart as well") {
  for (const bool restart : {false, true})
    for (const auto& waiting : {held(1), disabled(1)}) {
      CAPTURE(restart);
      CAPTURE(waiting.on_hold);
      small_node x{{normal(1), normal(2)}};
      x.config.buffer.max_age = 12h;
      x.start();
      REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
      x.publish({waiting, normal(2)});
      x.pass(5min, 1s);
      CHECK_FALSE(has_buffer_actor(x, 1));
      if (restart) {
        x.crash(5);
        x.start();
      }
      x.pass(11h + 45min, 10s);
      CHECK(x.account(1).buffered == 20);
      x.pass(20min, 1s);
      CHECK(x.account(1).expired == 20);
      CHECK(x.balanced());
      x.pass(5min, 1s);
      CHECK_FALSE(has_buffer_actor(x, 1));
    }
}

TEST_CASE("dead letters are removed at their age though the buffer of their job sleeps") {
  small_node x{{normal(1)}};
  x.start();
  x.network->then("/out/1/", {says::refused(400), says::refused(400), says::refused(400)});
  REQUIRE(x.put(events(zone(1), 0, 1)).status == 200);
  REQUIRE(empty_within(x, 120s));
  REQUIRE(x.account(1).dead_lettered == 1);
  x.pass(std::chrono::hours{24 * 7} - 10min, 20s);
  CHECK_FALSE(has_buffer_actor(x, 1));
  CHECK(x.node().store().dead_letters(job_id{1}, 10).size() == 1);
  x.pass(20min, 1s);
  CHECK(x.node().store().dead_letters(job_id{1}, 10).empty());
  CHECK(x.node().store().job(job_id{1})->buffered_bytes == 0);
  CHECK(x.account(1).dead_lettered == 1);
  CHECK(x.balanced());
}

TEST_CASE("a cut that was made before a hold is finished after it, though nobody who knew of it is left") {
  small_node x{{normal(1), normal(2)}};
  x.start();
  fail(x, 1);
  REQUIRE(x.put(events(zone(1), 0, 30)).status == 200);
  x.pass(5s);
  REQUIRE(x.node().store().job(job_id{1})->open_cut);
  x.publish({held(1), normal(2)});
  x.pass(10s);
  const auto whom = caf::actor_cast<caf::actor>(x.node().roles().buffers().actor);
  caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::exit_reason::kill});
  x.pass(10s);
  recover(x, 1);
  x.publish({normal(1), normal(2)});
  REQUIRE(empty_within(x, 60s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 30));
}
