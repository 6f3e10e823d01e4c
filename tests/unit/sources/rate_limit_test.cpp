#include <doctest/doctest.h>

#include "actors/sources/rate_limit.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

const token_rates::time start{std::chrono::hours{1}};

} // namespace

TEST_CASE("a token may send its rate, with one second's worth at once") {
  token_rates rates{{10, 1e9, 1e9}};
  int admitted = 0;
  for (auto now = start; now < start + 10s; now += 1ms)
    if (!rates.admit(now))
      ++admitted;
  CHECK_GE(admitted, 109);
  CHECK_LE(admitted, 111);
}

TEST_CASE("a refusal says when the next request passes, and it does") {
  token_rates rates{{2, 1e9, 1e9}};
  CHECK_FALSE(rates.admit(start));
  CHECK_FALSE(rates.admit(start));
  const auto wait = rates.admit(start);
  REQUIRE(wait);
  CHECK_FALSE(rates.admit(start + *wait));
}

TEST_CASE("a body larger than a second's worth passes, and its debt is paid by waiting") {
  token_rates rates{{1'000, 1'000, 1'000}};
  CHECK_FALSE(rates.admit(start));
  rates.charge(11'000, 0, start);
  const auto wait = rates.admit(start);
  REQUIRE(wait);
  CHECK_GE(*wait, 10s);
  CHECK_LE(*wait, 10s + 1ms);
  CHECK(rates.admit(start + 9s));
  CHECK_FALSE(rates.admit(start + *wait));
}

TEST_CASE("events are charged after the fact and refuse the next request") {
  token_rates rates{{1'000, 1e9, 100}};
  CHECK_FALSE(rates.admit(start));
  rates.charge(0, 300, start);
  const auto wait = rates.admit(start);
  REQUIRE(wait);
  CHECK_GE(*wait, 2s);
}

TEST_CASE("a clock that stands still or goes back refills nothing") {
  token_rates rates{{1, 1e9, 1e9}};
  CHECK_FALSE(rates.admit(start));
  CHECK(rates.admit(start));
  CHECK(rates.admit(start - 1h));
  CHECK(rates.admit(start));
}

TEST_CASE("one token's rate does not touch another's, and a named one has its own") {
  rate_limiter limiter{{1, 1e9, 1e9}, {{"big", {3, 1e9, 1e9}}}};
  CHECK_FALSE(limiter.admit("a", start));
  CHECK(limiter.admit("a", start));
  CHECK_FALSE(limiter.admit("b", start));
  CHECK_FALSE(limiter.admit("big", start));
  CHECK_FALSE(limiter.admit("big", start));
  CHECK_FALSE(limiter.admit("big", start));
  CHECK(limiter.admit("big", start));
  limiter.reset({2, 1e9, 1e9}, {});
  CHECK_FALSE(limiter.admit("big", start));
  CHECK_FALSE(limiter.admit("big", start));
  CHECK(limiter.admit("big", start));
}
