#include "actors/push_policy/circuit_breaker.hpp"

#include <doctest/doctest.h>

#include "actors/push_policy/concurrency_limit.hpp"
#include "actors/push_policy/retry_budget.hpp"
#include "simulated_push.hpp"

using namespace weir::push_policy;
using namespace std::chrono_literals;
using state = circuit_breaker::state;

namespace {

const time_point start{1h};

bool fail(circuit_breaker& breaker, failure_kind kind, time_point now, weir::random_source& random,
          std::optional<std::chrono::seconds> retry_after = {}) {
  return breaker.failed(kind, breaker.now_in() == state::half_open, false, retry_after, "why", now, random);
}

} // namespace

TEST_CASE("a backoff grows to its cap, never falls under its minimum, and differs between two jobs") {
  testing::seeded_random random(1);
  const backoff_settings how{1s, 60s};
  for (std::uint32_t failures = 0; failures < 100; ++failures) {
    std::chrono::milliseconds least = 1h, most = 0ms;
    for (int i = 0; i < 200; ++i) {
      const auto delay = backoff_delay(how, failures, random);
      least = std::min(least, delay);
      most = std::max(most, delay);
    }
    CHECK(least >= 1s);
    CHECK(most <= 60s);
    CHECK(most > least);
    if (failures >= 6) {
      CHECK(most > 50s);
      CHECK(least < 10s);
    }
  }
}

TEST_CASE("a circuit opens after five failures in a row, not after four and a success") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  for (int i = 0; i < 4; ++i)
    CHECK_FALSE(fail(breaker, failure_kind::silent, start, random));
  CHECK_FALSE(breaker.succeeded());
  for (int i = 0; i < 4; ++i)
    CHECK_FALSE(fail(breaker, failure_kind::answered, start, random));
  CHECK_EQ(breaker.now_in(), state::closed);
  CHECK(fail(breaker, failure_kind::answered, start + 1s, random));
  CHECK_EQ(breaker.now_in(), state::open);
  CHECK_EQ(breaker.since(), start + 1s);
  CHECK_EQ(breaker.reason(), "why");
  CHECK(breaker.probe_at() >= start + 2s);
  CHECK(breaker.probe_at() <= start + 3s);
}

TEST_CASE("a destination that rejects everything opens its circuit at once") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  CHECK(fail(breaker, failure_kind::rejected, start, random));
  CHECK_EQ(breaker.now_in(), state::open);
}

TEST_CASE("a failed probe opens the circuit for longer, but for at most the cap, and since when it says stays") {
  testing::seeded_random random(3);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  fail(breaker, failure_kind::rejected, start, random);
  auto now = start;
  for (int i = 0; i < 20; ++i) {
    now = breaker.probe_at();
    breaker.begin_probe();
    CHECK_FALSE(fail(breaker, failure_kind::silent, now, random));
    CHECK_EQ(breaker.now_in(), state::open);
    CHECK(breaker.probe_at() >= now + 1s);
    CHECK(breaker.probe_at() <= now + 30s);
    CHECK_EQ(breaker.since(), start);
  }
  breaker.begin_probe();
  CHECK(breaker.succeeded());
  CHECK_EQ(breaker.now_in(), state::closed);
  CHECK(breaker.reason().empty());
}

TEST_CASE("an upload from before the opening does not count as the probe when it fails late") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  fail(breaker, failure_kind::rejected, start, random);
  const auto before = breaker.probe_at();
  CHECK_FALSE(breaker.failed(failure_kind::silent, false, false, {}, "late", start + 1s, random));
  CHECK_EQ(breaker.probe_at(), before);
  breaker.begin_probe();
  CHECK_FALSE(breaker.failed(failure_kind::silent, false, false, {}, "late", start + 1s, random));
  CHECK_EQ(breaker.now_in(), state::half_open);
}

