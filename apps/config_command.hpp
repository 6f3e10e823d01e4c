#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "apps/control_client.hpp"

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir config list|show|diff|approve|reject|rollback|freeze|unfreeze|publish|audit`. When one is chosen, `run`
/// becomes what to do; its result is the exit code.
void add_config_command(CLI::App& app, std::function<int()>& run);

struct config_command_options {
  control_options control;
  std::string action;             ///< Name of the subcommand.
  std::vector<std::string> words; ///< Its arguments: a hash, a version, or two.
  std::string why;                ///< For the audit trail.
  unsigned limit = 20;            ///< Rows of versions and of the audit trail.
  bool json = false;              ///< The node's answer as it is.
};

/// One request: method, path with query, body. `call_control` but in tests.
using ask_control = std::function<control_answer(const std::string&, const std::string&, const std::string&)>;

/// Asks the node and prints. 0: done; 1: not done, or no answer; 2: the arguments make no sense.
int do_config_command(const config_command_options& options, const ask_control& ask, std::ostream& out,
                      std::ostream& err);

} // namespace weir
