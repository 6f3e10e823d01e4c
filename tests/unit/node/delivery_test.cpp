#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

/// Two jobs of two zones; `max_records` 1,000 unless said.
std::vector<small_job> two_jobs() {
  return {{1, zone(1)}, {2, zone(2)}};
}

bool empty_within(small_node& x, std::chrono::milliseconds most) {
  return x.pump_until([&] { return x.buffered() == 0; }, most);
}

} // namespace

TEST_CASE("a posted body arrives byte for byte, in order, at each job that wants it") {
  small_node x{{{1, zone(1)}, {2, zone(2)}, {3, zone(1)}}};
  x.start();
  const auto answer = x.put(events(zone(1), 0, 100) + events(zone(2), 100, 50) + events("stranger", 0, 7), "key");
  CHECK(answer.status == 200);
  CHECK(answer.body.find(R"("accepted":250)") != std::string::npos);
  CHECK(answer.body.find(R"("not_entitled":7)") != std::string::npos);
  CHECK(empty_within(x, 10s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 100));
  CHECK(x.delivered_text(2) == events(zone(2), 100, 50));
  CHECK(x.delivered_text(3) == x.delivered_text(1));
  CHECK(x.disorder(1) == "");
  CHECK(x.balanced());
  CHECK(x.network->misuse().empty());
}

TEST_CASE("an idle node has nothing to do between its timers") {
  small_node x{two_jobs()};
  x.start();
  x.put(events(zone(1), 0, 10));
  REQUIRE(empty_within(x, 10s));
  x.pass(1s);
  const auto steps = [&] {
    std::size_t n = 0;
    x.clock->advance(1s);
    x.scheduler.advance_time(1s);
    while (x.step())
      ++n;
    return n;
  };
  CHECK(steps() < 100);
}

TEST_CASE("the events of a body whose shard dies before the sync are never acknowledged") {
  small_node x{two_jobs()};
  x.config.buffer.linger = 50ms;
  x.start();
  for (std::size_t i = 0; i < 2; ++i) {
    // Stopped at each step on the way: while the shard has the slices and the disk has not.
    for (std::size_t at = 1; at < 12; ++at) {
      const auto before = x.account(1).accepted;
      const auto answer = x.post(events(zone(1), 0, 3), fmt::format("{}-{}", i, at));
      for (std::size_t n = 0; n < at; ++n)
        x.step();
      const auto durable = x.account(1).accepted != before;
      x.kill(x.node().roles().shard(x.node().roles().shard_of(job_id{1})).actor);
      x.pass(500ms);
      if (answer->status == 200)
        CHECK(x.account(1).accepted == before + 3);
      else
        CHECK((answer->status == 503 || answer->status == 429));
      if (!durable && x.account(1).accepted == before)
        CHECK(answer->status != 200);
      x.pass(70s, 1s); // its restart budget is whole again
    }
  }
  CHECK(x.balanced());
}

TEST_CASE("events acknowledged before a power cut are delivered after it, once and in order") {
  for (auto fate :
       {fake_disk::pending_fate::lose_all, fake_disk::pending_fate::keep_all, fake_disk::pending_fate::mixed}) {
    small_node x{two_jobs()};
    x.start();
    CHECK(x.put(events(zone(1), 0, 40), "a").status == 200);
    x.crash(3, fate);
    x.start();
    CHECK(x.put(events(zone(1), 40, 40), "b").status == 200);
    REQUIRE(empty_within(x, 20s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 80));
    CHECK(x.disorder(1) == "");
    CHECK(x.balanced());
  }
}

