#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "config/destination.hpp"
#include "config/forwarding_config.hpp"

namespace weir {

/// What a config of an external generator is checked against.
struct external_expectations {
  /// `in_force`: the generator's versions up to this one are refused; pass the last one accepted less one and
  /// compare `content` to see an unchanged document. `max_jobs`: `readable_jobs`. `keys`:
  /// `forwarding.public_key_file`; if there are any, unsigned configs are refused, and so the JSON form.
  forwarding_expectations config;
  /// Account and zone of `[[accounts]]`: a document may repeat and complete them, not contradict them.
  std::vector<std::pair<std::string, std::string>> owners;
  destination_rules destinations;         ///< `rules_for_destinations(config, job_origin::external)`
  std::uint64_t store_max_bytes = 0;      ///< Upper bound of a job's quota; 0: not known.
  std::uint64_t max_bytes = 256ull << 20; ///< `forwarding.max_bytes`; a longer one is refused as `too_large`.
};

/// Reads a forwarding config that another program made, in the protobuf form of `forwarding_config.hpp`
/// or the JSON form of docs/forwarding-config.md, whichever it is; every job is checked like a declared
/// one. Nothing of it is used if anything is wrong.
///
/// Streamed: memory holds the snapshot that is made, and of the text one job at a time. The snapshot's version and
/// parent are the generator's.
forwarding_config_result load_external_config(std::istream& from, const external_expectations& expected);

} // namespace weir
