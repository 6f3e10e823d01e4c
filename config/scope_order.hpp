#pragma once

#include <cstdint>
#include <vector>

#include "config/job_settings_table.hpp"

namespace weir {

/// A row and the hash of its scope, whose upper byte is its part of the forwarding config.
struct scope_ordered {
  std::uint64_t hash = 0;
  std::uint32_t row = 0;

  unsigned part() const noexcept { return static_cast<unsigned>(hash >> 56); }
};

/// All jobs in the order of the forwarding config: by the scope's hash, then scope, dataset and job.
std::vector<scope_ordered> jobs_by_scope(const job_settings_table& jobs);

} // namespace weir
