#include <doctest/doctest.h>

#include "tests/unit/store/store_fixture.hpp"

using namespace weir;
using namespace weir::store;

TEST_CASE_FIXTURE(store_fixture, "what was appended is there after a power cut, and reads back as it was") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    store_fixture x;
    REQUIRE_FALSE(x.try_open());
    REQUIRE_FALSE(
        x.store->append({make::block(7, 100, 1, 3, "abc"), make::block(8, 100, 1, 2, std::string(9000, 'x'))}));
    REQUIRE_FALSE(x.store->append({make::block(7, 100, 4, 2, "de")}));
    x.crash(seed);
    CAPTURE(seed);
    REQUIRE_FALSE(x.try_open());
    auto blocks = x.store->blocks(job_id{7}, 10);
    REQUIRE_EQ(blocks.size(), 2u);
    CHECK(blocks[1].range == sequence_range{generation{100}, 4, 2});
    auto bytes = x.store->read(job_id{7}, blocks[0].range);
    REQUIRE(bytes);
    CHECK_EQ(bytes->payload, "abc");
    bytes = x.store->read(job_id{8}, {generation{100}, 1, 2});
    REQUIRE(bytes);
    CHECK_EQ(bytes->payload, std::string(9000, 'x'));
    auto state = x.store->job(job_id{7});
    REQUIRE(state);
    CHECK_EQ(state->next, 6u);
    CHECK_EQ(state->buffered_events, 5u);
    CHECK(x.store->ledger().balances());
    CHECK_EQ(x.store->ledger().jobs.at(job_id{7}).accepted, 5u);
  }
}

TEST_CASE_FIXTURE(store_fixture, "a commit removes what it delivered and closes the cut") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc"), make::block(7, 100, 4, 2, "de")}));
  REQUIRE_FALSE(store->append({make::cut(7, make::cut_of("a.log.gz", 100, 1, 3))}));
  REQUIRE(store->job(job_id{7})->open_cut);
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 3)}));
  CHECK_FALSE(store->job(job_id{7})->open_cut);
  crash(3);
  REQUIRE_FALSE(try_open());
  CHECK_FALSE(store->job(job_id{7})->open_cut);
  CHECK_EQ(store->blocks(job_id{7}, 10).size(), 1u);
  auto account = store->ledger().jobs.at(job_id{7});
  CHECK_EQ(account.delivered, 3u);
  CHECK_EQ(account.delivered_objects, 1u);
  CHECK_EQ(account.buffered, 2u);
}
