#include "config/config_snapshot.hpp"

namespace weir {

std::optional<dataset_index> config_snapshot::find_dataset(std::string_view name) const noexcept {
  // A handful of datasets: a walk is quicker than a hash, and this is asked once a body.
  for (std::size_t i = 0; i < datasets.size(); ++i)
    if (datasets[i].name == name)
      return static_cast<dataset_index>(i);
  return std::nullopt;
}

std::optional<job_settings> config_snapshot::find_job(job_id id) const noexcept {
  const auto at = jobs.find(id);
  if (!at)
    return std::nullopt;
  return jobs.at(*at);
}

std::size_t config_snapshot::memory_bytes() const noexcept {
  return sizeof *this + tenants.memory_bytes() + table.memory_bytes() + jobs.memory_bytes()
         + by_scope.capacity() * sizeof(settings_index);
}

} // namespace weir
