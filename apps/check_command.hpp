#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "config/node_config.hpp"

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir check FILE`. When it is chosen, `run` becomes what to do; its result is the exit code.
void add_check_command(CLI::App& app, std::function<int()>& run);

/// Says what `weir run` would say to this config: every problem to `problems` and 1, or the limits in
/// force to `report` and 0.
int check_config(const std::string& path, const config_world& world, std::ostream& report, std::ostream& problems);

/// One line for each problem, as `weir run` and `weir check` print them.
void print_problems(const problem_list& problems, const std::string& path, std::ostream& into);

} // namespace weir
