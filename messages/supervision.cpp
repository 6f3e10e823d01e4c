#include "messages/supervision.hpp"

namespace weir {

std::string_view name_of(child_state state) noexcept {
  switch (state) {
    case child_state::running:
      return "running";
    case child_state::stopping:
      return "stopping";
    case child_state::restarting:
      return "restarting";
    case child_state::parked:
      return "parked";
    case child_state::stopped:
      return "stopped";
  }
  return "unknown";
}

} // namespace weir
