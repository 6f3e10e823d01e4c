#include "actors/body_router.hpp"

#include <doctest/doctest.h>

#include "tests/unit/actors/role_fixture.hpp"

using namespace weir;

namespace {

struct routing {
  snapshot_maker make{config_version{1}, {{"acme", {"a", "b"}}}};
  config_snapshot_ptr snapshot = make({zone_job(1, "a"), zone_job(2, "b"), zone_job(3, "c"), zone_job(4, "a")});
  body_router router{scan_limits{}};
  std::shared_ptr<body_fate> fate = std::make_shared<body_fate>();
  std::shared_ptr<batch> body;
  routed_batch routed;
  body_router::result counts;

  routing& route(const std::string& text, const std::string& scope = "", sender from = {"dev", true, {}},
                 bool strict = false) {
    body = body_of(text, fate, {}, scope, std::make_shared<const sender>(std::move(from)));
    body->strict = strict;
    routed = {};
    counts = router.route(*body, *snapshot, routed);
    return *this;
  }
  /// The lines of a group as text.
  std::string lines(std::size_t group) const {
    std::string text;
    const auto& x = routed.groups[group];
    for (auto i = x.first_line; i < x.first_line + x.lines; ++i)
      text.append(body->bytes->view().substr(routed.lines[i].offset, routed.lines[i].size)).append(" ");
    return text;
  }
  const receipt_outcome& settled() {
    body->root.settle();
    REQUIRE(fate->done);
    return fate->outcome;
  }
};

std::string event_of(const std::string& zone, int n) {
  return R"({"ZoneID":")" + zone + R"(","n":)" + std::to_string(n) + "}\n";
}
std::string shown(const std::string& zone, int n) {
  auto text = event_of(zone, n);
  text.back() = ' ';
  return text;
}

} // namespace

TEST_CASE("lines are grouped by scope, groups in the order of their first line, lines in the body's order") {
  routing x;
  x.route(event_of("b", 1) + event_of("a", 2) + event_of("b", 3) + "\n" + event_of("c", 4) + event_of("a", 5));
  REQUIRE(x.routed.groups.size() == 3);
  CHECK(x.routed.groups[0].scope == "b");
  CHECK(x.lines(0) == shown("b", 1) + shown("b", 3));
  CHECK(x.lines(1) == shown("a", 2) + shown("a", 5));
  CHECK(x.lines(2) == shown("c", 4));
  CHECK(x.counts.received == 5);
  CHECK(x.counts.offered == 5);
  CHECK(x.settled().received == 5);
}

TEST_CASE("the router may be used for body after body, under one config after the other") {
  routing x;
  for (int i = 0; i < 50; ++i) {
    x.route(event_of(i % 2 == 0 ? "a" : "c", i) + event_of("b", i));
    CHECK(x.lines(0) == shown(i % 2 == 0 ? "a" : "c", i));
    CHECK(x.lines(1) == shown("b", i));
    if (i % 7 == 6)
      x.snapshot = x.make(i % 2 == 0 ? std::vector<job>{zone_job(9, "b"), zone_job(8, "c"), zone_job(7, "a")}
                                     : std::vector<job>{zone_job(1, "a"), zone_job(2, "b"), zone_job(3, "c")});
    x.fate = std::make_shared<body_fate>();
  }
}

TEST_CASE("events of a scope without a job are dropped and counted, never named") {
  routing x;
  x.route(event_of("stranger", 1) + event_of("a", 2) + event_of("stranger", 3) + event_of("other", 4));
  CHECK(x.routed.groups.size() == 1);
  CHECK(x.counts.not_entitled == 3);
  const auto& outcome = x.settled();
  CHECK(outcome.not_entitled == 3);
  CHECK(outcome.first_rejected.empty());
  for (const auto& entry : x.fate->entries)
    CHECK(entry.job == job_id{});
}

