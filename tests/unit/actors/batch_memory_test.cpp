#include "actors/batch_memory.hpp"

#include <doctest/doctest.h>

using namespace weir;

namespace {

using knowledge = batch_memory::knowledge;
constexpr batch_id a{1, 1};
constexpr batch_id b{2, 2};
constexpr job_id one{1};
constexpr job_id two{2};
constexpr job_id three{3};

} // namespace

TEST_CASE("of a body it is known job by job what is under way, what is durable, and what is neither") {
  batch_memory memory;
  CHECK_FALSE(memory.knows(a));
  CHECK(memory.of(a, one) == knowledge::unknown);
  memory.begin(a, {three, one});
  CHECK(memory.knows(a));
  CHECK(memory.of(a, one) == knowledge::under_way);
  CHECK(memory.of(a, two) == knowledge::unknown);
  memory.durable(a, one);
  memory.failed(a, three);
  CHECK(memory.of(a, one) == knowledge::durable);
  CHECK(memory.of(a, three) == knowledge::unknown);
  CHECK(memory.of(b, one) == knowledge::unknown);
}

TEST_CASE("what is durable stays so when a repeat brings the rest") {
  batch_memory memory;
  memory.begin(a, {one});
  memory.durable(a, one);
  memory.begin(a, {two, one});
  CHECK(memory.of(a, one) == knowledge::durable);
  CHECK(memory.of(a, two) == knowledge::under_way);
}

TEST_CASE("a body that is done is forgotten, and what comes late about it has no effect") {
  batch_memory memory;
  memory.begin(a, {one});
  memory.done(a);
  CHECK_FALSE(memory.knows(a));
  memory.durable(a, one);
  memory.failed(a, one);
  memory.done(a);
  CHECK(memory.size() == 0);
}

TEST_CASE("beyond the limit the oldest bodies are forgotten, those that were done in between do not count") {
  batch_memory memory{3};
  for (std::uint64_t n = 1; n <= 1000; ++n) {
    memory.begin({n, n}, {one});
    if (n % 2 == 0)
      memory.done({n, n});
    CHECK(memory.size() <= 3);
  }
  CHECK(memory.knows({999, 999}));
  CHECK(memory.knows({997, 997}));
  CHECK_FALSE(memory.knows({991, 991}));
}

TEST_CASE("a body that was done and comes again is young again") {
  batch_memory memory{2};
  memory.begin(a, {one});
  memory.done(a);
  memory.begin(b, {one});
  memory.begin(a, {one});
  CHECK(memory.knows(a));
  CHECK(memory.knows(b));
}
