#include <doctest/doctest.h>

#include <vector>

#include "drills/delays.hpp"

using namespace weir::drills;

namespace {

constexpr std::int64_t second = 1'000'000'000;

body_fate body(std::uint64_t first, std::uint32_t count, std::int64_t due, std::int64_t answered) {
  body_fate x;
  x.first = first;
  x.count = count;
  x.due_ns = due;
  x.answered_ns = answered;
  x.accepted = answered != 0 ? count : 0;
  return x;
}

} // namespace

TEST_CASE("delays count from the moment a body was due, in the span in which it was due") {
  const std::vector<body_fate> fates{body(0, 10, 10 * second, 11 * second), body(10, 10, 20 * second, 23 * second)};
  arrivals arrived;
  arrived.at_ns.assign(20, 14 * second);
  std::fill(arrived.at_ns.begin() + 10, arrived.at_ns.end(), 29 * second);
  const auto early = measure_span(fates, arrived, 0, 20 * second);
  CHECK_EQ(early.events, 10u);
  CHECK_EQ(early.ack_p99, doctest::Approx(1));
  CHECK_EQ(early.delivery_p99, doctest::Approx(4));
  const auto late = measure_span(fates, arrived, 20 * second, 30 * second);
  CHECK_EQ(late.events, 10u);
  CHECK_EQ(late.ack_p50, doctest::Approx(3));
  CHECK_EQ(late.delivery_max, doctest::Approx(9));
  CHECK_EQ(late.lost, 0u);
}

TEST_CASE(
    "an event that was acknowledged and did not arrive is lost, one that was shed is not, and one without an answer is "
    "neither") {
  std::vector<body_fate> fates{body(0, 10, second, 2 * second), body(10, 10, second, 2 * second),
                               body(20, 10, second, 0)};
  fates[1].shed = 4;
  arrivals arrived;
  arrived.at_ns.assign(30, 3 * second);
  arrived.at_ns[3] = 0;
  for (int i = 10; i < 15; ++i)
    arrived.at_ns[static_cast<std::size_t>(i)] = 0;
  const auto all = measure_span(fates, arrived, 0, 10 * second);
  CHECK_EQ(all.lost, 2u); // one of the first body, and one more than was shed of the second
  CHECK_EQ(all.shed, 4u);
  CHECK_EQ(all.unacknowledged, 10u);
}

TEST_CASE("the last late event says when a node was normal again") {
  const std::vector<body_fate> fates{body(0, 1, 10 * second, 11 * second), body(1, 1, 20 * second, 29 * second),
                                     body(2, 1, 30 * second, 31 * second)};
  arrivals arrived;
  arrived.at_ns = {12 * second, 30 * second, 39 * second};
  CHECK_EQ(last_late_ns(fates, arrived, 0, 2, 20), 20 * second);
  CHECK_EQ(last_late_ns(fates, arrived, 0, 2, 5), 30 * second);
  CHECK_EQ(last_late_ns(fates, arrived, 0, 10, 20), 0);
  arrived.at_ns[0] = 0;
  CHECK_EQ(last_late_ns(fates, arrived, 0, 10, 20), 10 * second);
  CHECK_EQ(last_late_ns(fates, arrived, 15 * second, 10, 20), 0);
}

TEST_CASE("a quantile of nothing is no number that could pass for a delay") {
  std::vector<double> none, three{3, 1, 2};
  CHECK_EQ(quantile(none, 0.99), -1);
  CHECK_EQ(quantile(three, 0.5), 2);
  CHECK_EQ(quantile(three, 1), 3);
}