TEST_CASE("PRC-03 PRC-04: after a crash at any moment between acknowledgement and commit every object arrives once") {
  // How far it gets: steps from the acknowledgement on.
  for (std::size_t at = 0; at < 220; at += 3) {
    CAPTURE(at);
    small_node x{{{1, zone(1), 1s, 30}}};
    x.start();
    REQUIRE(x.put(events(zone(1), 0, 100), "a").status == 200);
    x.clock->advance(1s);
    x.scheduler.advance_time(1s);
    for (std::size_t n = 0; n < at && x.step(); ++n) {
    }
    x.crash(at + 1);
    const auto there = x.network->objects();
    x.start();
    REQUIRE(empty_within(x, 60s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 100));
    CHECK(x.disorder(1) == "");
    // What was there is what would be there: the same names hold the same events.
    for (std::size_t i = 0; i < there.size(); ++i)
      CHECK(x.network->objects()[i].identity == there[i].identity);
    CHECK(x.account(1).delivered == 100);
    CHECK(x.balanced());
  }
}

TEST_CASE("PRC-05: an object whose commit a crash took is found equal under its name and not stored again") {
  small_node x{{{1, zone(1)}}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 20), "a").status == 200);
  REQUIRE(x.pump_until([&] { return x.network->objects().size() == 1; }));
  REQUIRE(x.account(1).delivered == 0); // stored, and nobody but the destination knows
  x.crash(1);
  x.start();
  REQUIRE(empty_within(x, 20s));
  CHECK(x.network->objects().size() == 1);
  CHECK(x.network->started() == 2);
  CHECK(x.account(1).delivered == 20);
  CHECK(x.account(1).delivered_objects == 1);
}

TEST_CASE("an answer that is lost after the object was stored makes no second copy") {
  small_node x{{{1, zone(1)}}};
  x.start();
  x.network->then("/out/1/", {says::stored_unheard(), says::stored_unheard()});
  REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
  REQUIRE(empty_within(x, 60s));
  CHECK(x.network->objects().size() == 1);
  CHECK(x.delivered_text(1) == events(zone(1), 0, 20));
}

TEST_CASE("another object under the name of ours gets it a longer hash, and both stay") {
  small_node x{{{1, zone(1)}}};
  x.start();
  bool placed = false;
  x.network->behave("/out/1/", [&](const fake_network::upload& upload) {
    if (!placed)
      x.network->place({upload.order.url, upload.order.object_name, "1/7/1-20", "somebody else's"});
    placed = true;
    return says::stored();
  });
  REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
  REQUIRE(empty_within(x, 60s));
  REQUIRE(x.network->objects().size() == 2);
  const auto& [taken, ours] = std::pair{x.network->objects()[0], x.network->objects()[1]};
  CHECK(taken.bytes == "somebody else's");
  CHECK(ours.name.size() == taken.name.size() + 8);
  CHECK(ours.name.substr(0, 42) == taken.name.substr(0, 42));
  CHECK(x.account(1).delivered == 20);
}

TEST_CASE("a pusher that dies while it uploads is followed by one that delivers the same object once") {
  for (std::size_t at = 0; at < 60; at += 2) {
    CAPTURE(at);
    small_node x{{{1, zone(1)}}};
    x.start();
    REQUIRE(x.put(events(zone(1), 0, 90)).status == 200);
    REQUIRE(x.pump_until([&] { return x.network->running() == 1; }));
    for (std::size_t n = 0; n < at; ++n)
      x.step();
    caf::anon_send<caf::message_priority::high>(
        caf::actor_cast<caf::actor>(x.node().roles().pusher().actor),
        caf::exit_msg{x.node().roles().pusher().actor.address(), caf::exit_reason::kill});
    REQUIRE(empty_within(x, 90s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 90));
    CHECK(x.disorder(1) == "");
    CHECK(x.network->misuse().empty());
  }
}

// -- the same body again -----------------------------------------------------------------------

TEST_CASE("a body repeated under its key is stored once and answered as before") {
  small_node x{two_jobs()};
  x.start();
  const auto body = events(zone(1), 0, 30) + events(zone(2), 0, 30);
  const auto first = x.put(body, "key");
  const auto again = x.put(body, "key");
  CHECK(first.status == 200);
  CHECK(again.status == 200);
  CHECK(again.body == first.body);
  CHECK(x.put(body, "key 2").status == 200); // another body, though it looks the same
  REQUIRE(empty_within(x, 10s));
  CHECK(x.account(1).delivered == 60);
  CHECK(x.node().ledger().senders.at("dev").received == 120);
}

