#include "apps/audit.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/audit_books.hpp"
#include "apps/audit_command.hpp"
#include "drills/generate_events.hpp"
#include "drills/generate_receipts.hpp"
#include "store/gzip_member.hpp"

using namespace weir;
using namespace weir::audit;
using weir::generate::acknowledged_body;
using weir::generate::event_generator;
using weir::generate::traffic;
using weir::generate::zone_id;

namespace {

constexpr generation first_generation{100}, second_generation{200};

/// Files as a node would have delivered them, and the audit of them.
struct delivery {
  delivery() {
    char text[] = "/tmp/weir-audit-XXXXXX";
    REQUIRE(mkdtemp(text));
    path = text;
  }
  ~delivery() { std::filesystem::remove_all(path); }

  std::string member(job_id job, generation g, sequence first, const std::vector<std::uint64_t>& counters) {
    std::string events;
    for (const auto counter : counters)
      sender.append(counter, events);
    return sealer.seal_run({job, {g, first, counters.size()}}, events);
  }

  void write(const std::string& name, const std::string& bytes) {
    const auto full = std::filesystem::path{path} / name;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream{full, std::ios::binary} << bytes;
  }

  /// One object a job: all events of its zone among `counters`, in order.
  void deliver_zones(std::uint64_t zones, std::uint64_t counters, const std::set<std::uint64_t>& but = {}) {
    for (std::uint64_t rank = 0; rank < zones; ++rank) {
      std::vector<std::uint64_t> mine;
      for (std::uint64_t counter = 0; counter < counters; ++counter)
        if (sender.zone_rank(counter) == rank && but.count(counter) == 0)
          mine.push_back(counter);
      if (!mine.empty())
        write(fmt::format("{}/x.log.gz", rank), member(job_id{rank + 1}, first_generation, 1, mine));
    }
  }

  /// What an honest node would answer to a body if the first `entitled` zones have a job each.
  acknowledged_body body(std::uint64_t first, std::uint64_t count, std::uint64_t entitled) const {
    acknowledged_body result;
    result.key = fmt::format("1-r-{}", first);
    result.first = first;
    result.count = count;
    for (auto counter = first; counter < first + count; ++counter)
      ++(sender.zone_rank(counter) < entitled ? result.accepted : result.not_entitled);
    return result;
  }

  std::string receipts(const std::vector<acknowledged_body>& bodies) {
    const auto name = path + ".receipts";
    std::filesystem::remove(name);
    generate::receipt_writer writer{name, sender.what()};
    for (const auto& b : bodies)
      writer.write(b);
    return name;
  }

  struct verdict {
    report result;
    std::vector<missing_event> missing;
  };

  verdict audit(const std::vector<acknowledged_body>& bodies = {}, std::uint64_t known_zones = 0) {
    verdict v;
    auditor books;
    for (std::uint64_t rank = 0; rank < known_zones; ++rank)
      books.expect_zone(zone_id(rank));
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{path})
      if (entry.is_regular_file())
        files.push_back(entry.path());
    for (const auto& file : files)
      books.read_object(file);
    if (!bodies.empty()) {
      const auto name = receipts(bodies);
      books.read_receipts(name, [&](const missing_event& m) { v.missing.push_back(m); });
      std::filesystem::remove(name);
    }
    v.result = books.finish();
    return v;
  }

  std::string path;
  event_generator sender{{1, 10, 0}};
  store::member_sealer sealer;
};

} // namespace

TEST_CASE_FIXTURE(delivery, "objects without gaps and doubles are clean, and are counted by job") {
  write("a/1.log.gz", member(job_id{5}, first_generation, 1, {0, 1, 2}) + member(job_id{5}, first_generation, 4, {3}));
  write("a/2.log.gz", member(job_id{5}, first_generation, 5, {4, 5}));
  write("b/1.log.gz", member(job_id{6}, first_generation, 1, {6}));
  write("b/2.log.gz", member(job_id{6}, second_generation, 1, {7}));
  const auto result = audit().result;
  CHECK(result.clean());
  CHECK_EQ(result.files, 4u);
  CHECK_EQ(result.members, 5u);
  CHECK_EQ(result.events, 8u);
  REQUIRE_EQ(result.jobs.size(), 2u);
  CHECK_EQ(number(result.jobs[0].job), 5u);
  CHECK_EQ(result.jobs[0].objects, 2u);
  CHECK_EQ(result.jobs[0].events, 6u);
  REQUIRE_EQ(result.jobs[0].generations.size(), 1u);
  CHECK_EQ(result.jobs[0].generations[0].last, 6u);
  CHECK_EQ(result.jobs[1].generations.size(), 2u);
}

