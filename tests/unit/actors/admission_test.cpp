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
  for (tenant_key i = 0; i < 10; ++i)
    CHECK_FALSE(gate.admit(i, start));
  CHECK(gate.admit(10, start) == shed_reason::buffer_count);
  gate.released(3);
  gate.released(4);
  CHECK_FALSE(gate.admit(10, start));
  CHECK(gate.buffers() == 9);
  CHECK(gate.refused() == 1);
  const auto seen = gate.look();
  CHECK(seen.created == 11);
  CHECK(seen.refused[static_cast<std::size_t>(shed_reason::buffer_count)] == 1);
}

TEST_CASE("buffers that recovery found count, and are never refused") {
  buffer_admission gate{{10, 1'000, 1'000}};
  for (tenant_key i = 0; i < 25; ++i)
    gate.count_existing(i);
  CHECK(gate.buffers() == 25);
  CHECK(gate.admit(99, start) == shed_reason::buffer_count);
  for (tenant_key i = 0; i < 20; ++i)
    gate.released(i);
  CHECK_FALSE(gate.admit(99, start));
}

TEST_CASE("new buffers come at their rate once the burst is spent") {
  buffer_admission gate{{1'000'000, 100, 50}};
  tenant_key next = 1;
  for (int i = 0; i < 50; ++i)
    CHECK_FALSE(gate.admit(next++, start));
  CHECK(gate.admit(next++, start) == shed_reason::creation_rate);
  int admitted = 0;
  for (auto t = start; t < start + 10s; t += 1ms)
    admitted += gate.admit(next++, t) ? 0 : 1;
  CHECK(admitted >= 995);
  CHECK(admitted <= 1001);
  int later = 0;
  while (!gate.admit(next++, start + 1h)) // the bucket holds no more than the burst
    ++later;
  CHECK(later == 50);
}

TEST_CASE("a config that was known good fills the bucket for all its jobs at the start, and no more than may exist") {
  buffer_admission gate{{1'000'000, 1, 10}};
  gate.expect(500);
  // Of one tenant, all of them: what is expected is nobody's loss.
  for (int i = 0; i < 500; ++i)
    CHECK_FALSE(gate.admit(7, start));
  tenant_key next = 8;
  int more = 0;
  while (!gate.admit(next++, start))
    ++more;
  CHECK(more <= 5); // half a burst
  CHECK(gate.admit(next, start) == shed_reason::creation_rate);
  CHECK_FALSE(gate.admit(next, start + 1s));
  CHECK(gate.admit(++next, start + 1s) == shed_reason::creation_rate);
  buffer_admission small{{100, 1, 10}};
  small.expect(1'000'000);
  int admitted = 0;
  while (!small.admit(next++, start))
    ++admitted;
  CHECK(admitted == 100);
  for (tenant_key i = 0; i < 90; ++i)
    small.released(next - 2 - i);
  admitted = 0;
  while (!small.admit(next++, start))
    ++admitted;
  CHECK(admitted <= 5);
}

TEST_CASE("OVL-02: one tenant takes half of the buffers at most, and others get theirs though it asks for all") {
  buffer_admission gate{{1'000, 1'000'000, 1'000'000, 0.25}};
  std::uint64_t hot = 0;
  std::optional<shed_reason> last;
  for (int i = 0; i < 40'000; ++i)
    if (!(last = gate.admit(1, start)))
      ++hot;
  CHECK(hot == 500);
  CHECK(last == shed_reason::tenant_share);
  CHECK(gate.look().most_of_a_tenant == 500);
  // Others get their quarter each while there is room.
  std::uint64_t second = 0;
  while (!(last = gate.admit(2, start)))
    ++second;
  CHECK(second == 250);
  CHECK(last == shed_reason::tenant_share);
  for (tenant_key i = 3; i < 253; ++i)
    CHECK_FALSE(gate.admit(i, start));
  CHECK(gate.admit(253, start) == shed_reason::buffer_count);
  // With room again the hot one is still the first to be refused, until it is short no more.
  gate.released(2, 250);
  CHECK(gate.admit(1, start) == shed_reason::tenant_share);
  gate.released(1, 300);
  CHECK_FALSE(gate.admit(1, start));
}

TEST_CASE(
    "OVL-02: one tenant that asks at any speed leaves the others half of the bucket, and gets its share of the rate") {
  buffer_admission gate{{1'000'000, 1'000, 1'000, 0.25}};
  int hot = 0, others = 0, refused_others = 0;
  tenant_key next = 2;
  for (auto t = start; t < start + 10s; t += 1ms) {
    for (int i = 0; i < 40; ++i) // forty times the rate
      hot += gate.admit(1, t) ? 0 : 1;
    if ((t - start) / 1ms % 4 == 0)
      gate.admit(next++, t) ? ++refused_others : ++others;
  }
  CHECK(refused_others == 0);
  CHECK(others == 2'500);
  CHECK(hot >= 2'900); // half of the bucket and a quarter of the rate, and what nobody else wants
  CHECK(hot <= 8'100);
}

TEST_CASE("without this guard everything is admitted, and counted all the same") {
  buffer_admission::limits off{10, 1, 1};
  off.enforced = false;
  buffer_admission gate{off};
  for (int i = 0; i < 1'000; ++i)
    CHECK_FALSE(gate.admit(1, start));
  CHECK(gate.buffers() == 1'000);
  CHECK(gate.refused() == 0);
}

TEST_CASE("a job that changes its owner takes its buffer along") {
  buffer_admission gate{{4, 1'000, 1'000, 0.25}};
  CHECK_FALSE(gate.admit(1, start));
  CHECK_FALSE(gate.admit(2, start));
  CHECK(gate.admit(1, start) == shed_reason::tenant_share);
  gate.moved(1, 2);
  CHECK(gate.buffers() == 2);
  CHECK_FALSE(gate.admit(1, start));
  CHECK(gate.admit(2, start) == shed_reason::tenant_share);
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
