#include "supervisors/ledger_marks.hpp"

#include <doctest/doctest.h>

#include "tests/support/fake_disk.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

using time_point = ledger_marks::time_point;

const time_point noon = *read_moment("2026-11-22T12:00:00Z", {});

store::ledger_totals accounts(std::uint64_t received = 10) {
  store::ledger_totals all;
  auto& dev = all.senders["dev"];
  dev.received = received;
  dev.offered = received - 3;
  dev.turned_back = 2;
  dev.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 1;
  auto& plain = all.jobs[job_id{1}];
  plain.accepted = 300;
  plain.buffered = 100;
  plain.delivered = 200;
  plain.delivered_objects = 2;
  auto& rare = all.jobs[job_id{1'000'001}];
  rare.accepted = rare.lost = 5;
  rare.repeated = 7;
  rare.shed[static_cast<std::size_t>(shed_reason::disk_full)] = 9;
  return all;
}

std::vector<std::string> listed(ledger_marks& marks) {
  std::vector<std::string> result;
  for (const auto& x : marks.list())
    result.push_back(render_moment(x.at));
  return result;
}

} // namespace

TEST_CASE("a mark reads back as it was made, and damaged in any byte not at all") {
  const auto bytes = encode_mark(noon, accounts());
  const auto back = decode_mark(bytes);
  REQUIRE(back);
  CHECK(back->at == noon);
  CHECK(back->totals.senders.at("dev").turned_back == 2);
  CHECK(back->totals.senders.at("dev").balances());
  CHECK(back->totals.jobs.at(job_id{1}).delivered_objects == 2);
  CHECK(back->totals.jobs.at(job_id{1'000'001}).lost == 5);
  CHECK(back->totals.jobs.at(job_id{1'000'001}).shed[static_cast<std::size_t>(shed_reason::disk_full)] == 9);
  CHECK(encode_mark(noon, back->totals) == bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK_FALSE(decode_mark(bad));
    CHECK_FALSE(decode_mark(std::string_view{bytes}.substr(0, i)));
  }
  CHECK_FALSE(decode_mark(bytes + 'x'));
}

TEST_CASE("a mark is due at first and then with each full hour, whatever made the last one") {
  auto disk = std::make_shared<fake_disk>();
  ledger_marks marks(disk, "/data/ledger");
  CHECK(marks.due(noon + 10min));
  REQUIRE(marks.make(noon + 10min, accounts()).empty());
  CHECK_FALSE(marks.due(noon + 59min));
  CHECK(marks.due(noon + 1h));
  REQUIRE(marks.make(noon + 1h + 1s, accounts()).empty());
  CHECK_FALSE(marks.due(noon + 2h - 1s));
  // A clock that ran ahead and was set back does not keep marks from being made.
  REQUIRE(marks.make(noon + 100h, accounts()).empty());
  CHECK(marks.due(noon + 2h));
}

TEST_CASE("since counts from the latest mark that is not younger; across a restart, too") {
  auto disk = std::make_shared<fake_disk>();
  {
    ledger_marks marks(disk, "/data/ledger");
    const auto none = marks.at(noon);
    REQUIRE(std::holds_alternative<ledger_marks::problem>(none));
    CHECK(std::get<ledger_marks::problem>(none).missing);
    REQUIRE(marks.make(noon, accounts(10)).empty());
    REQUIRE(marks.make(noon + 1h, accounts(20)).empty());
  }
  ledger_marks marks(disk, "/data/ledger");
  const auto early = marks.at(noon - 1s);
  REQUIRE(std::holds_alternative<ledger_marks::problem>(early));
  CHECK(std::get<ledger_marks::problem>(early).text == "the oldest mark is of 2026-11-22T12:00:00Z");
  const auto first = marks.at(noon + 59min);
  REQUIRE(std::holds_alternative<ledger_marks::mark>(first));
  CHECK(std::get<ledger_marks::mark>(first).totals.senders.at("dev").received == 10);
  const auto second = marks.at(noon + 5h);
  REQUIRE(std::holds_alternative<ledger_marks::mark>(second));
  CHECK(std::get<ledger_marks::mark>(second).at == noon + 1h);
}

TEST_CASE("all marks of two days are kept, then one a day for a month, and never too many") {
  auto disk = std::make_shared<fake_disk>();
  ledger_marks marks(disk, "/data/ledger");
  for (int hour = 0; hour < 40 * 24; ++hour)
    REQUIRE(marks.make(noon + std::chrono::hours{hour}, accounts()).empty());
  const auto kept = marks.list();
  CHECK(kept.size() >= 49 + 28);
  CHECK(kept.size() <= 49 + 31);
  const auto last = noon + std::chrono::hours{40 * 24 - 1};
  CHECK(kept.back().at == last);
  CHECK(last - kept.front().at <= ledger_marks::keep_daily);
  CHECK(last - kept.front().at >= ledger_marks::keep_daily - 24h);
  for (std::size_t i = kept.size() - 49; i + 1 < kept.size(); ++i)
    CHECK(kept[i + 1].at - kept[i].at == 1h);
  // What is not listed is not on the disk either.
  std::vector<std::string> names;
  REQUIRE_FALSE(disk->list("/data/ledger", names));
  CHECK(names.size() == kept.size());
  for (int i = 0; i < 300; ++i)
    REQUIRE(marks.make(last + std::chrono::seconds{i}, accounts()).empty());
  CHECK(marks.list().size() == ledger_marks::most_marks);
  CHECK(marks.list().back().at == last + 299s);
}

TEST_CASE("what a crash left half-written goes, and a damaged mark is said to be one") {
  auto disk = std::make_shared<fake_disk>();
  {
    ledger_marks marks(disk, "/data/ledger");
    REQUIRE(marks.make(noon, accounts()).empty());
    std::unique_ptr<disk_file> file;
    REQUIRE_FALSE(disk->open("/data/ledger/mark-1795000000.ledger.new", disk::open_mode::create, file));
    REQUIRE_FALSE(disk->open("/data/ledger/mark-1795348800.ledger", disk::open_mode::read_write, file));
    REQUIRE_FALSE(file->write(20, {"!"}));
  }
  ledger_marks marks(disk, "/data/ledger");
  CHECK(listed(marks) == std::vector<std::string>{"2026-11-22T12:00:00Z"});
  const auto bad = marks.at(noon);
  REQUIRE(std::holds_alternative<ledger_marks::problem>(bad));
  CHECK_FALSE(std::get<ledger_marks::problem>(bad).missing);
  std::vector<std::string> names;
  REQUIRE_FALSE(disk->list("/data/ledger", names));
  CHECK(names.size() == 1);
}

TEST_CASE("since takes a moment, seconds, or an age, and nothing else") {
  CHECK(read_moment("1795348800", noon) == noon);
  CHECK(read_moment("90s", noon) == noon - 90s);
  CHECK(read_moment("15min", noon) == noon - 15min);
  CHECK(read_moment("36h", noon) == noon - 36h);
  CHECK(read_moment("2d", noon) == noon - 48h);
  CHECK(render_moment(noon) == "2026-11-22T12:00:00Z");
  for (const auto* bad : {"", "h", "-1", "-1h", "1w", "1hh", "2026-11-22", "2026-11-22T12:00:00", "yesterday",
                          "99999999999999999999", "99999999h", "2026-11-22T12:00:00Zx"})
    CHECK_FALSE_MESSAGE(read_moment(bad, noon), bad);
}
