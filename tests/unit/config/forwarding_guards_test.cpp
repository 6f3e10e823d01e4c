#include "config/forwarding_guards.hpp"

#include <doctest/doctest.h>

#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

const guard_settings by_default;

guard_verdict judged(const job_list& before, const job_list& after, guard_facts facts = {}) {
  return judge(by_default, facts, made_of(before, 17).get(), nullptr, *made_of(after, 18));
}

job_list without(job_list jobs, std::uint64_t first, std::uint64_t last) {
  for (auto id = first; id <= last; ++id)
    jobs.erase(id);
  return jobs;
}

job_list moved(job_list jobs, std::uint64_t first, std::uint64_t last) {
  for (auto id = first; id <= last; ++id)
    jobs[id].destination = "https://elsewhere.example/" + std::to_string(id);
  return jobs;
}

guard_facts with_bytes(std::map<std::uint64_t, std::uint64_t> bytes) {
  guard_facts facts;
  for (const auto& [id, x] : bytes)
    facts.total_bytes += x;
  facts.bytes_of = [bytes](job_id id) {
    const auto found = bytes.find(number(id));
    return found == bytes.end() ? 0 : found->second;
  };
  return facts;
}

#define CHECK_VERDICT(verdict, an_outcome, a_reason)                 \
  do {                                                               \
    const auto given = verdict;                                      \
    CHECK_MESSAGE(name_of(given.outcome) == an_outcome, given.text); \
    CHECK_MESSAGE(name_of(given.reason) == a_reason, given.text);    \
    CHECK_EQ(given.text.empty(), given.pass());                      \
  } while (false)

} // namespace

TEST_CASE("CFG-01 (c): a config without entitled entries is refused, whoever approved it") {
  const auto in_force = made_of(plain_jobs(100), 17);
  auto all_held = plain_jobs(100);
  auto all_off = plain_jobs(100);
  for (auto& [id, x] : all_held)
    x.on_hold_since = 1'700'000'000;
  for (auto& [id, x] : all_off)
    x.enabled = false;
  for (const auto& empty : {job_list{}, all_held, all_off}) {
    const auto candidate = made_of(empty, 18);
    guard_facts facts;
    facts.approved = approval_hash(in_force->content, candidate->content);
    facts.explained = [](job_id) { return true; };
    const auto verdict = judge(by_default, facts, in_force.get(), in_force.get(), *candidate);
    CHECK_VERDICT(verdict, "refused", "zero_entries");
    CHECK_NE(verdict.text.find("version 18"), std::string::npos);
    CHECK_NE(verdict.text.find("version 17"), std::string::npos);
    CHECK_VERDICT(judge(by_default, facts, nullptr, nullptr, *candidate), "refused", "zero_entries");
  }
}

TEST_CASE("CFG-03: a config without 90, 50 or 15 % of the customers is held, and one without 10 % is not") {
  const auto jobs = plain_jobs(200);
  for (const std::uint64_t gone : {180u, 100u, 30u, 21u}) {
    const auto verdict = judged(jobs, without(jobs, 1, gone));
    CHECK_VERDICT(verdict, "held", "shrunk");
    CHECK_NE(verdict.text.find(std::to_string(gone) + " of 200 entries"), std::string::npos);
    CHECK_NE(verdict.text.find("version 17"), std::string::npos);
    CHECK_NE(verdict.text.find("version 18"), std::string::npos);
    CHECK_NE(verdict.text.find("weir config approve"), std::string::npos);
  }
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 20)), "pass", "none");
}

TEST_CASE("CFG-03: a customer that goes on hold counts as removed, and one whose owner switched it off too") {
  const auto jobs = plain_jobs(200);
  auto held = jobs;
  auto off = jobs;
  for (std::uint64_t id = 1; id <= 21; ++id) {
    held[id].on_hold_since = 1'700'000'000;
    off[id].enabled = false;
  }
  CHECK_VERDICT(judged(jobs, held), "held", "shrunk");
  CHECK_VERDICT(judged(jobs, off), "held", "shrunk");
  CHECK_VERDICT(judged(held, jobs), "pass", "none"); // 21 of 179 come back
}

