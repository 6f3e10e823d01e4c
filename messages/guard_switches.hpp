#pragma once

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

} // namespace weir