TEST_CASE("a key that named another body before is refused with 422") {
  small_node x{two_jobs()};
  x.start();
  CHECK(x.put(events(zone(1), 0, 3), "key").status == 200);
  CHECK(x.put(events(zone(1), 0, 4), "key").status == 422);
  CHECK(x.account(1).accepted == 3);
}

TEST_CASE("a repeat is recognised after a power cut, too") {
  small_node x{two_jobs()};
  x.start();
  const auto body = events(zone(1), 0, 30) + events(zone(2), 0, 30);
  CHECK(x.put(body, "key").status == 200);
  x.crash(5);
  x.start();
  CHECK(x.put(body, "key").status == 200);
  CHECK(x.put(events(zone(1), 0, 4), "key").status == 422);
  REQUIRE(empty_within(x, 10s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 30));
  CHECK(x.delivered_text(2) == events(zone(2), 0, 30));
}

TEST_CASE("a repeat while the first try is under way is told to come again, and stores nothing") {
  small_node x{two_jobs()};
  x.start();
  const auto body = events(zone(1), 0, 30);
  std::size_t told = 0;
  constexpr std::size_t moments = 60;
  for (std::size_t at = 0; at < moments; ++at) {
    CAPTURE(at);
    const auto key = fmt::format("key-{}", at);
    const auto first = x.post(body, key);
    for (std::size_t n = 0; n < at; ++n)
      x.step_or_wait();
    const auto second = x.post(body, key);
    x.pass(1s);
    CHECK(first->status == 200);
    CHECK((second->status == 429 || second->status == 200));
    told += second->status == 429 ? 1 : 0;
    CHECK(x.put(body, key).status == 200);
  }
  CHECK(told > 0);
  REQUIRE(empty_within(x, 10s));
  CHECK(x.account(1).accepted == moments * 30);
  CHECK(x.account(1).delivered == moments * 30);
  CHECK(x.balanced());
}

TEST_CASE("a repeat that is on its way while the first try ends stores nothing twice, in whatever order they meet") {
  std::size_t later = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    small_node x{two_jobs(), seed};
    x.start();
    x.shuffle_steps();
    fake_random draw{seed};
    const auto body = events(zone(1), 0, 5);
    const auto first = x.post(body, "key");
    awaited_answer second;
    for (int n = 0; n < 200; ++n) {
      // Repeated shortly before the first answer, when its account is on its way to the disk.
      if (!second && x.account(1).accepted > 0 && first->status == 0 && draw.below(6) == 0)
        second = x.post(body, "key");
      x.step_or_wait();
    }
    if (!second)
      continue;
    CHECK(first->status == 200);
    later += second->status == 200 ? 1 : 0;
    CHECK(x.account(1).accepted == 5);
    REQUIRE(empty_within(x, 10s));
    CHECK(x.delivered_text(1) == body);
  }
  CHECK(later > 20);
}

TEST_CASE("of a body that was stored in part a repeat stores what is missing, and nothing twice") {
  // Slices of many blocks, and a power cut at each change of the disk.
  for (std::uint64_t at = 1; at < 14; ++at) {
    CAPTURE(at);
    small_node x{two_jobs()};
    x.config.buffer.block_bytes = 512;
    x.config.store.group_bytes = 2 << 10;
    x.start();
    CHECK(x.put(events(zone(1), 900, 1)).status == 200);
    const auto body = events(zone(1), 0, 200) + events(zone(2), 0, 150);
    x.disk->crash_at(at);
    const auto answer = x.post(body, "key");
    x.pass(200ms);
    const auto acknowledged = answer->status == 200;
    x.crash(at);
    x.start();
    CHECK(x.put(body, "key").status == 200);
    REQUIRE(empty_within(x, 30s));
    CHECK(x.delivered_text(1) == events(zone(1), 900, 1) + events(zone(1), 0, 200));
    CHECK(x.delivered_text(2) == events(zone(2), 0, 150));
    CHECK((acknowledged || answer->status == 0 || answer->status == 503));
    CHECK(x.balanced());
  }
}

