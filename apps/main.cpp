#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>

#include "apps/audit_command.hpp"
#include "apps/backup_command.hpp"
#include "apps/check_command.hpp"
#include "apps/config_command.hpp"
#include "apps/drill_command.hpp"
#include "apps/generate_command.hpp"
#include "apps/ledger_command.hpp"
#include "apps/overload_command.hpp"
#include "apps/plan_command.hpp"
#include "apps/run_command.hpp"
#include "apps/store_command.hpp"
#include "apps/support_bundle_command.hpp"
#include "apps/version.hpp"

namespace {

constexpr int usage_error = 2;

int choose_and_run(int argc, char** argv) {
  CLI::App app{
      "Weir pushes logs: takes events in, keeps them durably in one buffer per job, and delivers\n"
      "them in batches to each customer's destination.",
      "weir"};
  app.set_version_flag("--version", std::string{weir::version});
  app.require_subcommand(1);
  std::function<int()> run;
  weir::add_run_command(app, run);
  weir::add_check_command(app, run);
  weir::add_reload_command(app, run);
  weir::add_overload_command(app, run);
  weir::add_generate_command(app, run);
  weir::add_audit_command(app, run);
  weir::add_drill_command(app, run);
  weir::add_config_command(app, run);
  weir::add_ledger_command(app, run);
  weir::add_plan_command(app, run);
  weir::add_backup_commands(app, run);
  weir::add_support_bundle_command(app, run);
  weir::add_store_command(app, run);
  app.footer("`weir COMMAND --help` shows examples.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : usage_error;
  }
  return run ? run() : usage_error;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return choose_and_run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "weir: " << error.what() << '\n';
    return 1;
  }
}
