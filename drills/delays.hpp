#pragma once

#include <cstdint>
#include <vector>

#include "drills/arrivals.hpp"
#include "drills/load_sender.hpp"

namespace weir::drills {

/// The value below which a share of the values lies; -1 for none at all.
double quantile(std::vector<double>& values, double share);

/// What the events that became due in a span of time experienced. Seconds.
struct span_delays {
  std::uint64_t events = 0;
  std::uint64_t unacknowledged = 0; ///< Events of bodies without an answer 200.
  std::uint64_t shed = 0;           ///< Acknowledged as not stored.
  std::uint64_t lost = 0;           ///< Acknowledged as stored, and did not arrive.
  double ack_p50 = -1, ack_p99 = -1, ack_max = -1;
  double delivery_p50 = -1, delivery_p99 = -1, delivery_max = -1;
};

/// Of the bodies that became due in [from_ns, until_ns). Each event counts, not each body.
span_delays measure_span(const std::vector<body_fate>& fates, const arrivals& arrived, std::int64_t from_ns,
                         std::int64_t until_ns);

/// When the last event became due, at or after `from_ns`, that was acknowledged later than `most_ack_s` or arrived
/// later than `most_delivery_s`; 0 if there was none.
std::int64_t last_late_ns(const std::vector<body_fate>& fates, const arrivals& arrived, std::int64_t from_ns,
                          double most_ack_s, double most_delivery_s);

} // namespace weir::drills
