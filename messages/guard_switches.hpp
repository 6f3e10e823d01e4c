#pragma once

#include <string>
#include <vector>

namespace weir {

/// Which guards are on. All of them, always: only `weir run --scratch --unsafe-off=…` clears one, for
/// the drill that proves what is left when a guard fails. The memory ladder has no switch.
struct guard_switches {
  bool publisher_guards = true; ///< The publisher judges changes.
  bool forwarder_guards = true; ///< Forwarders judge offers by themselves.
  bool receiver_guards = true;  ///< Receivers judge offers, and so check entitlement by what they accepted.
  bool admission = true;        ///< New buffers are admitted by count and rate.

  bool all() const noexcept { return publisher_guards && forwarder_guards && receiver_guards && admission; }
};

/// Clears the named switches. Empty, or which name is none of theirs.
std::string switch_off(const std::vector<std::string>& names, guard_switches& into);
/// The names of those that are off.
std::vector<std::string> names_of_off(const guard_switches& guards);

} // namespace weir
