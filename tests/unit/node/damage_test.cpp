#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

bool empty_within(small_node& x, std::chrono::milliseconds most) {
  return x.pump_until([&] { return x.buffered() == 0; }, most);
}

/// Turns a bit over in the middle of each block that the job has on disk, but in the first `sound`.
std::size_t damage_blocks(small_node& x, std::uint64_t job, std::size_t sound = 0) {
  std::vector<std::string> names;
  REQUIRE_FALSE(x.disk->list("/data/store", names));
  std::size_t damaged = 0;
  const auto blocks = x.node().store().blocks(job_id{job}, 1'000);
  for (auto i = sound; i < blocks.size(); ++i) {
    const auto bytes = x.node().store().read(job_id{job}, blocks[i].range);
    REQUIRE(bytes);
    for (const auto& name : names) {
      const auto path = "/data/store/" + name;
      const auto at = x.disk->contents(path).value_or("").find(bytes->payload);
      if (at != std::string::npos)
        damaged += x.disk->flip_bit(path, at + bytes->payload.size() / 2, 3);
    }
  }
  return damaged;
}

void fail(small_node& x) {
  x.network->behave("/out/1/", [](const fake_network::upload&) { return says::failed(); });
}

/// Nothing is left of the first `lost` events, nothing was delivered of them, and the job goes on.
void check_only_these_are_lost(small_node& x, std::uint64_t lost, std::uint64_t posted) {
  REQUIRE(empty_within(x, 120s));
  CHECK(x.account(1).set_aside == lost);
  REQUIRE(x.put(events(zone(1), posted, 5)).status == 200);
  REQUIRE(empty_within(x, 120s));
  x.pass(5min, 500ms);
  CHECK(x.delivered_text(1) == events(zone(1), lost, posted + 5 - lost));
  for (const auto& object : x.network->objects())
    CHECK(object.bytes.size() > 0);
  CHECK(x.account(1).delivered == posted + 5 - lost);
  CHECK(x.account(1).delivered_objects == x.network->objects().size());
  CHECK_FALSE(x.node().store().job(job_id{1})->open_cut);
  CHECK(x.balanced());
  CHECK(x.network->misuse().empty());
}

} // namespace

TEST_CASE("DSK-04: of a cut whose blocks are all damaged no object is made; its events are set aside and counted") {
  for (const bool restart : {false, true}) {
    CAPTURE(restart);
    small_node x{{{1, zone(1)}}};
    x.start();
    fail(x);
    REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
    x.pass(3s);
    REQUIRE(x.node().store().job(job_id{1})->open_cut);
    REQUIRE(damage_blocks(x, 1) == 1);
    if (restart) {
      x.crash(2);
      x.start();
    }
    x.network->behave("/out/1/", nullptr);
    check_only_these_are_lost(x, 20, 20);
  }
}

TEST_CASE("DSK-04: damage that is found while the object is being made ends the upload, and no object comes of it") {
  small_node x{{{1, zone(1)}}};
  x.start();
  REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
  REQUIRE(x.pump_until([&] { return x.network->started("/out/1/") == 1; }));
  REQUIRE(damage_blocks(x, 1) == 1);
  check_only_these_are_lost(x, 20, 20);
}

TEST_CASE("DSK-04: of a cut with one sound block the object holds that block") {
  small_node x{{{1, zone(1)}}};
  x.config.buffer.block_bytes = 300;
  x.start();
  fail(x);
  REQUIRE(x.put(events(zone(1), 0, 40)).status == 200);
  x.pass(3s);
  const auto blocks = x.node().store().blocks(job_id{1}, 100);
  REQUIRE(blocks.size() > 2);
  REQUIRE(x.node().store().job(job_id{1})->open_cut);
  REQUIRE(damage_blocks(x, 1, 1) == blocks.size() - 1);
  x.network->behave("/out/1/", nullptr);
  REQUIRE(empty_within(x, 120s));
  const auto sound = blocks[0].range.count;
  CHECK(x.delivered_text(1) == events(zone(1), 0, sound));
  CHECK(x.account(1).set_aside == 40 - sound);
  CHECK(x.account(1).delivered == sound);
  CHECK(x.network->objects().size() == 1);
  CHECK(x.balanced());
}

TEST_CASE("DSK-04: a block that goes bad under both halves of a split cut ends both without an object") {
  small_node x{{{1, zone(1)}}};
  x.start();
  x.network->then("/out/1/", {says::refused(400)});
  REQUIRE(x.put(events(zone(1), 0, 20)).status == 200);
  REQUIRE(x.pump_until([&] {
    const auto job = x.node().store().job(job_id{1});
    return job && job->open_cut && job->open_cut->replaced_by_size() == 2;
  }));
  REQUIRE(x.network->objects().empty());
  REQUIRE(damage_blocks(x, 1) == 1);
  check_only_these_are_lost(x, 20, 20);
}

TEST_CASE("PRC-08: what cannot be encoded is isolated by halves and set apart with its bytes; the rest is delivered") {
  small_node x{{{1, zone(1)}, {2, zone(2)}}};
  x.start();
  x.network->behave("/out/", [](const fake_network::upload&) { return says::failed(); });
  REQUIRE(x.put(events(zone(1), 0, 10) + events(zone(2), 0, 10)).status == 200);
  // A durable block that no encoder can read, as a fault in sealing would leave it.
  const auto before = x.node().store().job(job_id{1});
  REQUIRE(before);
  store::append_record poison;
  poison.kind = store::record_kind::block;
  poison.job = job_id{1};
  poison.range = {before->current, before->next, 1};
  poison.payload = std::make_shared<const std::string>("these bytes are no member");
  proto::BlockMeta meta;
  meta.set_raw_bytes(10);
  meta.set_revision(1);
  meta.set_received_first_ns(before->oldest_ns);
  meta.SerializeToString(&poison.meta);
  auto group = std::make_shared<record_group>();
  group->records.push_back(poison);
  caf::anon_send(x.node().roles().writer().actor, group);
  x.pass(100ms);
  REQUIRE(x.account(1).accepted == 11);
  x.crash(4);
  x.start(); // the shard goes on behind it
  REQUIRE(x.put(events(zone(1), 11, 10)).status == 200);
  x.network->behave("/out/", nullptr);
  REQUIRE(empty_within(x, 120s));
  CHECK(x.delivered_text(1) == events(zone(1), 0, 10) + events(zone(1), 11, 10));
  CHECK(x.delivered_text(2) == events(zone(2), 0, 10));
  CHECK(x.disorder(1, {11}) == "");
  CHECK(x.account(1).dead_lettered == 1);
  const auto letters = x.node().store().dead_letters(job_id{1}, 10);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].range.first == 11);
  const auto letter = x.node().store().read(job_id{1}, letters[0].range, true);
  REQUIRE(letter);
  CHECK(letter->payload == *poison.payload);
  CHECK(letter->meta.dead_reason().find("cannot be encoded") != std::string::npos);
  CHECK(x.network->started("/out/1/") < 60);
  CHECK(x.balanced());
}
