#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::drills {

/// When each event of one sender arrived, by its counter, out of the files of a directory. The time is the
/// file system's of the moment an object got its name: a destination's own clock, whatever the node says.
struct arrivals {
  std::vector<std::int64_t> at_ns;  ///< By counter; 0: did not arrive. The first time, if it came twice.
  std::uint64_t arrived = 0;        ///< Different events.
  std::uint64_t doubled = 0;        ///< Events that came again.
  std::uint64_t foreign_events = 0; ///< Of other senders.
  std::uint64_t unknown_events = 0; ///< Without a sender, or with a counter nobody sent.
  std::uint64_t objects = 0;
  std::uint64_t damaged = 0; ///< Objects that do not unpack.
  std::string first_damage;
};

/// Reads every `*.log.gz` below a directory with two threads. `seed` is the sender's, `counters` how many events
/// it made at most, from 0.
arrivals read_arrivals(const std::string& directory, std::uint64_t seed, std::uint64_t counters, unsigned threads = 2);

} // namespace weir::drills
