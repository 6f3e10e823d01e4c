#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace weir {

/// `weir run --config FILE [--scratch [DIRECTORY] [--unsafe-off=GUARD,…]]`: a node until SIGTERM. SIGHUP reloads, a
/// second SIGTERM hurries.
/// Exit codes: 0 ended as told, 1 could not start or did not end in order, 2 usage.
void add_run_command(CLI::App& app, std::function<int()>& run);

/// `weir reload`: asks a running node to read its config again.
void add_reload_command(CLI::App& app, std::function<int()>& run);

} // namespace weir
