#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace weir {

/// `weir backup DIR` and `weir restore DIR`, both of a stopped node. Exit codes: 0 done, 1 not done, or of a damaged
/// store, 2 usage.
void add_backup_commands(CLI::App& app, std::function<int()>& run);

} // namespace weir
