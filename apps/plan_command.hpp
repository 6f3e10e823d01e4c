#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace weir {

/// `weir plan`: what a load takes of disk, memory and CPU, and how long an outage is covered. Asks no node. Exit codes:
/// 0 said; 1 what there is does not suffice; 2 usage.
void add_plan_command(CLI::App& app, std::function<int()>& run);

} // namespace weir
