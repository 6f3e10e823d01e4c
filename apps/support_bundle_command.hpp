#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "apps/control_client.hpp"
#include "config/node_config.hpp"

namespace CLI {
class App;
}

namespace weir {

struct support_bundle_options {
  control_options connect;
  std::string config;   ///< The node's config; empty: not asked.
  std::string data_dir; ///< Empty: the config's.
  std::vector<std::string> logs;
  std::string output; ///< Empty: `weir-support-<time>.tar.gz` here.
};

/// `weir support-bundle`: what somebody who helps has to know of a node, without secrets and without anything of
/// customers' events. Exit codes: 0 written, 1 not, or neither node nor data directory could be read; 2 usage.
void add_support_bundle_command(CLI::App& app, std::function<int()>& run);

int write_support_bundle(const support_bundle_options& options, const config_world& world, std::ostream& out,
                         std::ostream& err);

} // namespace weir
