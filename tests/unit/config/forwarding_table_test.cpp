#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>

#include "config/forwarding_table.hpp"

using namespace weir;

namespace {

const std::string zone_a = "78b85e002131f08b636e58bb814adc68";
const std::string zone_b = "0123456789abcdef0123456789abcdef";

forwarding_entry entry_of(std::uint64_t job) {
  return {job_id{job}, job * 7, static_cast<tenant_index>(job), static_cast<settings_index>(job)};
}

} // namespace

TEST_CASE("a scope is entitled in the dataset of its job and in no other") {
  forwarding_table_builder builder({scope_kind::zones, scope_kind::zones, scope_kind::accounts}, 3);
  REQUIRE(builder.add(0, scope_kind::zones, zone_a, entry_of(1)));
  REQUIRE(builder.add(0, scope_kind::zones, zone_a, entry_of(2)));
  REQUIRE(builder.add(2, scope_kind::accounts, zone_a, entry_of(3)));
  const auto table = std::move(builder).finish();

  const auto at = table.find(0, zone_a);
  REQUIRE_NE(at, not_entitled);
  REQUIRE_EQ(table.entries(at).size(), 2u);
  CHECK_EQ(number(table.entries(at).begin()[0].job), 1u);
  CHECK_EQ(number(table.entries(at).begin()[1].job), 2u);
  CHECK_EQ(table.entries(at).begin()[1].destination_fingerprint, 14u);
  CHECK_EQ(table.scope(at), "zones/" + zone_a);
  CHECK_EQ(table.dataset(at), 0);

  CHECK_EQ(table.find(1, zone_a), not_entitled);
  CHECK_EQ(table.find(0, zone_b), not_entitled);
  CHECK_EQ(table.find(7, zone_a), not_entitled);
  CHECK_EQ(table.find_scope(0, "zones/" + zone_a), at);
  CHECK_EQ(table.find_scope(0, "accounts/" + zone_a), not_entitled);
  CHECK_NE(table.find_scope(2, "accounts/" + zone_a), not_entitled);
  CHECK_EQ(table.find_scope(2, "zones/" + zone_a), not_entitled);
}

TEST_CASE("only the exact id is entitled") {
  forwarding_table_builder builder({scope_kind::zones}, 2);
  REQUIRE(builder.add(0, scope_kind::zones, "abc", entry_of(1)));
  REQUIRE(builder.add(0, scope_kind::zones, zone_a, entry_of(2)));
  const auto table = std::move(builder).finish();
  for (std::string_view other : {std::string_view{}, std::string_view{"ab"}, std::string_view{"abcd"},
                                 std::string_view{"ABC"}, std::string_view{"abc\0", 4}, std::string_view{"zones/abc"}})
    CHECK_EQ(table.find(0, other), not_entitled);
  CHECK_EQ(table.find(0, zone_a + "0"), not_entitled);
  CHECK_EQ(table.find(0, std::string(1'000'000, 'a')), not_entitled);
  CHECK_NE(table.find(0, "abc"), not_entitled);
}

TEST_CASE("an empty table entitles nobody") {
  const forwarding_table table;
  CHECK_EQ(table.find(0, zone_a), not_entitled);
  CHECK_EQ(table.find_scope(0, "zones/" + zone_a), not_entitled);
  CHECK_EQ(table.size(), 0u);
}

TEST_CASE("a table is refused whose scopes are not grouped, or of the wrong kind") {
  forwarding_table_builder builder({scope_kind::zones}, 3);
  REQUIRE(builder.add(0, scope_kind::zones, "a", entry_of(1)));
  REQUIRE(builder.add(0, scope_kind::zones, "b", entry_of(2)));
  CHECK_FALSE(builder.add(0, scope_kind::zones, "a", entry_of(3)));
  CHECK_FALSE(builder.add(0, scope_kind::accounts, "c", entry_of(4)));
  CHECK_FALSE(builder.add(1, scope_kind::zones, "c", entry_of(4)));
  CHECK_FALSE(builder.add(0, scope_kind::zones, "../c", entry_of(4)));
  CHECK_FALSE(builder.add(0, scope_kind::zones, zone_a + "0", entry_of(4)));
}

TEST_CASE("every scope of a large table is found, and nothing else") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::set<std::string> ids;
  while (ids.size() < 50'000) {
    std::string id;
    const auto size = 1 + random() % max_scope_id_bytes;
    while (id.size() < size)
      id += "0123456789abcdefABCDEF-_"[random() % 24];
    ids.insert(id);
  }
  forwarding_table_builder builder({scope_kind::zones, scope_kind::zones}, ids.size());
  std::uint64_t job = 0;
  std::set<std::string> in;
  for (const auto& id : ids) {
    if (random() % 2 == 0)
      continue;
    REQUIRE(builder.add(static_cast<dataset_index>(job % 2), scope_kind::zones, id, entry_of(job)));
    in.insert(id);
    ++job;
  }
  const auto table = std::move(builder).finish();
  CHECK_EQ(table.size(), in.size());
  std::uint64_t expected = 0;
  for (const auto& id : ids) {
    const auto even = table.find(0, id);
    const auto odd = table.find(1, id);
    if (in.count(id) == 0) {
      REQUIRE_EQ(even, not_entitled);
      REQUIRE_EQ(odd, not_entitled);
      continue;
    }
    const auto at = expected % 2 == 0 ? even : odd;
    REQUIRE_NE(at, not_entitled);
    REQUIRE_EQ(expected % 2 == 0 ? odd : even, not_entitled);
    REQUIRE_EQ(table.id(at), id);
    REQUIRE_EQ(number(table.entries(at).begin()->job), expected);
    ++expected;
  }
}

TEST_CASE("a scope is zones/ID or accounts/ID and nothing that could leave a path") {
  CHECK(parse_scope("zones/" + zone_a));
  CHECK_EQ(parse_scope("accounts/x")->kind, scope_kind::accounts);
  CHECK_EQ(parse_scope("accounts/x")->id, "x");
  for (std::string_view bad : {"", "zones", "zones/", "zone/a", "/zones/a", "zones/a/b", "zones/..", "zones/a b",
                               "zones/%2e%2e", "zones/a\\b", "ZONES/a", " zones/a", "zones/a\n", "zones/ä"})
    CHECK_FALSE_MESSAGE(parse_scope(bad), bad);
  CHECK_FALSE(parse_scope(std::string_view{"zones/a\0b", 9}));
  CHECK_FALSE(parse_scope("zones/" + std::string(1'000, 'a')));
}

TEST_CASE("the hash of a scope is the same in every version, for parts and owners follow from it") {
  CHECK_EQ(scope_hash(scope_kind::zones, zone_a), 1954716868451112771ull);
  CHECK_NE(scope_hash(scope_kind::zones, "a"), scope_hash(scope_kind::accounts, "a"));
}