TEST_CASE_FIXTURE(delivery, "a gap is found at the beginning and in the middle") {
  write("1.log.gz", member(job_id{5}, first_generation, 3, {0, 1}));
  write("2.log.gz", member(job_id{5}, first_generation, 8, {2}));
  const auto result = audit().result;
  CHECK_FALSE(result.clean());
  CHECK_EQ(result.gaps, 5u);
  CHECK_EQ(result.jobs[0].generations[0].first_missing, 1u);
  CHECK_EQ(result.jobs[0].generations[0].last, 8u);
  CHECK_EQ(result.doubled_sequences, 0u);
}

TEST_CASE_FIXTURE(delivery, "an object that arrived twice is found") {
  const auto object = member(job_id{5}, first_generation, 1, {0, 1, 2});
  write("1.log.gz", object);
  write("2.log.gz", object);
  const auto result = audit().result;
  CHECK_FALSE(result.clean());
  CHECK_EQ(result.doubled_sequences, 3u);
  CHECK_EQ(result.doubled_events, 3u);
}

TEST_CASE_FIXTURE(delivery, "an event that a job stored twice is found though its sequences differ") {
  write("1.log.gz", member(job_id{5}, first_generation, 1, {0, 1, 2}));
  write("2.log.gz", member(job_id{5}, second_generation, 1, {2}));
  const auto result = audit().result;
  CHECK_EQ(result.doubled_sequences, 0u);
  CHECK_EQ(result.doubled_events, 1u);
  CHECK_FALSE(result.clean());
}

TEST_CASE_FIXTURE(delivery, "two jobs may have the same event") {
  write("1.log.gz", member(job_id{5}, first_generation, 1, {0, 1, 2}));
  write("2.log.gz", member(job_id{6}, first_generation, 1, {0, 1, 2}));
  CHECK(audit().result.clean());
}

TEST_CASE_FIXTURE(delivery, "events of others are told apart by their RayID") {
  const auto seal = [&](job_id job, sequence first, const std::string& a, const std::string& b) {
    return sealer.seal({job, {first_generation, first, 2}},
                       {fmt::format(R"({{"RayID":"{}"}})", a), fmt::format(R"({{"x":1,"RayID":"{}"}})", b)});
  };
  write("1.log.gz", seal(job_id{5}, 1, "a", "b"));
  write("2.log.gz", seal(job_id{6}, 1, "a", "b"));
  CHECK(audit().result.clean());
  write("3.log.gz", seal(job_id{5}, 3, "c", "b"));
  CHECK_EQ(audit().result.doubled_events, 1u);
}

TEST_CASE_FIXTURE(delivery,
                  "damaged files, wrong counts and unreadable lines are found, what is good in them still counts") {
  const auto good = member(job_id{5}, first_generation, 1, {0, 1});
  const auto next = member(job_id{5}, first_generation, 3, {2});
  write("1.log.gz", good + next.substr(0, next.size() - 3));
  auto result = audit().result;
  CHECK_FALSE(result.clean());
  CHECK_EQ(result.bad_file_count, 1u);
  CHECK_EQ(result.jobs[0].events, 2u);

  write("1.log.gz", good + "rubbish");
  CHECK_EQ(audit().result.bad_file_count, 1u);

  write("1.log.gz", sealer.seal({job_id{5}, {first_generation, 1, 3}}, {R"({"a":1})", R"({"a":2})"}));
  CHECK_EQ(audit().result.bad_file_count, 1u);

  write("1.log.gz", sealer.seal({job_id{5}, {first_generation, 1, 2}}, {R"({"a":1})", R"({"a":)"}));
  result = audit().result;
  CHECK_EQ(result.unreadable, 1u);
  CHECK_FALSE(result.clean());
}