TEST_CASE("Retry-After is respected, and capped") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  CHECK(fail(breaker, failure_kind::answered, start, random, 20s));
  CHECK(breaker.probe_at() >= start + 20s);
  CHECK(breaker.probe_at() <= start + 22s);
  breaker.begin_probe();
  fail(breaker, failure_kind::answered, start, random, std::chrono::seconds{1'000'000'000});
  CHECK(breaker.probe_at() >= start + 300s);
  CHECK(breaker.probe_at() <= start + 330s);
}

TEST_CASE("refused bodies open the circuit only when there are more in a row than one poison event explains") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  for (int i = 0; i < 23; ++i)
    CHECK_FALSE(fail(breaker, failure_kind::content, start, random));
  CHECK(fail(breaker, failure_kind::content, start, random));
  breaker.begin_probe();
  fail(breaker, failure_kind::content, start, random);
  CHECK_EQ(breaker.now_in(), state::open);
}

TEST_CASE("a probe whose body is refused shows that the outage is over") {
  testing::seeded_random random(1);
  const breaker_settings settings;
  circuit_breaker breaker(settings);
  for (int i = 0; i < 5; ++i)
    fail(breaker, failure_kind::silent, start, random);
  breaker.begin_probe();
  fail(breaker, failure_kind::content, start, random);
  CHECK_EQ(breaker.now_in(), state::closed);
}

TEST_CASE("concurrency doubles per round while all goes well, up to its maximum") {
  const concurrency_settings settings;
  concurrency_limit limit(settings);
  auto now = start;
  CHECK_EQ(limit.value(), 1);
  for (std::uint32_t round = 0, expected = 1; round < 8; ++round) {
    const auto in_flight = limit.value();
    CHECK_EQ(in_flight, std::min(expected, settings.maximum));
    for (std::uint32_t i = 0; i < in_flight; ++i)
      limit.succeeded(1 << 20, 100ms, in_flight, now, now + 100ms);
    now += 100ms;
    expected *= 2;
  }
}

TEST_CASE("concurrency that is not used does not grow") {
  const concurrency_settings settings;
  concurrency_limit limit(settings);
  for (int i = 0; i < 1'000; ++i)
    limit.succeeded(1 << 20, 100ms, 1, start, start);
  CHECK(limit.value() <= 3);
}

TEST_CASE("failures of one round halve the concurrency once, and growth is careful from then on") {
  const concurrency_settings settings;
  concurrency_limit limit(settings);
  for (int i = 0; i < 100; ++i)
    limit.succeeded(1 << 20, 100ms, 32, start, start);
  REQUIRE_EQ(limit.value(), 32);
  for (int i = 0; i < 32; ++i)
    limit.failed(start, start + 1s);
  CHECK_EQ(limit.value(), 16);
  for (int i = 0; i < 16; ++i)
    limit.succeeded(1 << 20, 100ms, 16, start + 1s, start + 2s);
  CHECK(limit.value() <= 17);
  limit.restart();
  CHECK_EQ(limit.value(), 1);
}

TEST_CASE("concurrency falls to what a destination sustains when its answers become slow") {
  // A destination with room for 4: beyond it every upload waits its turn.
  const concurrency_settings settings;
  concurrency_limit limit(settings);
  auto now = start;
  for (int round = 0; round < 200; ++round) {
    const auto in_flight = limit.value();
    const auto took = std::chrono::milliseconds{200} * std::max<std::uint32_t>(1, (in_flight + 3) / 4);
    for (std::uint32_t i = 0; i < in_flight; ++i)
      limit.succeeded(256 << 10, took, in_flight, now, now + took);
    now += took;
  }
  CHECK(limit.value() >= 4);
  CHECK(limit.value() <= 20);
}

TEST_CASE("retries are a tenth of the first tries of the last minute, but never fewer than the minimum") {
  retry_budget budget({});
  auto now = start;
  for (int i = 0; i < 10; ++i)
    CHECK(budget.try_take(now));
  CHECK_FALSE(budget.try_take(now));
  for (int i = 0; i < 1'000; ++i)
    budget.count_first(now);
  CHECK_EQ(budget.left(now), 90);
  now += 30s;
  CHECK_EQ(budget.left(now), 90);
  now += 31s;
  CHECK_EQ(budget.left(now), 10);
  now += 24h;
  CHECK_EQ(budget.left(now), 10);
}