TEST_CASE("a body whose slice fills many blocks is stored once though a sync fails in its middle") {
  for (std::uint64_t nth = 1; nth < 8; ++nth) {
    CAPTURE(nth);
    small_node x{two_jobs()};
    x.config.buffer.block_bytes = 512;
    x.config.store.group_bytes = 2 << 10;
    x.start();
    const auto body = events(zone(1), 0, 200) + events(zone(2), 0, 150);
    x.disk->inject({disk_operation::sync, 5, nth});
    auto status = x.put(body, "key").status;
    if (status != 200) {
      CHECK(status == 503);
      status = x.put(body, "key").status;
    }
    x.disk->heal();
    CHECK(x.put(body, "key").status == 200);
    REQUIRE(empty_within(x, 30s));
    CHECK(x.delivered_text(1) == events(zone(1), 0, 200));
    CHECK(x.delivered_text(2) == events(zone(2), 0, 150));
    CHECK(x.disorder(1) == "");
    CHECK(x.balanced());
  }
}

// -- the disk ----------------------------------------------------------------------------------

TEST_CASE(
    "DSK-02: of a group whose sync fails nothing is acknowledged or delivered; what comes after is, without a gap") {
  small_node x{{{1, zone(1), 5s}, {2, zone(2), 5s}}};
  x.start();
  CHECK(x.put(events(zone(1), 0, 5)).status == 200);
  x.pass(500ms); // the store's own syncs are done
  x.disk->inject({disk_operation::sync, 5});
  const auto lost = x.post(events(zone(1), 1000, 5));
  const auto lost_too = x.post(events(zone(1), 2000, 90) + events(zone(2), 2000, 5));
  x.pass(100ms);
  CHECK(x.disk->faults_struck() == 1);
  CHECK(lost->status == 503);
  CHECK(lost_too->status == 503);
  CHECK(x.put(events(zone(1), 5, 5)).status == 200);
  CHECK(x.put(events(zone(2), 0, 5)).status == 200);
  REQUIRE(empty_within(x, 20s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 10));
  CHECK(x.delivered_text(2) == events(zone(2), 0, 5));
  CHECK(x.disorder(1) == "");
  x.crash(9);
  x.start();
  CHECK(x.put(events(zone(1), 10, 5)).status == 200);
  REQUIRE(empty_within(x, 20s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 15));
  CHECK(x.disorder(1) == "");
  CHECK(x.balanced());
}

TEST_CASE("a writer that dies leaves no gap in the sequences, and the shards go on with its successor") {
  for (std::size_t at = 0; at < 24; at += 2) {
    CAPTURE(at);
    small_node x{two_jobs()};
    x.start();
    CHECK(x.put(events(zone(1), 0, 5)).status == 200);
    const auto first = x.post(events(zone(1), 100, 60), "first");
    const auto second = x.post(events(zone(1), 200, 60), "second");
    for (std::size_t n = 0; n < at; ++n)
      x.step();
    const auto writer = x.node().roles().writer().actor;
    caf::anon_send<caf::message_priority::high>(caf::actor_cast<caf::actor>(writer),
                                                caf::exit_msg{writer.address(), caf::exit_reason::kill});
    x.pass(2s);
    CHECK(first->status != 0);
    CHECK(second->status != 0);
    CHECK(x.put(events(zone(1), 100, 60), "first").status == 200);
    CHECK(x.put(events(zone(1), 200, 60), "second").status == 200);
    REQUIRE(empty_within(x, 60s));
    CHECK(x.delivered(1).size() == 125);
    CHECK(x.disorder(1) == "");
    CHECK(x.balanced());
  }
}