TEST_CASE_FIXTURE(delivery, "with receipts nothing is missing when all of the jobs' zones arrived") {
  deliver_zones(4, 1'000);
  const auto v = audit({body(0, 600, 4), body(600, 400, 4)});
  CHECK(v.result.clean());
  CHECK_EQ(v.result.acknowledged_bodies, 2u);
  CHECK_EQ(v.result.acknowledged_events, 1'000u);
  CHECK_EQ(v.result.expected, v.result.events);
}

TEST_CASE_FIXTURE(delivery, "exactly the acknowledged events that did not arrive are named") {
  std::set<std::uint64_t> lost;
  for (std::uint64_t counter = 0; counter < 1'000 && lost.size() < 3; counter += 111)
    if (sender.zone_rank(counter) < 4)
      lost.insert(counter);
  REQUIRE_EQ(lost.size(), 3u);
  deliver_zones(4, 1'000, lost);
  const auto v = audit({body(0, 1'000, 4)});
  CHECK_FALSE(v.result.clean());
  CHECK_EQ(v.result.gaps, 0u);
  CHECK_EQ(v.result.missing, 3u);
  std::set<std::uint64_t> named;
  for (const auto& m : v.missing) {
    named.insert(m.counter);
    CHECK_EQ(m.ray, sender.ray_id(m.counter));
    CHECK_EQ(m.zone, zone_id(sender.zone_rank(m.counter)));
    CHECK_EQ(number(m.job), sender.zone_rank(m.counter) + 1);
    CHECK_EQ(m.body, "1-r-0");
  }
  CHECK_EQ(named, lost);
}

TEST_CASE_FIXTURE(delivery, "an event that one of two jobs lacks is missing") {
  deliver_zones(1, 1'000);
  std::vector<std::uint64_t> some;
  for (std::uint64_t counter = 0; counter < 1'000; ++counter)
    if (sender.zone_rank(counter) == 0)
      some.push_back(counter);
  const auto dropped = some.back();
  some.pop_back();
  write("second.log.gz", member(job_id{50}, first_generation, 1, some));
  const auto v = audit({body(0, 1'000, 1)});
  REQUIRE_EQ(v.missing.size(), 1u);
  CHECK_EQ(v.missing[0].counter, dropped);
  CHECK_EQ(number(v.missing[0].job), 50u);
}

TEST_CASE_FIXTURE(delivery, "events that were never acknowledged are not missed") {
  deliver_zones(4, 1'000, {3, 4, 5, 6, 7});
  const auto v = audit({body(100, 900, 4)});
  CHECK(v.result.clean());
}

TEST_CASE_FIXTURE(delivery, "a zone of which nothing arrived is missed by the node's own counts") {
  deliver_zones(3, 1'000); // the node says that four zones are entitled
  const auto v = audit({body(0, 1'000, 4)});
  CHECK_FALSE(v.result.clean());
  CHECK_EQ(v.result.missing, 0u);
  std::uint64_t of_fourth = 0;
  for (std::uint64_t counter = 0; counter < 1'000; ++counter)
    of_fourth += sender.zone_rank(counter) == 3;
  CHECK_EQ(v.result.missing_zones, of_fourth);
}

TEST_CASE_FIXTURE(delivery, "a zone of which nothing arrived is named event by event when its job is known") {
  deliver_zones(3, 1'000);
  const auto v = audit({body(0, 1'000, 4)}, 4);
  CHECK_EQ(v.result.missing_zones, 0u);
  CHECK_GT(v.result.missing, 0u);
  CHECK_EQ(v.result.missing, v.missing.size());
  for (const auto& m : v.missing)
    CHECK_EQ(m.zone, zone_id(3));
}

TEST_CASE_FIXTURE(delivery, "of a body that was taken in part only the number is held against what arrived") {
  deliver_zones(4, 1'000, {});
  auto some = body(0, 1'000, 4);
  const auto all = some.accepted;
  some.shed = 10;
  some.accepted = all - 10;
  CHECK(audit({some}).result.clean());
  some.shed = 1;
  some.accepted = all + 5;
  const auto v = audit({some});
  CHECK_EQ(v.result.missing_unnamed, 5u);
  CHECK(v.missing.empty());
  CHECK_FALSE(v.result.clean());
}

TEST_CASE_FIXTURE(delivery, "weir audit prints the verdict, names what is wrong, and exits 1 for it") {
  deliver_zones(4, 500);
  write("notes.txt", "not an object");
  write("0/half.log.gz.tmp", "not finished");
  options how;
  how.directory = path;
  how.zones = "4";
  how.receipts = {receipts({body(0, 500, 4)})};
  std::ostringstream good, json, err;
  CHECK_EQ(run(how, good, err), 0);
  CHECK_NE(good.str().find("\nok\n"), std::string::npos);
  how.json = true;
  CHECK_EQ(run(how, json, err), 0);
  const auto parsed = nlohmann::json::parse(json.str());
  CHECK_EQ(parsed.at("ok"), true);
  CHECK_EQ(parsed.at("jobs").size(), 4u);
  CHECK_EQ(parsed.at("receipts").at("missing"), 0);

  std::filesystem::remove(path + "/2/x.log.gz");
  how.json = false;
  how.missing_file = path + ".missing";
  std::ostringstream bad;
  CHECK_EQ(run(how, bad, err), 1);
  CHECK_NE(bad.str().find("NOT OK"), std::string::npos);
  CHECK_NE(bad.str().find(zone_id(2)), std::string::npos);
  std::ifstream list{how.missing_file};
  std::size_t lines = 0;
  for (std::string line; std::getline(list, line); ++lines)
    CHECK_EQ(nlohmann::json::parse(line).at("zone"), zone_id(2));
  std::size_t of_third = 0;
  for (std::uint64_t counter = 0; counter < 500; ++counter)
    of_third += sender.zone_rank(counter) == 2;
  CHECK_EQ(lines, of_third);
  std::filesystem::remove(how.missing_file);
  std::filesystem::remove(how.receipts[0]);
}

TEST_CASE_FIXTURE(delivery, "a job file says which jobs must have delivered") {
  deliver_zones(2, 300);
  const auto jobs = path + ".jobs";
  std::ofstream{jobs} << fmt::format(R"({{"id":1,"scope":"zones/{}"}})", zone_id(0)) << '\n'
                      << fmt::format(R"({{"id":2,"scope":"zones/{}"}})", zone_id(1)) << "\n\n"
                      << fmt::format(R"({{"id":3,"scope":"zones/{}"}})", zone_id(2)) << '\n'
                      << fmt::format(R"({{"id":4,"scope":"zones/{}","enabled":false}})", zone_id(3)) << '\n';
  options how;
  how.directory = path;
  how.jobs_file = jobs;
  how.json = true;
  how.receipts = {receipts({body(0, 300, 3)})};
  std::ostringstream out, err;
  CHECK_EQ(run(how, out, err), 1);
  const auto parsed = nlohmann::json::parse(out.str());
  CHECK_EQ(parsed.at("receipts").at("missing_of_unknown_zones"), 0);
  for (const auto& job : parsed.at("jobs"))
    CHECK_EQ(job.at("acknowledged_missing") > 0, job.at("job") == 3);
  std::ofstream{jobs} << "{\"id\":\"x\"}\n";
  std::ostringstream again;
  CHECK_EQ(run(how, again, err), 1);
  CHECK_NE(err.str().find(":1:"), std::string::npos);
  std::filesystem::remove(jobs);
  std::filesystem::remove(how.receipts[0]);
}

TEST_CASE("a set of numbers knows what was put into it and nothing else") {
  number_set set;
  for (const std::uint64_t x : {0ull, 63ull, 64ull, 65'535ull, 65'536ull, (1ull << 40) - 1}) {
    CHECK_FALSE(set.contains(x));
    CHECK(set.insert(x));
    CHECK_FALSE(set.insert(x));
    CHECK(set.contains(x));
  }
  CHECK_FALSE(set.contains(1));
  CHECK_FALSE(set.contains(1ull << 39));
}

TEST_CASE("runs of sequences are judged whatever their order and overlap") {
  const auto judge = [](const std::vector<std::pair<sequence, std::uint64_t>>& runs) {
    sequence_book book;
    for (const auto& [first, count] : runs)
      book.add({generation{1}, first, count});
    const auto v = book.judge();
    return std::vector<std::uint64_t>{v.last, v.missing, v.doubled};
  };
  using v = std::vector<std::uint64_t>;
  CHECK_EQ(judge({}), v{0, 0, 0});
  CHECK_EQ(judge({{4, 2}, {1, 3}}), v{5, 0, 0});
  CHECK_EQ(judge({{1, 10}, {3, 2}}), v{10, 0, 2});
  CHECK_EQ(judge({{1, 5}, {4, 5}}), v{8, 0, 2});
  CHECK_EQ(judge({{10, 1}, {1, 3}}), v{10, 6, 0});
}
