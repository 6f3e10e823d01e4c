#include "supervisors/control_routes.hpp"

#include <doctest/doctest.h>

using namespace weir;

namespace {

store::ledger_totals accounts() {
  store::ledger_totals all;
  store::sender_account dev;
  dev.received = 100;
  dev.not_entitled = 30;
  dev.offered = 65;
  dev.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 5;
  all.senders["dev"] = dev;
  for (std::uint64_t job = 1; job <= 25; ++job) {
    store::job_account x;
    x.accepted = 10;
    x.delivered = 4;
    x.buffered = 3;
    x.dead_lettered = 1;
    x.expired = 2;
    x.repeated = 7;
    x.shed[static_cast<std::size_t>(shed_reason::job_quota)] = 6;
    all.jobs[job_id{job}] = x;
  }
  return all;
}

std::vector<std::uint64_t> jobs_of(const proto::Ledger& x) {
  std::vector<std::uint64_t> jobs;
  for (const auto& job : x.jobs())
    jobs.push_back(job.job());
  return jobs;
}

} // namespace

TEST_CASE("the ledger shows what was offered, and that it balances") {
  const config_snapshot nobody;
  const auto shown = render_ledger(accounts(), nobody, {}, std::nullopt);
  CHECK(shown.balanced());
  CHECK(shown.next_cursor().empty());
  REQUIRE(shown.senders_size() == 1);
  CHECK(shown.senders(0).rejected().at("not_json") == 5);
  REQUIRE(shown.jobs_size() == 25);
  CHECK(shown.jobs(0).offered() == 7 + 6 + 10);
  CHECK(shown.jobs(0).shed().at("job_quota") == 6);
  CHECK(shown.jobs(0).shed().size() == 1);
  CHECK(shown.jobs(0).tenant().empty()); // a job that left the config keeps its account
  CHECK(shown.totals().accepted() == 250);
  CHECK(shown.totals().delivered() == 100);
  CHECK(shown.totals().buffered() == 75);
  CHECK(shown.totals().shed() == 150);
  CHECK(shown.totals().received() == 100);
  CHECK(shown.totals().rejected() == 5);
}

TEST_CASE("an account that does not add up is said so, a sender's or a job's, shown or not") {
  const config_snapshot nobody;
  auto wrong = accounts();
  wrong.jobs[job_id{25}].delivered += 1;
  page_request first;
  first.limit = 1;
  CHECK_FALSE(render_ledger(wrong, nobody, first, std::nullopt).balanced());
  CHECK_FALSE(render_ledger(wrong, nobody, {}, job_id{1}).balanced());
  wrong = accounts();
  wrong.senders["dev"].offered -= 1;
  CHECK_FALSE(render_ledger(wrong, nobody, {}, std::nullopt).balanced());
}

TEST_CASE("the ledger is read page by page: every job once, in order, and the totals on each") {
  const config_snapshot nobody;
  page_request page;
  page.limit = 10;
  std::vector<std::uint64_t> all;
  std::size_t pages = 0;
  for (;; ++pages) {
    REQUIRE(pages < 10);
    const auto shown = render_ledger(accounts(), nobody, page, std::nullopt);
    CHECK(shown.totals().accepted() == 250);
    CHECK(shown.jobs_size() <= 10);
    for (auto job : jobs_of(shown))
      all.push_back(job);
    if (shown.next_cursor().empty())
      break;
    page.cursor = shown.next_cursor();
  }
  CHECK(pages == 2);
  REQUIRE(all.size() == 25);
  for (std::uint64_t i = 0; i < 25; ++i)
    CHECK(all[i] == i + 1);
  // An exact last page has no empty one behind it.
  page = {};
  page.limit = 25;
  CHECK(render_ledger(accounts(), nobody, page, std::nullopt).next_cursor().empty());
}

TEST_CASE("one job's account can be asked for; of one that has none nothing is shown") {
  const config_snapshot nobody;
  CHECK(jobs_of(render_ledger(accounts(), nobody, {}, job_id{7})) == std::vector<std::uint64_t>{7});
  CHECK(jobs_of(render_ledger(accounts(), nobody, {}, job_id{26})).empty());
  CHECK(jobs_of(render_ledger(accounts(), nobody, {}, job_id{0})).empty());
}
