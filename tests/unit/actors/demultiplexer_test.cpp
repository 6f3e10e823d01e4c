#include "actors/demultiplexer.hpp"

#include <doctest/doctest.h>

#include "actors/body_router.hpp"
#include "tests/unit/actors/role_fixture.hpp"

using namespace weir;

namespace {

struct sorting {
  snapshot_maker make;
  std::shared_ptr<credit_window> memory = std::make_shared<credit_window>(credit_window::limits{1 << 20, 1'000});
  std::shared_ptr<tenant_shares> shares = std::make_shared<tenant_shares>(memory, 0.25);
  demultiplexer sorter{2, [](job_id job) { return number(job) % 2; }, memory, shares};
  body_router router{scan_limits{}};
  std::shared_ptr<body_fate> fate = std::make_shared<body_fate>();
  std::shared_ptr<routed_batch> routed = std::make_shared<routed_batch>();
  demultiplexer::result sorted;

  sorting& split(const std::string& text, const config_snapshot_ptr& forwarders, const config_snapshot_ptr& mine,
                 const config_snapshot_ptr& leaving = nullptr) {
    routed->origin = body_of(text, fate);
    routed->version = forwarders->version;
    routed->snapshot = forwarders;
    router.route(*routed->origin, *forwarders, *routed);
    sorted = sorter.split(*routed, mine, leaving);
    return *this;
  }
  /// What a job gets, as text.
  std::string of(std::uint64_t job) const {
    std::string text;
    for (const auto& [shard, slices] : sorted.batches)
      for (const auto& x : slices->slices)
        if (number(x.job) == job) {
          CHECK(shard == job % 2);
          std::uint32_t bytes = 0;
          for (auto i = x.first_line; i < x.first_line + x.lines; ++i) {
            text.append(slices->bytes->view().substr(slices->lines[i].offset, slices->lines[i].size)).append("\n");
            bytes += slices->lines[i].size + 1;
          }
          CHECK(x.bytes == bytes);
          CHECK(x.duty);
        }
    return text;
  }
};

std::string event_of(const std::string& zone, int n) {
  return R"({"ZoneID":")" + zone + R"(","n":)" + std::to_string(n) + "}\n";
}

} // namespace

TEST_CASE("each job of a scope gets the scope's lines, in order, at its shard") {
  sorting x;
  const auto snapshot = x.make({zone_job(1, "a"), zone_job(2, "b"), zone_job(4, "a")});
  x.split(event_of("b", 1) + event_of("a", 2) + event_of("b", 3) + event_of("a", 4), snapshot, snapshot);
  CHECK(x.of(1) == event_of("a", 2) + event_of("a", 4));
  CHECK(x.of(4) == x.of(1));
  CHECK(x.of(2) == event_of("b", 1) + event_of("b", 3));
  CHECK(x.sorted.slices == 3);
  CHECK(x.sorted.offered == 6);
  CHECK(x.sorted.batches.size() == 2);
}

TEST_CASE(
    "a receiver trusts no forwarder: what its own config does not entitle is refused, under whatever index it came") {
  sorting x;
  snapshot_maker older, newer;
  newer.version = config_version{2};
  const auto theirs = older({zone_job(1, "a"), zone_job(2, "b"), zone_job(3, "c")});
  const auto mine = newer({zone_job(3, "c"), zone_job(5, "b")});
  x.split(event_of("a", 1) + event_of("b", 2) + event_of("c", 3), theirs, mine);
  CHECK(x.sorted.not_entitled == 1);
  CHECK(x.of(1) == "");
  CHECK(x.of(2) == "");
  CHECK(x.of(5) == event_of("b", 2));
  CHECK(x.of(3) == event_of("c", 3));

  // A forged index of the right version names another scope than the lines are of.
  sorting y;
  y.split(event_of("a", 1), theirs, theirs);
  y.routed->groups[0].entry = (y.routed->groups[0].entry + 1) % 3;
  const auto again = y.sorter.split(*y.routed, theirs);
  REQUIRE(again.batches.size() == 1);
  CHECK(again.batches[0].second->slices[0].job == job_id{1});
  y.routed->groups[0].entry = 0xffff'fff0;
  CHECK(y.sorter.split(*y.routed, theirs).slices == 1);
}

TEST_CASE("while a config is rolled out, what it adds counts at once and what it removes still counts") {
  sorting x;
  snapshot_maker older, newer;
  newer.version = config_version{2};
  const auto before = older({zone_job(1, "a"), zone_job(2, "b"), zone_job(3, "c"), zone_job(4, "c", {"n"})});
  const auto after = newer({zone_job(3, "c"), zone_job(5, "b"), zone_job(6, "d")});
  // A forwarder that has the old one.
  x.split(event_of("a", 1) + event_of("b", 2) + event_of("c", 3), before, after, before);
  CHECK(x.sorted.not_entitled == 0);
  CHECK(x.sorted.offered == 5);
  CHECK(x.of(1) == event_of("a", 1));
  CHECK(x.of(2) == event_of("b", 2));
  CHECK(x.of(5) == event_of("b", 2));
  CHECK(x.of(3) == event_of("c", 3));
  CHECK(x.of(4) == "{\"n\":3}\n");
  // One that has the new one, and one that lets everybody pass.
  sorting y;
  y.split(event_of("c", 3) + event_of("d", 4), after, after, before);
  CHECK(y.of(6) == event_of("d", 4));
  CHECK(y.of(4) == "{\"n\":3}\n");
  sorting z;
  snapshot_maker anybody;
  anybody.version = config_version{9};
  z.split(event_of("a", 1) + event_of("e", 2), anybody({zone_job(1, "a"), zone_job(9, "e")}), after, before);
  CHECK(z.sorted.not_entitled == 1);
  CHECK(z.of(1) == event_of("a", 1));
}

TEST_CASE("a job with field_names gets these fields in this order; others get the bytes that came") {
  sorting x;
  const auto snapshot = x.make({zone_job(1, "a", {"n", "missing"}), zone_job(2, "a"), zone_job(3, "b", {"ZoneID"})});
  x.split(event_of("a", 1) + event_of("b", 2) + event_of("a", 3), snapshot, snapshot);
  CHECK(x.of(1) == "{\"n\":1,\"missing\":null}\n{\"n\":3,\"missing\":null}\n");
  CHECK(x.of(2) == event_of("a", 1) + event_of("a", 3));
  CHECK(x.of(3) == "{\"ZoneID\":\"b\"}\n");
  CHECK(x.memory->used().bytes > 0); // the copy is paid for as long as somebody holds it
  x.sorted = {};
  CHECK(x.memory->used().bytes == 0);
}

TEST_CASE("without memory for a rendered copy only the jobs that need one are turned away, for now") {
  sorting x;
  const auto snapshot = x.make({zone_job(1, "a", {"n"}), zone_job(2, "a")});
  const auto taken = credit::acquire(x.memory, 1 << 20);
  // Shares are contended now, too: the tenant's own is large enough.
  x.split(event_of("a", 1) + event_of("a", 3), snapshot, snapshot);
  CHECK(x.of(1) == "");
  CHECK(x.of(2) == event_of("a", 1) + event_of("a", 3));
  CHECK(x.sorted.slices == 1);
  x.sorted = {};
  x.routed->origin->root.settle();
  REQUIRE(x.fate->done);
  CHECK(x.fate->outcome.shed[static_cast<std::size_t>(shed_reason::memory)] == 2);
  CHECK(x.fate->outcome.retry_scopes == std::vector<std::string>{"a"});
}

TEST_CASE("beyond its tenant's share of contended memory a slice is turned away, and another tenant's is not") {
  sorting x;
  const auto snapshot = x.make({zone_job(1, "a"), zone_job(2, "b")});
  const auto taken = credit::acquire(x.memory, (1 << 20) / 2);
  credit held;
  const auto tenant = snapshot->table.entries(snapshot->table.find(0, "a")).begin()->tenant;
  REQUIRE(x.shares->admit(snapshot->version, tenant, (1 << 20) / 4, held));
  x.split(event_of("a", 1) + event_of("b", 2), snapshot, snapshot);
  CHECK(x.of(1) == "");
  CHECK(x.of(2) == event_of("b", 2));
  x.sorted = {};
  x.routed->origin->root.settle();
  CHECK(x.fate->outcome.shed[static_cast<std::size_t>(shed_reason::tenant_share)] == 1);
}

TEST_CASE("a slice that dies on its way fails the body") {
  sorting x;
  const auto snapshot = x.make({zone_job(1, "a")});
  x.split(event_of("a", 1), snapshot, snapshot);
  x.routed->origin->root.settle();
  CHECK_FALSE(x.fate->done);
  x.sorted = {};
  REQUIRE(x.fate->done);
  CHECK(x.fate->outcome.failed);
}
