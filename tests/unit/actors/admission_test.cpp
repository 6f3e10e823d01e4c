#include "actors/admission.hpp"

#include <doctest/doctest.h>

#include "actors/backlog_wheel.hpp"
#include "actors/tenant_shares.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

constexpr buffer_admission::time_point start{std::chrono::hours{5}};

} // namespace

TEST_CASE("new buffers are admitted up to their number, whatever the rate") {
  buffer_admission gate{{10, 1'000, 1'000}};
  for (int i = 0; i < 10; ++i)
    CHECK_FALSE(gate.admit(start));
  CHECK(gate.admit(start) == shed_reason::buffer_count);
  gate.released(2);
  CHECK_FALSE(gate.admit(start));
  CHECK(gate.buffers() == 9);
  CHECK(gate.refused() == 1);
}

TEST_CASE("buffers that recovery found count, and are never refused") {
  buffer_admission gate{{10, 1'000, 1'000}};
  gate.count_existing(25);
  CHECK(gate.buffers() == 25);
  CHECK(gate.admit(start) == shed_reason::buffer_count);
  gate.released(20);
  CHECK_FALSE(gate.admit(start));
}

TEST_CASE("new buffers come at their rate once the burst is spent") {
  buffer_admission gate{{1'000'000, 100, 50}};
  for (int i = 0; i < 50; ++i)
    CHECK_FALSE(gate.admit(start));
  CHECK(gate.admit(start) == shed_reason::creation_rate);
  int admitted = 0;
  for (auto t = start; t < start + 10s; t += 1ms)
    admitted += gate.admit(t) ? 0 : 1;
  CHECK(admitted >= 995);
  CHECK(admitted <= 1001);
  int later = 0;
  while (!gate.admit(start + 1h)) // the bucket holds no more than the burst
    ++later;
  CHECK(later == 50);
}

TEST_CASE("a config that was accepted whole fills the bucket for all its jobs, once") {
  buffer_admission gate{{1'000'000, 1, 10}};
  gate.expect(500);
  for (int i = 0; i < 500; ++i)
    CHECK_FALSE(gate.admit(start));
  CHECK(gate.admit(start) == shed_reason::creation_rate);
  CHECK_FALSE(gate.admit(start + 1s));
  CHECK(gate.admit(start + 1s) == shed_reason::creation_rate);
}

TEST_CASE("the wheel gives a slot back at its time, not before, and once for each entry") {
  backlog_wheel wheel;
  std::vector<std::uint32_t> due;
  for (int i = 0; i < 500; ++i)
    wheel.enter(static_cast<std::uint32_t>(i), start + i * 7ms);
  std::size_t seen = 0;
  for (auto t = start - 1s; t <= start + 4s; t += 13ms) {
    due.clear();
    wheel.take_due(t, due);
    for (auto slot : due)
      CHECK(start + slot * 7ms <= t);
    seen += due.size();
    // None is late by more than a tick and the step.
    if (t > start + 63ms)
      CHECK(seen >= std::min<std::size_t>(500, static_cast<std::size_t>((t - start - 63ms) / 7ms)));
  }
  CHECK(seen == 500);
  CHECK(wheel.empty());
  wheel.enter(7, start);
  wheel.enter(7, start);
  due.clear();
  wheel.take_due(start + 1s, due);
  CHECK(due.size() == 2);
}

TEST_CASE("a tenant's share is no matter while half of the memory is free, and a bound once it is not") {
  const auto total = std::make_shared<credit_window>(credit_window::limits{1000, 1'000'000});
  tenant_shares shares{total, 0.25};
  credit held;
  CHECK(shares.admit(config_version{1}, 7, 900, held)); // nobody else's loss
  const auto used = credit::acquire(total, 500);
  credit first, second, other;
  CHECK(shares.admit(config_version{1}, 7, 200, first));
  CHECK_FALSE(shares.admit(config_version{1}, 7, 100, second));
  CHECK(shares.admit(config_version{1}, 8, 100, other));
  first.release();
  CHECK(shares.admit(config_version{1}, 7, 100, second));
  // In another config the number may mean somebody else: it begins anew.
  credit fresh;
  CHECK(shares.admit(config_version{2}, 7, 250, fresh));
}
