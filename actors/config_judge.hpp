#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "actors/config_gate.hpp"
#include "actors/role_configs.hpp"
#include "messages/environment.hpp"

namespace weir {

/// How one forwarder or receiver deals with offers: judges, remembers what it accepted where a successor finds it, and
/// answers. For the role's own thread.
struct config_judge {
  judging_role role{};
  std::size_t index = 0;
  std::shared_ptr<role_configs> configs;
  std::shared_ptr<const config_gate> gate;
  std::shared_ptr<clock_source> clock;
  /// Told the name of each refusal or hold; may be empty.
  std::function<void(std::string_view reason)> refused;

  role_configs::row in_force() const { return configs->of(role, index, clock->steady()); }

  /// Adopts or refuses the offer and answers it; `in_force` tells the result. A refusal changes nothing else.
  void consider(const config_offer& offer) const;
};

} // namespace weir