TEST_CASE("CFG-03: a config without the single biggest customer by bytes is held") {
  const auto jobs = plain_jobs(100);
  const auto facts = with_bytes({{1, 300}, {2, 100}, {3, 600}, {4, 50}});
  CHECK_VERDICT(judged(jobs, without(jobs, 3, 3), facts), "held", "shrunk_bytes");
  CHECK_VERDICT(judged(jobs, without(jobs, 4, 4), facts), "pass", "none");
  CHECK_VERDICT(judged(jobs, moved(jobs, 1, 1), facts), "held", "moved_bytes");
  CHECK_NE(judged(jobs, without(jobs, 3, 3), facts).text.find("57.1 % of yesterday's bytes"), std::string::npos);
  auto held = jobs;
  held[3].on_hold_since = 1'700'000'000;
  CHECK_VERDICT(judged(held, jobs, facts), "held", "grown_bytes");
  // Few jobs: each of them is a large part of the bytes.
  CHECK_VERDICT(judged(plain_jobs(10), without(plain_jobs(10), 3, 3), facts), "pass", "none");
}

TEST_CASE("CFG-04: a config grown 40 times is held, and one grown by a quarter is not") {
  const auto jobs = plain_jobs(100);
  const auto verdict = judged(jobs, plain_jobs(4'000));
  CHECK_VERDICT(verdict, "held", "grown");
  CHECK_NE(verdict.text.find("3900 of 100 entries"), std::string::npos);
  CHECK_VERDICT(judged(jobs, plain_jobs(126)), "held", "grown");
  CHECK_VERDICT(judged(jobs, plain_jobs(125)), "pass", "none");
}

TEST_CASE("CFG-04: a config that needs more buffers than there are is held, the first one refused") {
  guard_facts facts;
  facts.capacity = 120;
  CHECK_VERDICT(judged(plain_jobs(100), plain_jobs(120), facts), "pass", "none");
  CHECK_VERDICT(judged(plain_jobs(100), plain_jobs(121), facts), "held", "beyond_capacity");
  auto held = plain_jobs(121);
  held[1].on_hold_since = 1'700'000'000;
  CHECK_VERDICT(judged(plain_jobs(100), held, facts), "held", "beyond_capacity");
  // What is beyond it already may go on, and shrink.
  CHECK_VERDICT(judged(plain_jobs(130), plain_jobs(129), facts), "pass", "none");
  for (const auto* in_force : {static_cast<const config_snapshot*>(nullptr)}) {
    CHECK_VERDICT(judge(by_default, facts, in_force, nullptr, *made_of(plain_jobs(120), 1)), "pass", "none");
    CHECK_VERDICT(judge(by_default, facts, in_force, nullptr, *made_of(plain_jobs(121), 1)), "refused",
                  "beyond_capacity");
  }
  const auto nothing = made_of({}, 0);
  CHECK_VERDICT(judge(by_default, facts, nothing.get(), nullptr, *made_of(plain_jobs(120), 1)), "pass", "none");
}

TEST_CASE("a config that sends more than a tenth of the customers elsewhere is held") {
  const auto jobs = plain_jobs(200);
  CHECK_VERDICT(judged(jobs, moved(jobs, 1, 20)), "pass", "none");
  CHECK_VERDICT(judged(jobs, moved(jobs, 1, 21)), "held", "moved");
}

TEST_CASE("up to ten changes are free, however few jobs there are") {
  CHECK_VERDICT(judged(plain_jobs(12), without(plain_jobs(12), 1, 10)), "pass", "none");
  CHECK_VERDICT(judged(plain_jobs(12), without(plain_jobs(12), 1, 11)), "held", "shrunk");
  CHECK_VERDICT(judged(plain_jobs(1), plain_jobs(11)), "pass", "none");
  CHECK_VERDICT(judged(plain_jobs(1), plain_jobs(12)), "held", "grown");
}

TEST_CASE("small steps within an hour add up to a large one") {
  const auto hour_ago = plain_jobs(200);
  const auto in_force = without(hour_ago, 1, 15);
  const auto candidate = without(hour_ago, 1, 30);
  const auto verdict =
      judge(by_default, {}, made_of(in_force, 17).get(), made_of(hour_ago, 9).get(), *made_of(candidate, 18));
  CHECK_VERDICT(verdict, "held", "shrunk");
  CHECK(verdict.against_hour_ago);
  CHECK_NE(verdict.text.find("version 9"), std::string::npos);
  CHECK_VERDICT(judged(in_force, candidate), "pass", "none");
}

TEST_CASE("changes that an audit row explains count in no share") {
  const auto jobs = plain_jobs(200);
  guard_facts facts;
  facts.explained = [](job_id id) { return number(id) <= 30; };
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 30), facts), "pass", "none");
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 51), facts), "held", "shrunk"); // 21 unexplained
  guard_facts counted;
  counted.explained_count = 30;
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 50), counted), "pass", "none");
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 51), counted), "held", "shrunk");
}

