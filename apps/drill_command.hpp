#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir drill`. When it is chosen, `run` becomes what to do; its result is the exit code.
void add_drill_command(CLI::App& app, std::function<int()>& run);

} // namespace weir
