#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/role_configs.hpp"
#include "config/forwarding_guards.hpp"
#include "messages/interfaces.hpp"

namespace weir {

/// What a role judges offers by.
struct config_gate_settings {
  guard_settings guards;
  std::string cluster = "weir";
  std::uint64_t capacity = 1'000'000; ///< `limits.buffers`
  /// Off: changes of any size pass. What is blank, old, foreign or names unknown datasets is refused all the same.
  bool judges_changes = true;
};

struct config_verdict {
  bool adopt = false;
  std::string reason;       ///< Name of the refusal or hold; empty if adopted.
  std::string text;         ///< A sentence for an operator; no secret.
  bool by_approval = false; ///< Only an operator's approval let it pass.
  bool removes = false;     ///< Somebody entitled now would not be any more.
  std::uint64_t changes = 0;
};

/// The judgement of one forwarder or receiver over a config it is offered. It trusts nobody: it compares with what it
/// has itself in force and had an hour ago, whatever the publisher thought of the change. Pure.
///
/// The cost follows from what changed (see `diff`); a config that changes everything is compared whole.
class config_gate {
 public:
  explicit config_gate(config_gate_settings how) : how_(std::move(how)) {}

  config_verdict judge(const config_offer& offer, const role_configs::row& mine) const;

  /// The names `judge` may give, for metrics.
  static const std::vector<std::string_view>& reasons();

 private:
  config_gate_settings how_;
};

} // namespace weir
