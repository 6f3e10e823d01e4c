#include "config/scope_order.hpp"

#include <algorithm>
#include <tuple>

namespace weir {

std::vector<scope_ordered> jobs_by_scope(const job_settings_table& jobs) {
  std::vector<scope_ordered> result(jobs.size());
  for (std::uint32_t row = 0; row < result.size(); ++row) {
    const auto scope = split_scope(jobs.scope(row));
    result[row] = {scope_hash(scope.kind, scope.id), row};
  }
  // Nearly all comparisons end with the hash, which lies in the vector itself.
  std::sort(result.begin(), result.end(), [&](const scope_ordered& a, const scope_ordered& b) {
    if (a.hash != b.hash)
      return a.hash < b.hash;
    const auto x = jobs.at(a.row);
    const auto y = jobs.at(b.row);
    return std::tie(x.scope, x.dataset, x.job) < std::tie(y.scope, y.dataset, y.job);
  });
  return result;
}

} // namespace weir
