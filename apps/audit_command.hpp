#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "apps/audit.hpp"

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir audit DIR`. When it is chosen, `run` becomes what to do; its result is the exit code.
void add_audit_command(CLI::App& app, std::function<int()>& run);

namespace audit {

struct options {
  std::string directory;             ///< Every `*.log.gz` below it is an object.
  std::vector<std::string> receipts; ///< Files of `weir generate --receipts`.
  std::string jobs_file;             ///< One job a line, with `id` and `scope`.
  std::string zones;                 ///< A file of zone ids, or a number: the first zones of the generator.
  std::string missing_file;          ///< Takes each missing event as a line of JSON.
  std::size_t show = 20;             ///< Most jobs, files and events that are named on the screen.
  bool all_jobs = false;             ///< Name jobs without a problem too.
  bool json = false;
};

/// Does it. The verdict goes to `out`; complaints, and progress if it is a terminal, to `err`.
/// Returns the exit code: 0 if nothing is missing, doubled or damaged, else 1.
int run(const options& how, std::ostream& out, std::ostream& err);

/// The verdict for people, or as one JSON object.
void print(const report& result, const std::vector<missing_event>& first_missing, const options& how,
           std::ostream& out);
void print_json(const report& result, const std::vector<missing_event>& first_missing, std::ostream& out);

} // namespace audit
} // namespace weir
