#include "supervisors/ledger_view.hpp"

#include <vector>

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

ledger_query paged(const page_request& page) {
  ledger_query query;
  query.page = page;
  return query;
}

ledger_query of_job(std::uint64_t job) {
  ledger_query query;
  query.job = job_id{job};
  return query;
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
  const auto shown = render_ledger(accounts(), nullptr, nobody, {});
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
  CHECK_FALSE(render_ledger(wrong, nullptr, nobody, paged(first)).balanced());
  CHECK_FALSE(render_ledger(wrong, nullptr, nobody, of_job(1)).balanced());
  wrong = accounts();
  wrong.senders["dev"].offered -= 1;
  CHECK_FALSE(render_ledger(wrong, nullptr, nobody, {}).balanced());
}

TEST_CASE("the ledger is read page by page: every job once, in order, and the totals on each") {
  const config_snapshot nobody;
  page_request page;
  page.limit = 10;
  std::vector<std::uint64_t> all;
  std::size_t pages = 0;
  for (;; ++pages) {
    REQUIRE(pages < 10);
    const auto shown = render_ledger(accounts(), nullptr, nobody, paged(page));
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
  CHECK(render_ledger(accounts(), nullptr, nobody, paged(page)).next_cursor().empty());
}

TEST_CASE("one job's account can be asked for; of one that has none nothing is shown") {
  const config_snapshot nobody;
  CHECK(jobs_of(render_ledger(accounts(), nullptr, nobody, of_job(7))) == std::vector<std::uint64_t>{7});
  CHECK(jobs_of(render_ledger(accounts(), nullptr, nobody, of_job(26))).empty());
  CHECK(jobs_of(render_ledger(accounts(), nullptr, nobody, of_job(0))).empty());
}

TEST_CASE("from a mark on, columns count what came since, and what was buffered then is a column of its own") {
  const config_snapshot nobody;
  const auto before = accounts();
  auto now = accounts();
  auto& job = now.jobs[job_id{3}];
  job.accepted += 5; // 5 came, and 6 of the 8 that were there then were delivered
  job.buffered += 5 - 6;
  job.delivered += 6;
  job.shed[static_cast<std::size_t>(shed_reason::disk_full)] = 2;
  now.senders["dev"].received += 12;
  now.senders["dev"].offered += 8;
  now.senders["dev"].turned_back += 4;
  REQUIRE(follows(now, before));
  const auto shown = render_ledger(now, &before, nobody, of_job(3));
  CHECK(shown.balanced());
  REQUIRE(shown.jobs_size() == 1);
  const auto& row = shown.jobs(0);
  CHECK(row.accepted() == 5);
  CHECK(row.delivered() == 6);
  CHECK(row.buffered_before() == 3);
  CHECK(row.buffered() == 2);
  CHECK(row.buffered_before() + row.accepted() == row.buffered() + row.delivered());
  CHECK(row.repeated() == 0);
  CHECK(row.shed().size() == 1);
  CHECK(row.shed().at("disk_full") == 2);
  REQUIRE(shown.senders_size() == 1);
  CHECK(shown.senders(0).received() == 12);
  CHECK(shown.senders(0).turned_back() == 4);
  CHECK(shown.senders(0).rejected().empty());
  // A job and a sender that came after the mark count from nothing.
  now.jobs[job_id{99}].accepted = now.jobs[job_id{99}].buffered = 7;
  now.senders["new"].received = now.senders["new"].offered = 7;
  CHECK(follows(now, before));
  CHECK(render_ledger(now, &before, nobody, of_job(99)).jobs(0).accepted() == 7);
}

TEST_CASE("accounts with less than a mark has are those of another store") {
  const auto before = accounts();
  auto now = accounts();
  CHECK(follows(now, before));
  now.jobs[job_id{3}].delivered -= 1;
  CHECK_FALSE(follows(now, before));
  now = accounts();
  now.jobs.erase(job_id{3});
  CHECK_FALSE(follows(now, before));
  now = accounts();
  now.senders["dev"].rejected[static_cast<std::size_t>(reject_reason::not_json)] = 0;
  CHECK_FALSE(follows(now, before));
  now = accounts();
  now.jobs[job_id{3}].buffered = 0; // no column that only grows
  CHECK(follows(now, before));
}

TEST_CASE("a tenant's row is the sum of its jobs; those of jobs in no config have no name") {
  const config_snapshot nobody;
  ledger_query query;
  query.by_tenant = true;
  const auto shown = render_ledger(accounts(), nullptr, nobody, query);
  CHECK(shown.jobs_size() == 0);
  REQUIRE(shown.tenants_size() == 1);
  CHECK(shown.tenants(0).tenant().empty());
  CHECK(shown.tenants(0).jobs() == 25);
  CHECK(shown.tenants(0).accepted() == 250);
  CHECK(shown.tenants(0).shed().at("job_quota") == 150);
  query = {};
  query.tenant = "zones/of-somebody-else";
  const auto other = render_ledger(accounts(), nullptr, nobody, query);
  CHECK(other.jobs_size() == 0);
  CHECK(other.tenants_size() == 0);
  CHECK(other.totals().accepted() == 250);
}

TEST_CASE("bodies that have no answer yet are shown with their sender, also before its first account") {
  const config_snapshot nobody;
  bodies_under_way bodies;
  const auto one = bodies.enter("dev", 100);
  auto two = bodies.enter("new", 20);
  auto shown = render_ledger(accounts(), nullptr, nobody, {});
  add_under_way(bodies.all(), shown);
  REQUIRE(shown.senders_size() == 2);
  CHECK(shown.senders(0).under_way_bytes() == 100);
  CHECK(shown.senders(1).sender() == "new");
  CHECK(shown.senders(1).under_way_bodies() == 1);
  CHECK(shown.under_way().bodies() == 2);
  CHECK(shown.under_way().bytes() == 120);
  two.reset();
  shown = render_ledger(accounts(), nullptr, nobody, {});
  add_under_way(bodies.all(), shown);
  CHECK(shown.senders_size() == 1);
  CHECK(shown.under_way().bodies() == 1);
}
