#include "messages/guard_switches.hpp"

#include <fmt/format.h>

namespace weir {

namespace {

struct named_switch {
  const char* name;
  bool guard_switches::*which;
};

constexpr named_switch switches[] = {
    {"publisher_guards", &guard_switches::publisher_guards},
    {"forwarder_guards", &guard_switches::forwarder_guards},
    {"receiver_guards", &guard_switches::receiver_guards},
    {"admission", &guard_switches::admission},
};

} // namespace

std::string switch_off(const std::vector<std::string>& names, guard_switches& into) {
  for (const auto& name : names) {
    bool known = false;
    for (const auto& x : switches)
      if (name == x.name) {
        into.*x.which = false;
        known = true;
      }
    if (!known)
      return fmt::format("'{}' is not one of publisher_guards, forwarder_guards, receiver_guards, admission", name);
  }
  return {};
}

std::vector<std::string> names_of_off(const guard_switches& guards) {
  std::vector<std::string> result;
  for (const auto& x : switches)
    if (!(guards.*x.which))
      result.emplace_back(x.name);
  return result;
}

} // namespace weir
