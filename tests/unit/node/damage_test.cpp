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
