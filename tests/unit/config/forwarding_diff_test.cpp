#include "config/forwarding_diff.hpp"

#include <doctest/doctest.h>

#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;

namespace {

std::vector<std::uint64_t> numbers(const std::vector<job_id>& ids) {
  std::vector<std::uint64_t> result;
  for (const auto id : ids)
    result.push_back(number(id));
  return result;
}

using ids = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("configs that say the same do not differ, whatever their versions") {
  const auto d = diff(*made_of(plain_jobs(50), 3), *made_of(plain_jobs(50), 4));
  CHECK(d.empty());
  CHECK_EQ(d.counts.all(), 0u);
  CHECK_EQ(d.entries_before, 50u);
  CHECK_EQ(d.entries_after, 50u);
  CHECK_EQ(summary(d.counts), "nothing changed");
}

TEST_CASE("a difference names what became of each job") {
  auto before = plain_jobs(12);
  before[9].on_hold_since = 1'700'000'000;
  before[10].enabled = false;
  before[11].on_hold_since = 1'700'000'000;
  auto after = plain_jobs(12);
  after.erase(1);
  after[2].on_hold_since = 1'700'000'001;
  after[3].enabled = false;
  after[4].destination = "file:///elsewhere";
  after[5].name = "other label";
  after[6].scope = "zones/another";
  after[10].enabled = true;
  after.erase(11);
  after[20] = {20, "zones/z20", "file:///20", "", true, 0};
  after[21] = {21, "zones/z21", "file:///21", "", false, 0};
  const auto d = diff(*made_of(before, 3), *made_of(after, 4));

  CHECK_EQ(numbers(d.ids({job_change::gone})), ids{1, 6});
  CHECK_EQ(numbers(d.ids({job_change::held})), ids{2});
  CHECK_EQ(numbers(d.ids({job_change::off})), ids{3});
  CHECK_EQ(numbers(d.ids({job_change::moved})), ids{4});
  CHECK_EQ(numbers(d.ids({job_change::changed})), ids{5});
  CHECK_EQ(numbers(d.ids({job_change::restored})), ids{9});
  CHECK_EQ(numbers(d.ids({job_change::added})), ids{6, 10, 20});
  CHECK_EQ(numbers(d.ids({job_change::other})), ids{11, 21});
  CHECK_EQ(numbers(d.ids()), ids{1, 2, 3, 4, 5, 6, 9, 10, 11, 20, 21});
  CHECK_EQ(d.counts.removed(), 4u);
  CHECK_EQ(d.counts.added(), 4u);
  CHECK_EQ(d.entries_before, 9u);
  CHECK_EQ(d.buffers_before, 11u);
  CHECK_EQ(d.entries_after, d.entries_before + d.counts.added() - d.counts.removed());
  CHECK_EQ(d.buffers_after, d.entries_after + 1);
  CHECK_EQ(summary(d.counts),
           "4 added (1 back from hold), 4 removed (1 on hold), 1 moved, 1 changed, 2 without events "
           "changed");
}

TEST_CASE("tables alone show what came, went, moved and went on hold") {
  auto before = plain_jobs(300);
  before[9].on_hold_since = 1'700'000'000;
  auto after = plain_jobs(300);
  after.erase(1);
  after[2].on_hold_since = 1'700'000'001;
  after[3].enabled = false;
  after[4].destination = "file:///elsewhere";
  after[5].name = "other label";
  after[400] = {400, "zones/z400", "file:///400", "", true, 0};
  const auto a = made_of(before, 3);
  const auto b = made_of(after, 4);
  for (const auto& d : {diff(*table_only(*a), *table_only(*b)), diff(*a, *table_only(*b)), diff(*table_only(*a), *b)}) {
    CHECK_EQ(numbers(d.ids({job_change::gone})), ids{1, 3});
    CHECK_EQ(numbers(d.ids({job_change::held})), ids{2});
    CHECK_EQ(numbers(d.ids({job_change::moved})), ids{4});
    CHECK_EQ(numbers(d.ids({job_change::restored})), ids{9});
    CHECK_EQ(numbers(d.ids({job_change::added})), ids{400});
    CHECK_EQ(d.counts.all(), 6u);
  }
}

TEST_CASE("changes are counted by tenant, the largest first, and only so many are listed") {
  owner_list owners;
  auto before = plain_jobs(300);
  for (int i = 1; i <= 5; ++i)
    owners.emplace_back("big", "z" + std::to_string(i));
  auto after = before;
  for (std::uint64_t i = 1; i <= 150; ++i)
    after[i].destination += "/moved";
  after.erase(2);
  const auto d = diff(*made_of(before, 1, owners), *made_of(after, 2, owners));
  CHECK_EQ(d.tenants_changed, 146u);
  REQUIRE_EQ(d.tenants.size(), config_diff::most_tenants);
  CHECK_EQ(d.tenants[0].tenant, "accounts/big");
  CHECK_EQ(d.tenants[0].counts.moved(), 4u);
  CHECK_EQ(d.tenants[0].counts.removed(), 1u);
  CHECK_EQ(d.tenants[1].counts.all(), 1u);
}

TEST_CASE("a job whose tenant is another one has changed") {
  const auto jobs = plain_jobs(20);
  const auto d = diff(*made_of(jobs, 1), *made_of(jobs, 2, {{"acc", "z7"}}));
  CHECK_EQ(numbers(d.ids({job_change::changed})), ids{7});
  CHECK_EQ(d.counts.all(), 1u);
}

TEST_CASE("everything differs from an empty config, and back") {
  const auto jobs = made_of(plain_jobs(30), 2);
  const config_snapshot empty;
  CHECK_EQ(diff(empty, *jobs).counts.added(), 30u);
  CHECK_EQ(diff(*jobs, empty).counts.removed(), 30u);
  CHECK_EQ(diff(*jobs, *made_of({}, 3)).counts.removed(), 30u);
  CHECK(diff(empty, empty).empty());
}

TEST_CASE("configs whose datasets have other numbers are compared by name") {
  const auto made = [](std::vector<dataset_config> datasets) {
    config_builder builder(std::move(datasets), {});
    for (const auto& [id, x] : plain_jobs(20)) {
      auto y = job_of(x);
      REQUIRE(builder.add(y, id));
    }
    return builder.finish({config_version{1}, {}, {}, ownership_epoch{1}, "weir", {}});
  };
  auto two = listed_datasets();
  two.insert(two.begin(), {"audit_logs", "AccountID", "", scope_kind::accounts, {}});
  const auto a = made(listed_datasets());
  const auto b = made(two);
  CHECK(a->content != b->content);
  CHECK(diff(*a, *b).empty());
  // Read by a node with other datasets, the hashes are those of what that node would write.
  forwarding_expectations expected;
  expected.cluster = "weir";
  expected.datasets = two;
  std::istringstream stream(bytes_of_config(*a));
  const auto loaded = load_forwarding_config(stream, expected);
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  CHECK(loaded.snapshot->content == b->content);
  std::istringstream again(bytes_of_config(*loaded.snapshot));
  CHECK_EQ(name_of(load_forwarding_config(again, expected).reason), "none");
}
