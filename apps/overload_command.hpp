#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir overload`. When it is chosen, `run` becomes what to do; its result is the exit code.
void add_overload_command(CLI::App& app, std::function<int()>& run);

/// The table of `weir overload` from the answer to `/v1/overload`: 0 if nothing is active, 3 if something is, 1 if it
/// is no such answer.
int print_overload(const std::string& answer, bool only_active, std::ostream& into, std::ostream& problems);

} // namespace weir