TEST_CASE("a number of explained changes is believed up to the rate and no further") {
  const auto jobs = plain_jobs(5'000);
  guard_facts facts;
  facts.explained_count = 1'000'000;
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 1'500), facts), "pass", "none");
  CHECK_VERDICT(judged(jobs, without(jobs, 1, 1'501), facts), "held", "shrunk");
  facts.explained_count_hour = 1'000'000;
  const auto before = made_of(jobs, 17);
  const auto hour_ago = made_of(jobs, 9); // the same: not judged twice
  CHECK_FALSE(
      judge(by_default, facts, before.get(), hour_ago.get(), *made_of(without(jobs, 1, 1'501), 18)).against_hour_ago);
}

TEST_CASE("CFG-08: exactly the approved change passes, and no other") {
  const auto jobs = plain_jobs(200);
  const auto in_force = made_of(jobs, 17);
  const auto candidate = made_of(without(jobs, 1, 100), 18);
  const auto other = made_of(without(jobs, 1, 101), 18);
  guard_facts facts;
  facts.capacity = 10;
  facts.approved = approval_hash(in_force->content, candidate->content);
  const auto verdict = judge(by_default, facts, in_force.get(), in_force.get(), *candidate);
  CHECK_VERDICT(verdict, "pass", "none");
  CHECK(verdict.by_approval);
  CHECK_VERDICT(judge(by_default, facts, in_force.get(), nullptr, *other), "held", "shrunk");
  CHECK_VERDICT(judge(by_default, facts, made_of(plain_jobs(201), 17).get(), nullptr, *candidate), "held", "shrunk");
  CHECK_FALSE(judge(by_default, facts, in_force.get(), nullptr, *in_force).by_approval);
  CHECK(approval_hash(in_force->content, other->content) != facts.approved);
  CHECK(approval_hash(candidate->content, in_force->content) != facts.approved);
}

TEST_CASE("a role judges tables without settings in the same way") {
  const auto jobs = plain_jobs(200);
  const auto in_force = table_only(*made_of(jobs, 17));
  CHECK_VERDICT(judge(by_default, {}, in_force.get(), nullptr, *table_only(*made_of(without(jobs, 1, 21), 18))), "held",
                "shrunk");
  CHECK_VERDICT(judge(by_default, {}, in_force.get(), nullptr, *table_only(*made_of(moved(jobs, 1, 21), 18))), "held",
                "moved");
  CHECK_VERDICT(judge(by_default, {}, in_force.get(), nullptr, *table_only(*made_of(plain_jobs(260), 18))), "held",
                "grown");
}

TEST_CASE("an approval's hash is read back from its text") {
  const auto hash = approval_hash({}, {});
  content_hash back{};
  CHECK_EQ(hex_text(hash).size(), 64u);
  CHECK(parse_hex(hex_text(hash), back));
  CHECK(back == hash);
  for (const auto& bad : {std::string{}, std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g')})
    CHECK_FALSE(parse_hex(bad, back));
}

TEST_CASE("owners may change so many of their jobs a minute, each and all together") {
  guard_settings settings;
  settings.explained_per_tenant_per_minute = 100;
  settings.explained_per_minute = 250;
  explained_rates rates(settings);
  auto now = std::chrono::steady_clock::time_point{10h};
  CHECK_EQ(rates.take("a", 60, now), 60u);
  CHECK_EQ(rates.take("a", 60, now), 40u);
  CHECK_EQ(rates.take("a", 1, now), 0u);
  CHECK_EQ(rates.take("b", 1'000, now), 100u);
  CHECK_EQ(rates.take("c", 100, now), 50u);
  CHECK_EQ(rates.take("d", 100, now), 0u);
  CHECK_EQ(rates.tenants(), 3u);
  now += 30s;
  CHECK_EQ(rates.take("a", 60, now), 50u);
  CHECK_EQ(rates.take("d", 100, now), 75u);
  now += 2min;
  CHECK_EQ(rates.take("d", 1'000, now), 100u);
  CHECK_EQ(rates.tenants(), 1u);
}
