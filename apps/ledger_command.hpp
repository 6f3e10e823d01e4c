#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/control_client.hpp"

namespace CLI {
class App;
}

namespace weir {

struct ledger_command_options {
  control_options connect;
  std::string job, tenant, since; ///< Empty: not asked for.
  bool by_tenant = false;
  bool json = false;
  bool mark = false;         ///< Make a mark instead of showing anything.
  std::uint64_t limit = 100; ///< Rows; 0: all.
  std::vector<std::string> receipts;
  std::string sender; ///< Whose receipts they are; empty: of all who send.
};

/// `weir ledger`: the account of every event, from a running node. Exit codes: 0 it balances and, with receipts,
/// equals them; 1 it does not, or the node did not answer; 2 usage.
void add_ledger_command(CLI::App& app, std::function<int()>& run);

/// Asks one page: path and query in, answer out. `call_control` but in tests.
using ledger_source = std::function<control_answer(const std::string& method, const std::string& path)>;
int show_ledger(const ledger_command_options& options, const ledger_source& ask, std::ostream& out, std::ostream& err);

/// What a ledger and the senders' own records say of the same thing.
struct ledger_difference {
  std::string column;
  std::uint64_t receipts = 0, ledger = 0;
};
/// Columns that must be equal once no body is under way. Throws as `generate::read_receipts` does.
std::vector<ledger_difference> compare_receipts(const std::vector<std::string>& files, const std::string& sender,
                                                const nlohmann::json& ledger);

} // namespace weir
