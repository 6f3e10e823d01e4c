#include <doctest/doctest.h>

#include <map>

#include "tests/unit/store/store_fixture.hpp"

using namespace weir;
using namespace weir::store;

namespace {

/// The account of one body, as the intake writes it: (kind, events) of its sender.
append_record account(const std::map<ledger_entry::kind, std::uint64_t>& lines) {
  proto::BodyAccount x;
  for (const auto& [kind, events] : lines) {
    auto* delta = x.add_deltas();
    delta->set_sender("dev");
    delta->set_kind(static_cast<std::uint32_t>(kind));
    delta->set_events(events);
  }
  return {record_kind::ledger, {}, {}, x.SerializeAsString(), nullptr};
}

using kind = ledger_entry::kind;

} // namespace

TEST_CASE_FIXTURE(store_fixture,
                  "a body that has to be sent again is accounted apart, across power cut and checkpoint") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({account({{kind::received, 10}, {kind::turned_back, 10}})}));
  REQUIRE_FALSE(store->append({account({{kind::received, 10}, {kind::not_entitled, 3}, {kind::offered, 7}})}));
  const auto holds = [&] {
    const auto dev = store->ledger().senders.at("dev");
    CHECK_EQ(dev.received, 20u);
    CHECK_EQ(dev.turned_back, 10u);
    CHECK_EQ(dev.offered, 7u);
    CHECK(dev.balances());
    CHECK(store->ledger().balances());
  };
  holds();
  crash(5);
  REQUIRE_FALSE(try_open());
  holds();
  REQUIRE_FALSE(store->close()); // writes a checkpoint, from which the next start takes everything
  REQUIRE_FALSE(try_open());
  holds();
}

TEST_CASE_FIXTURE(store_fixture, "an account that loses a line on its way does not balance") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({account({{kind::received, 10}, {kind::offered, 9}})}));
  CHECK_FALSE(store->ledger().senders.at("dev").balances());
  CHECK_FALSE(store->ledger().balances());
}

TEST_CASE_FIXTURE(store_fixture, "of what is buffered the ledger says what an open cut holds") {
  REQUIRE_FALSE(try_open());
  REQUIRE_FALSE(store->append({make::block(7, 100, 1, 3, "abc"), make::block(7, 100, 4, 2, "de")}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).leased, 0u);
  auto cut = make::cut_of("a.log.gz", 100, 1, 3);
  REQUIRE_FALSE(store->append({make::cut(7, cut)}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).leased, 3u);
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).buffered, 5u);
  // The destination refused it: split in two, and the first half delivered.
  *cut.add_replaced_by() = make::cut_of("b.log.gz", 100, 1, 2);
  *cut.add_replaced_by() = make::cut_of("c.log.gz", 100, 3, 1);
  REQUIRE_FALSE(store->append({make::cut(7, cut)}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).leased, 3u);
  REQUIRE_FALSE(store->append({make::commit(7, 100, 1, 2)}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).leased, 1u);
  REQUIRE_FALSE(store->append({make::commit(7, 100, 3, 1)}));
  CHECK_EQ(store->ledger().jobs.at(job_id{7}).leased, 0u);
  CHECK(store->ledger().balances());
}

TEST_CASE_FIXTURE(store_fixture, "a ledger of many jobs, copied in steps, has each of them once") {
  REQUIRE_FALSE(try_open());
  constexpr std::uint64_t jobs = 10'000; // more than two steps
  for (std::uint64_t from = 0; from < jobs; from += 500) {
    std::vector<append_record> group;
    for (auto i = from; i < from + 500; ++i)
      group.push_back(make::block(jobs - i, 100, 1, 2, "ab"));
    REQUIRE_FALSE(store->append(group));
  }
  const auto all = store->ledger();
  CHECK_EQ(all.jobs.size(), jobs);
  std::uint64_t accepted = 0;
  for (const auto& x : all.jobs)
    accepted += x.second.accepted;
  CHECK_EQ(accepted, 2 * jobs);
}
