#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "drills/delays.hpp"

/// The incident of 14 November 2024, replayed against a node: a blank config, then one that entitles everybody, and the
/// logs of everybody. Once with all guards on, then with one after the other switched off, each time on a node of its
/// own, so that each layer that is left is proven alone.
namespace weir::drills {

struct nov14_plan {
  std::string program;       ///< `weir`
  std::string place;         ///< Directory for nodes' stores: on the disk that is to be measured.
  std::string destinations;  ///< Where delivered objects go, as if to another machine: memory, if there is room.
  unsigned entitled = 1'000; ///< Jobs.
  unsigned known = 40'000;   ///< Scopes, the entitled ones among them.
  double load_share = 0.30;  ///< Of the rate that is measured first.
  double flood_factor = 2.0; ///< The flood, in the same unit.
  std::chrono::milliseconds calibrate{4'000}, before{12'000}, flood{20'000}, after{10'000};
  std::chrono::seconds normal_within{60};
  std::chrono::seconds upload_interval{4};   ///< Of the entitled jobs.
  std::uint64_t memory_bytes = 320ull << 20; ///< `limits.memory`
  std::uint64_t ladder_memory_bytes = 288ull
                                      << 20; ///< The same of the run `memory`: so little that the ladder is needed.
  std::uint64_t body_bytes = 256ull << 10;   ///< Raw.
  unsigned spare_buffers = 250;              ///< `limits.buffers` beyond the entitled ones: a quarter.
  std::vector<std::string> only;             ///< Names of variants; empty: all of them.
  bool keep = false;                         ///< Leave the nodes' directories behind.
};

struct bar {
  std::string what;
  std::string found;
  bool held = false;
};

struct nov14_variant {
  std::string name;                  ///< The first guard that is on: `publisher` (all are), `forwarders`, …
  std::vector<std::string> off;      ///< Switches.
  std::string error;                 ///< Why it could not be run to its end; empty if it was.
  span_delays before, during, after; ///< Of the entitled senders.
  std::uint64_t entitled_offered = 0, entitled_lost = 0, entitled_doubled = 0;
  std::uint64_t entitled_refused_bodies = 0; ///< Refused for now, and taken later.
  load_counts flood;
  double flood_seconds = 0;
  std::uint64_t ledger_difference = 0; ///< Between the entitled senders' receipts and the files that arrived.
  std::uint64_t buffers_asked = 0, buffers_admitted = 0;
  std::uint64_t memory_bytes = 0; ///< `limits.memory`
  std::uint64_t peak_resident_bytes = 0;
  double control_p99_s = -1;
  double normal_after_s = -1; ///< From the flood's end; -1: not within the time that was given.
  unsigned restarts = 0;
  std::map<std::string, double> guards; ///< How often each fired.
  std::vector<std::string> states;      ///< Overload states that were active at some time.
  std::vector<bar> bars;

  bool held() const;
};

struct nov14_report {
  double capacity_events_per_s = 0;
  nov14_plan plan;
  std::vector<nov14_variant> variants;
  std::string error;

  bool held() const;
};

/// Runs it. `say` gets a line for each step. Throws nothing: what cannot be done is in the report.
nov14_report run_nov14(const nov14_plan& plan, const std::function<void(const std::string&)>& say);

/// The table that stands beside the reported incident.
std::string nov14_markdown(const nov14_report& report);
std::string nov14_json(const nov14_report& report);

} // namespace weir::drills
