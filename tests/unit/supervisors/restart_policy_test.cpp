#include "supervisors/restart_policy.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/support/fake_random.hpp"

using namespace std::chrono_literals;

namespace weir::test {

namespace {

/// Always the same place between 0 and the bound.
struct fixed_random final : random_source {
  explicit fixed_random(std::uint64_t x) : value(x) {}
  std::uint64_t next() override { return value; }
  std::uint64_t value;
};

const restart_policy::time_point begin{std::chrono::hours{1}};

} // namespace

TEST_CASE("the bound of the delay doubles with each crash and stays below its maximum") {
  restart_policy policy{{6, 60s, 100ms, 1s}};
  for (auto bound : {100, 200, 400, 800, 1000, 1000}) {
    fixed_random highest{static_cast<std::uint64_t>(bound)}; // below(bound + 1) keeps it as it is
    CHECK_EQ(policy.crashed(begin, highest), std::chrono::milliseconds{bound});
  }
}

TEST_CASE("delays are spread over the whole range below their bound") {
  fake_random random{42};
  auto least = 1000ms;
  auto most = 0ms;
  for (int i = 0; i < 1000; ++i) {
    restart_policy policy{{5, 60s, 100ms, 1s}};
    const auto delay = policy.crashed(begin, random).value();
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  CHECK_LE(least, 5ms);
  CHECK_GE(most, 95ms);
  CHECK_LE(most, 100ms);
}

TEST_CASE("the budget is spent by one crash more than allowed within the period, and not by slower ones") {
  fixed_random now{0};
  SUBCASE("all at once") {
    restart_policy policy{{2, 10s, 0ms, 0ms}};
    CHECK(policy.crashed(begin, now));
    CHECK(policy.crashed(begin + 1s, now));
    CHECK_FALSE(policy.crashed(begin + 9999ms, now));
  }
  SUBCASE("slowly") {
    restart_policy policy{{2, 10s, 0ms, 0ms}};
    for (int i = 0; i < 100; ++i)
      CHECK(policy.crashed(begin + i * 5s, now));
  }
  SUBCASE("spent budgets come back with time, or at once by a reset") {
    restart_policy policy{{1, 10s, 0ms, 0ms}};
    CHECK(policy.crashed(begin, now));
    CHECK_FALSE(policy.crashed(begin, now));
    CHECK(policy.crashed(begin + 10s, now));
    CHECK_FALSE(policy.crashed(begin + 10s, now));
    policy.reset();
    CHECK(policy.crashed(begin + 10s, now));
  }
}

TEST_CASE("limits under which a crash loop would never be stopped are refused") {
  CHECK_FALSE(problem_of(restart_limits{}));
  CHECK(problem_of(restart_limits{0, 1s, 0ms, 0ms}));
  CHECK(problem_of(restart_limits{5, 0ms, 0ms, 0ms}));
  CHECK(problem_of(restart_limits{5, 60s, 2s, 1s}));
  CHECK(problem_of(restart_limits{5, 60s, -1ms, 1s}));
  CHECK(problem_of(restart_limits{5, 3100ms, 100ms, 10s}));
  CHECK_FALSE(problem_of(restart_limits{5, 3101ms, 100ms, 10s}));
}

} // namespace weir::test