TEST_CASE("with the scope in the path no event needs to say it, and none is believed that says another") {
  routing x;
  x.route("{\"n\":1}\n" + event_of("b", 2), "zones/a");
  REQUIRE(x.routed.groups.size() == 1);
  CHECK(x.routed.groups[0].scope == "a");
  CHECK(x.lines(0) == "{\"n\":1} " + shown("b", 2));
  routing y;
  y.route("{\"n\":1}\n{\"n\":2}\n", "zones/nobody");
  CHECK(y.counts.not_entitled == 2);
}

TEST_CASE("a token may send for its scopes and for the zones of its accounts, for no other") {
  const auto body = event_of("a", 1) + event_of("c", 2) + event_of("b", 3) + event_of("stranger", 4);
  routing x;
  x.route(body, "", {"t", false, {"accounts/acme"}});
  REQUIRE(x.routed.groups.size() == 2);
  CHECK(x.routed.groups[0].scope == "a");
  CHECK(x.routed.groups[1].scope == "b");
  const auto& outcome = x.settled();
  CHECK(outcome.rejected[static_cast<std::size_t>(reject_reason::scope_forbidden)] == 2);
  REQUIRE(outcome.first_rejected.size() == 2);
  CHECK(outcome.first_rejected[0].line == 2);
  CHECK(outcome.first_rejected[1].line == 4); // whether a stranger has a job is not told either
  CHECK(outcome.not_entitled == 0);
  CHECK(outcome.received == 4);

  routing y;
  y.route(body, "", {"t", false, {"zones/c"}});
  REQUIRE(y.routed.groups.size() == 1);
  CHECK(y.routed.groups[0].scope == "c");
  routing z;
  z.route("{\"n\":1}\n", "zones/a", {"t", false, {"zones/c"}});
  CHECK(z.routed.groups.empty());
  CHECK(z.counts.rejected == 1);
  routing none;
  none.route(body, "", {"t", false, {}});
  CHECK(none.counts.rejected == 4);
  CHECK(none.routed.lines.empty());
}

TEST_CASE("bad lines are named with their number and the good ones pass") {
  routing x;
  x.route(event_of("a", 1) + "garbage\n\n" + event_of("b", 2) + "{\"n\":1}\n" + event_of("a", 3));
  CHECK(x.counts.offered == 3);
  CHECK(x.counts.rejected == 2);
  const auto& outcome = x.settled();
  REQUIRE(outcome.first_rejected.size() == 2);
  CHECK(outcome.first_rejected[0].line == 2);
  CHECK(outcome.first_rejected[0].reason == reject_reason::not_json);
  CHECK(outcome.first_rejected[1].line == 5);
  CHECK(outcome.first_rejected[1].reason == reject_reason::no_scope);
}

TEST_CASE("a strict body with one bad or forbidden line offers nothing, and every line is accounted for") {
  for (const auto& bad : {std::string{"garbage\n"}, event_of("c", 9)}) {
    routing x;
    x.route(event_of("a", 1) + bad + event_of("stranger", 2) + event_of("b", 3), "",
            {"t", false, {"accounts/acme", "zones/stranger"}}, true);
    CHECK(x.routed.groups.empty());
    CHECK(x.counts.rejected == 4);
    const auto& outcome = x.settled();
    CHECK(outcome.received == 4);
    CHECK(outcome.total_rejected() == 4);
    CHECK(outcome.rejected[static_cast<std::size_t>(reject_reason::refused_with_body)] == 3);
    CHECK(outcome.not_entitled == 0);
  }
  routing good;
  good.route(event_of("a", 1) + event_of("b", 3), "", {"dev", true, {}}, true);
  CHECK(good.counts.offered == 2);
}

TEST_CASE("what the sender's account is told adds up: received = rejected + not entitled + offered") {
  routing x;
  x.route(event_of("a", 1) + "garbage\n" + event_of("stranger", 2) + event_of("c", 3) + event_of("b", 4), "",
          {"t", false, {"accounts/acme", "zones/stranger"}});
  x.settled();
  std::uint64_t received = 0, rest = 0;
  for (const auto& entry : x.fate->entries)
    (entry.what == ledger_entry::kind::received ? received : rest) += entry.events;
  CHECK(received == 5);
  CHECK(rest == 5);
}
