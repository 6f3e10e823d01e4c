#include "actors/push_policy/fair_queue.hpp"

#include <chrono>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "simulated_push.hpp"

using namespace weir::push_policy;

namespace {

fair_queue::item item(std::uint64_t tenant, std::uint64_t order, std::uint64_t cost = 1) {
  return {order, tenant_number{tenant}, cost, order};
}

} // namespace

TEST_CASE("jobs of one tenant go in the order in which they came") {
  fair_queue queue;
  for (std::uint64_t i = 1; i <= 5; ++i)
    queue.push(item(7, i));
  for (std::uint64_t i = 1; i <= 5; ++i)
    CHECK_EQ(queue.pop()->id, i);
  CHECK_FALSE(queue.pop());
}

TEST_CASE("a tenant with one job waits for one job of the tenant with a thousand") {
  fair_queue queue;
  for (std::uint64_t i = 1; i <= 1'000; ++i)
    queue.push(item(1, i));
  CHECK_EQ(queue.pop()->id, 1);
  queue.push(item(2, 2'000));
  const auto second = queue.pop()->id;
  const auto third = queue.pop()->id;
  CHECK((second == 2'000 || third == 2'000));
}

TEST_CASE("tenants share by bytes, not by number of jobs") {
  fair_queue queue;
  std::uint64_t order = 1;
  for (int i = 0; i < 1'000; ++i) {
    queue.push(item(1, order++, 100));
    queue.push(item(2, order++, 1'000));
  }
  std::map<std::uint64_t, std::uint64_t> bytes;
  for (int i = 0; i < 500; ++i) {
    const auto x = queue.pop();
    bytes[static_cast<std::uint64_t>(x->tenant)] += x->cost;
  }
  const auto ratio = static_cast<double>(bytes[1]) / static_cast<double>(bytes[2]);
  CHECK(ratio > 0.95);
  CHECK(ratio < 1.05);
}

TEST_CASE("a tenant that paused has no credit for the pause") {
  fair_queue queue;
  std::uint64_t order = 1;
  for (int i = 0; i < 100; ++i)
    queue.push(item(1, order++));
  for (int i = 0; i < 50; ++i)
    queue.pop();
  for (int i = 0; i < 50; ++i)
    queue.push(item(2, order++));
  int of_two = 0;
  for (int i = 0; i < 20; ++i)
    of_two += queue.pop()->tenant == tenant_number{2};
  CHECK(of_two >= 9);
  CHECK(of_two <= 11);
}

TEST_CASE("a tenant that was served ahead keeps its debt while others wait") {
  fair_queue queue;
  queue.push(item(1, 1, 1'000));
  queue.push(item(2, 2, 100));
  queue.push(item(2, 3, 100));
  queue.push(item(2, 4, 100));
  CHECK_EQ(queue.pop()->tenant, tenant_number{1});
  queue.push(item(1, 5, 1'000));
  for (int i = 0; i < 3; ++i)
    CHECK_EQ(queue.pop()->tenant, tenant_number{2});
  CHECK_EQ(queue.pop()->tenant, tenant_number{1});
}

TEST_CASE("what is given back stands where it stood and costs nothing") {
  fair_queue queue;
  queue.push(item(1, 1, 10));
  queue.push(item(2, 2, 10));
  queue.push(item(1, 3, 10));
  const auto first = queue.pop();
  REQUIRE_EQ(first->id, 1);
  queue.give_back(*first);
  CHECK_EQ(queue.pop()->id, 1);
  CHECK_EQ(queue.pop()->id, 2);
  CHECK_EQ(queue.pop()->id, 3);
}

TEST_CASE("a removed job is gone and the others are not") {
  fair_queue queue;
  queue.push(item(1, 1));
  queue.push(item(1, 2));
  CHECK(queue.remove(tenant_number{1}, 1));
  CHECK_FALSE(queue.remove(tenant_number{1}, 1));
  CHECK_FALSE(queue.remove(tenant_number{3}, 2));
  CHECK_EQ(queue.size(), 1);
  CHECK_EQ(queue.pop()->id, 2);
}

TEST_CASE("a suspended tenant is left out until it is resumed, and keeps its jobs") {
  fair_queue queue;
  queue.push(item(1, 1));
  queue.push(item(2, 2));
  CHECK(queue.suspend(tenant_number{1}));
  CHECK_FALSE(queue.suspend(tenant_number{1}));
  queue.push(item(1, 3));
  CHECK_EQ(queue.pop()->id, 2);
  CHECK_FALSE(queue.pop());
  CHECK_EQ(queue.size(), 2);
  CHECK(queue.resume(tenant_number{1}));
  CHECK_FALSE(queue.resume(tenant_number{1}));
  CHECK_EQ(queue.pop()->id, 1);
  CHECK_EQ(queue.pop()->id, 3);
}

TEST_CASE("whatever is done to it, nothing is lost or doubled and no tenant falls behind") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    testing::seeded_random random(seed);
    fair_queue queue;
    std::map<std::uint64_t, fair_queue::item> inside; // by order
    std::uint64_t order = 1;
    for (int step = 0; step < 5'000; ++step) {
      const auto dice = random.below(10);
      if (dice < 5) {
        const auto x = item(random.below(8), order++, 1 + random.below(100));
        queue.push(x);
        inside[x.order] = x;
      } else if (dice < 8) {
        if (const auto x = queue.pop()) {
          REQUIRE(inside.erase(x->order) == 1);
          if (random.below(4) == 0) {
            queue.give_back(*x);
            inside[x->order] = *x;
          }
        } else {
          REQUIRE(inside.empty());
        }
      } else if (!inside.empty()) {
        const auto victim = inside.lower_bound(random.below(order));
        if (victim != inside.end()) {
          REQUIRE(queue.remove(victim->second.tenant, victim->first));
          inside.erase(victim);
        }
      }
      REQUIRE(queue.size() == inside.size());
    }
    // Backlogged tenants get the same bytes within one item's cost of each other.
    fair_queue shares;
    std::map<std::uint64_t, std::uint64_t> bytes;
    for (std::uint64_t i = 0; i < 4'000; ++i)
      shares.push(item(i % 8, order++, 1 + random.below(100)));
    for (int i = 0; i < 2'000; ++i) {
      const auto x = shares.pop();
      bytes[static_cast<std::uint64_t>(x->tenant)] += x->cost;
    }
    auto least = bytes.begin()->second, most = least;
    for (const auto& [tenant, n] : bytes) {
      least = std::min(least, n);
      most = std::max(most, n);
    }
    CHECK(most - least <= 200);
  }
}
