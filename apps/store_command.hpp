#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace CLI {
class App;
}

namespace weir {

struct store_command_options {
  std::string directory; ///< `<data_dir>/store`.
  bool verify = false;   ///< Read every byte and check every checksum.
  bool records = false;  ///< A line for each record; only with `verify`.
};

/// `weir store inspect DIR` and `weir store verify DIR`: what lies in a store, without changing it.
/// Exit codes: 0 fine, 1 damaged or unreadable, 2 usage.
void add_store_command(CLI::App& app, std::function<int()>& run);

int look_at_store(const store_command_options& options, std::ostream& out, std::ostream& err);

} // namespace weir
