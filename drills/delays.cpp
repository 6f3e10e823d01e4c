#include "drills/delays.hpp"

#include <algorithm>

namespace weir::drills {

namespace {

constexpr double nanoseconds = 1e-9;

/// Of the times that bodies' events arrive, this many are looked at each: they differ by job, not by neighbour.
constexpr std::uint64_t looked_at_of_a_body = 64;

double seconds_between(std::int64_t from_ns, std::int64_t until_ns) {
  return static_cast<double>(until_ns - from_ns) * nanoseconds;
}

} // namespace

double quantile(std::vector<double>& values, double share) {
  if (values.empty())
    return -1;
  const auto at = std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

span_delays measure_span(const std::vector<body_fate>& fates, const arrivals& arrived, std::int64_t from_ns,
                         std::int64_t until_ns) {
  span_delays result;
  std::vector<double> acks, deliveries;
  for (const auto& body : fates) {
    if (body.due_ns < from_ns || body.due_ns >= until_ns)
      continue;
    result.events += body.count;
    if (body.answered_ns == 0) {
      result.unacknowledged += body.count;
      continue;
    }
    result.shed += body.shed;
    acks.push_back(seconds_between(body.due_ns, body.answered_ns));
    const auto step = std::max<std::uint64_t>(1, body.count / looked_at_of_a_body);
    std::uint64_t missing = 0;
    for (std::uint64_t i = 0; i < body.count; ++i) {
      const auto at = arrived.at_ns[body.first + i];
      if (at == 0)
        ++missing;
      else if (i % step == 0)
        deliveries.push_back(seconds_between(body.due_ns, at));
    }
    // What the answer itself called shed is no loss of something that was accepted.
    result.lost += missing - std::min<std::uint64_t>(missing, body.shed + body.not_entitled);
  }
  result.ack_p50 = quantile(acks, 0.5);
  result.ack_p99 = quantile(acks, 0.99);
  result.ack_max = quantile(acks, 1);
  result.delivery_p50 = quantile(deliveries, 0.5);
  result.delivery_p99 = quantile(deliveries, 0.99);
  result.delivery_max = quantile(deliveries, 1);
  return result;
}

std::int64_t last_late_ns(const std::vector<body_fate>& fates, const arrivals& arrived, std::int64_t from_ns,
                          double most_ack_s, double most_delivery_s) {
  std::int64_t last = 0;
  for (const auto& body : fates) {
    if (body.due_ns < from_ns)
      continue;
    bool late = body.answered_ns == 0 || seconds_between(body.due_ns, body.answered_ns) > most_ack_s;
    for (std::uint64_t i = 0; !late && i < body.count; ++i)
      late = arrived.at_ns[body.first + i] == 0
             || seconds_between(body.due_ns, arrived.at_ns[body.first + i]) > most_delivery_s;
    if (late)
      last = std::max(last, body.due_ns);
  }
  return last;
}

} // namespace weir::drills
