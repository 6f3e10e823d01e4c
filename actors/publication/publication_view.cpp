#include "actors/publication/publication_view.hpp"

namespace weir {

std::string_view name_of(rollout_stage stage) noexcept {
  constexpr std::string_view names[] = {"idle", "receivers", "canary", "tenth", "all", "returning"};
  return names[static_cast<std::size_t>(stage)];
}

std::string_view name_of(version_outcome outcome) noexcept {
  constexpr std::string_view names[] = {"rolling_out", "complete", "stopped", "interrupted"};
  return names[static_cast<std::size_t>(outcome)];
}

std::string_view name_of(config_command::order what) noexcept {
  constexpr std::string_view names[] = {"approve", "reject", "rollback", "freeze", "unfreeze", "publish"};
  return names[static_cast<std::size_t>(what)];
}

} // namespace weir
