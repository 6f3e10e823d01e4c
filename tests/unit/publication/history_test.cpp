#include <doctest/doctest.h>

#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/publication/publication_fixture.hpp"

namespace weir {

namespace {

using wall_point = std::chrono::system_clock::time_point;

version_row row_of(std::uint64_t version) {
  version_row row;
  row.version = config_version{version};
  row.parent = config_version{version - 1};
  row.content[0] = static_cast<unsigned char>(version);
  row.created = wall_point{std::chrono::seconds(1'000'000 + version)};
  row.why = "change";
  row.who = "generator";
  row.entries = 10 * version;
  row.jobs = 11 * version;
  return row;
}

struct history_at {
  explicit history_at(history_limits how = {}) : limits(how) { reopen(); }
  void reopen() {
    it.reset();
    auto opened = config_history::open(path(), limits, wall_point{1'731'584'580s});
    it = std::move(opened.history);
    set_aside = opened.set_aside;
    problem = opened.problem;
  }
  std::string path() const { return folder.path + "/history.db"; }

  own_folder folder;
  history_limits limits;
  std::unique_ptr<config_history> it;
  std::string set_aside, problem;
};

void damage(const std::string& path) {
  std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(4'096 + 100); // In the second page.
  for (int i = 0; i < 2'000; ++i)
    file.put('\x5a');
}

} // namespace

TEST_CASE("The history keeps versions with their content, newest first, and remembers the highest for ever") {
  history_at x{{3, 1ull << 30, 100}};
  for (std::uint64_t version = 1; version <= 5; ++version) {
    REQUIRE(x.it->add_version(row_of(version), std::string(1'000, static_cast<char>('a' + version))));
    REQUIRE(x.it->finish_version(config_version{version}, version_outcome::complete, "", wall_point{2'000'000s}));
  }
  x.reopen();
  const auto rows = x.it->versions(10);
  REQUIRE_EQ(rows.size(), 3);
  CHECK_EQ(number(rows[0].version), 5);
  CHECK_EQ(number(rows[2].version), 3);
  CHECK_EQ(rows[0].entries, 50);
  CHECK(rows[0].outcome == version_outcome::complete);
  CHECK_EQ(*x.it->content(config_version{4}), std::string(1'000, 'e'));
  CHECK_FALSE(x.it->content(config_version{1}));
  CHECK_EQ(number(x.it->last_version()), 5);
  CHECK_EQ(x.it->versions(10, config_version{5}).size(), 2);
}

TEST_CASE("Old contents make room, but never that of the last complete version") {
  history_at x{{100, 10'000, 100}};
  own_folder other;
  std::uint64_t noise = 1;
  const auto content = [&] { // That does not compress.
    std::string text(4'000, '\0');
    for (auto& byte : text)
      byte = static_cast<char>((noise = noise * 6364136223846793005ull + 1442695040888963407ull) >> 56);
    return text;
  };
  REQUIRE(x.it->add_version(row_of(1), content()));
  REQUIRE(x.it->finish_version(config_version{1}, version_outcome::complete, "", wall_point{2'000'000s}));
  for (std::uint64_t version = 2; version <= 6; ++version) {
    REQUIRE(x.it->add_version(row_of(version), content()));
    REQUIRE(x.it->finish_version(config_version{version}, version_outcome::stopped, "health", wall_point{}));
  }
  CHECK(x.it->content(config_version{1}));
  CHECK_FALSE(x.it->content(config_version{2}));
  CHECK_FALSE(x.it->version(config_version{3})->has_content);
  CHECK(x.it->content(config_version{6}));
  CHECK_EQ(x.it->versions(10).size(), 6);
}

TEST_CASE("What is held, approved, frozen and audited survives a restart") {
  history_at x;
  config_history::held_row row;
  row.change.hash[3] = 7;
  row.difference[1] = 9;
  row.change.reasons = {"shrunk", "moved"};
  row.change.text = "many";
  row.change.changes.in_all.removed = 50;
  row.change.changes.by_tenant = {{"zones/a", 0, 3, 1, 0}};
  row.change.changes.tenants = 12;
  row.change.since = wall_point{1'000s};
  row.change.approved = held_change::approval{"olga", wall_point{2'000s}, wall_point{3'800s}};
  REQUIRE(x.it->keep_held(row));
  REQUIRE(x.it->set_frozen(publication_view::frozen_state{"piet", "maintenance", wall_point{5'000s}}));
  REQUIRE(x.it->add_audit({0, wall_point{6'000s}, "olga", "approved", config_version{3}, "abcd", "done", "why not"}));
  x.reopen();
  const auto held = x.it->held();
  REQUIRE_EQ(held.size(), 1);
  CHECK(held[0].change.hash == row.change.hash);
  CHECK(held[0].difference == row.difference);
  CHECK(held[0].change.reasons == row.change.reasons);
  CHECK_EQ(held[0].change.changes.by_tenant.at(0).tenant, "zones/a");
  CHECK_EQ(held[0].change.changes.tenants, 12);
  CHECK_EQ(held[0].change.approved->who, "olga");
  CHECK(held[0].change.approved->expires == wall_point{3'800s});
  CHECK_EQ(x.it->frozen()->who, "piet");
  CHECK_EQ(x.it->audit(10).at(0).text, "why not");
  CHECK(x.it->forget_held(row.change.hash));
  CHECK(x.it->set_frozen(std::nullopt));
  x.reopen();
  CHECK(x.it->held().empty());
  CHECK_FALSE(x.it->frozen());
}

TEST_CASE("Only the newest audit rows are kept") {
  history_at x{{100, 1ull << 30, 5}};
  for (int i = 0; i < 12; ++i)
    REQUIRE(x.it->add_audit({0, wall_point{1s}, "a", "b", {}, "", "c", std::to_string(i)}));
  const auto rows = x.it->audit(100);
  REQUIRE_EQ(rows.size(), 5);
  CHECK_EQ(rows[0].text, "11");
  CHECK_EQ(x.it->audit(100, rows[1].id).size(), 3);
}

TEST_CASE("Several changes are one: all or none") {
  history_at x;
  CHECK_FALSE(x.it->together([&] {
    REQUIRE(x.it->add_version(row_of(1), "content"));
    return false;
  }));
  CHECK(x.it->versions(10).empty());
  CHECK_EQ(number(x.it->last_version()), 0);
  CHECK(x.it->together([&] { return x.it->add_version(row_of(1), "content") && x.it->add_audit({}); }));
  CHECK_EQ(x.it->versions(10).size(), 1);
}

TEST_CASE("The history is for its owner only") {
  history_at x;
  REQUIRE(x.it->add_version(row_of(1), "content"));
  for (const char* part : {"", "-wal"}) {
    struct stat facts {};
    REQUIRE_EQ(stat((x.path() + part).c_str(), &facts), 0);
    CHECK_EQ(facts.st_mode & 0777, 0600);
  }
}

TEST_CASE("A damaged history is set aside by name, and the publisher goes on from what is in force") {
  publisher_bench bench{jobs_up_to(2'000)};
  bench.say(jobs_up_to(2'001));
  bench.finish_rollout();
  bench.publication.reset();
  bench.history.reset();
  SUBCASE("a page is overwritten") {
    damage(bench.history_path);
  }
  SUBCASE("it is no database at all") {
    std::ofstream{bench.history_path} << "these are not the bytes of a database";
  }
  bench.open();
  CHECK(bench.set_aside.find(bench.history_path + ".damaged-") == 0);
  CHECK(std::filesystem::exists(bench.set_aside));
  REQUIRE(bench.history);
  CHECK_EQ(bench.version(), 2);
  bench.say(jobs_up_to(2'002));
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 3); // Never a version twice.
  CHECK(bench.history->versions(10).size() == 2);
}

TEST_CASE("A history that cannot be made is a problem, not a crash") {
  const auto opened = config_history::open("/nonexistent/folder/history.db", {}, {});
  CHECK_FALSE(opened.history);
  CHECK(opened.problem.find("/nonexistent/folder") != std::string::npos);
}

TEST_CASE("Nothing is published that cannot be written down first") {
  publisher_bench bench{jobs_up_to(100)};
  bench.read();
  sqlite3* other = nullptr;
  REQUIRE_EQ(sqlite3_open(bench.history_path.c_str(), &other), SQLITE_OK);
  const auto run = [&](const char* sql) { REQUIRE_EQ(sqlite3_exec(other, sql, nullptr, nullptr, nullptr), SQLITE_OK); };
  run("CREATE TRIGGER full BEFORE INSERT ON versions BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
  bench.say(jobs_up_to(101));
  CHECK(bench.story.empty());
  CHECK_EQ(bench.version(), 1);
  CHECK(bench.view().history_problem.find("disk is full") != std::string::npos);
  CHECK(bench.was_logged("config-not-published"));
  CHECK_EQ(bench.rollback(1).error, "same_content");
  run("DROP TRIGGER full");
  sqlite3_close(other);
  bench.read();
  bench.finish_rollout();
  CHECK_EQ(bench.version(), 2);
  CHECK(bench.view().history_problem.empty());
}

TEST_CASE("A publisher that is restarted knows what was held, approved, stopped and in force an hour ago") {
  publisher_bench bench{jobs_up_to(1'000)};
  bench.say(jobs_up_to(920));
  bench.finish_rollout();
  bench.say(jobs_up_to(850)); // 15 % within the hour.
  REQUIRE_EQ(bench.held().size(), 1);
  const auto hash = bench.held()[0].hash;
  bench.restart();
  CHECK(bench.held().at(0).hash == hash);
  bench.read();
  CHECK_EQ(bench.held().size(), 1);
  CHECK(bench.held().at(0).hash == hash);
  CHECK(bench.freeze().done());
  CHECK(bench.approve(hash).done());
  bench.restart();
  CHECK(bench.view().frozen);
  CHECK_EQ(bench.held().at(0).approved->who, "olga");
  CHECK(bench.unfreeze().done());
  bench.finish_rollout();
  CHECK_EQ(entitled_in(*bench.in_force).size(), 850);

  bench.receivers[0].refuses = "grown";
  bench.says[2'000];
  bench.read();
  bench.receivers[0].refuses.clear();
  bench.finish_rollout();
  bench.restart();
  bench.read();
  REQUIRE_EQ(bench.held().size(), 1); // It was turned back, and is not tried again behind the operator's back.
  CHECK(bench.held()[0].reasons == std::vector<std::string>{"stopped"});
}

TEST_CASE("Versions can be compared as long as their contents are kept") {
  publisher_bench bench{jobs_up_to(100)};
  auto says = jobs_up_to(101);
  says[5].destination = "file:///var/tmp/weir/b";
  says.erase(6);
  bench.say(says);
  bench.finish_rollout();
  std::string wrong;
  const auto x = bench.it().compare(config_version{1}, config_version{2}, wrong);
  REQUIRE(x);
  CHECK(x->added == std::vector<job_id>{job_id{101}});
  CHECK(x->removed == std::vector<job_id>{job_id{6}});
  CHECK(x->moved == std::vector<job_id>{job_id{5}});
  CHECK_FALSE(bench.it().compare(config_version{1}, config_version{9}, wrong));
  CHECK(wrong.find("no version 9") != std::string::npos);
}

} // namespace weir
