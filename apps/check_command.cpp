#include "apps/check_command.hpp"

#include <algorithm>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/config_world.hpp"

namespace weir {

void print_problems(const problem_list& problems, const std::string& path, std::ostream& into) {
  for (const auto& problem : problems.kept())
    into << fmt::format("{}: {}\n", problem.path, problem.what);
  if (problems.count() > problems.kept().size())
    into << fmt::format("… and {} more\n", problems.count() - problems.kept().size());
  into << fmt::format("{}: {} problem{}\n", path, problems.count(), problems.count() == 1 ? "" : "s");
}

int check_config(const std::string& path, const config_world& world, std::ostream& report, std::ostream& problems) {
  // Version and time do not change the verdict, and nothing is kept of the snapshot.
  const auto loaded = load_node(path, world, config_version{1}, {});
  if (!loaded.file.ok()) {
    print_problems(loaded.file.problems, path, problems);
    return 1;
  }
  std::size_t width = 0;
  for (const auto& limit : loaded.file.limits)
    width = std::max(width, limit.path.size());
  report << "limits in force:\n";
  for (const auto& limit : loaded.file.limits)
    report << fmt::format("  {:<{}}  {}{}\n", limit.path, width, limit.value, limit.is_default ? "  (default)" : "");
  for (const auto& note : loaded.file.notes)
    report << fmt::format("note: {}\n", note);
  report << fmt::format("{}: ok, {} jobs of {} tenants, {} on\n", path, loaded.snapshot->jobs.size(),
                        loaded.snapshot->tenants.size(), loaded.snapshot->table.entry_count());
  return 0;
}

void add_check_command(CLI::App& app, std::function<int()>& run) {
  auto path = std::make_shared<std::string>();
  auto* command = app.add_subcommand("check",
                                     "Says what `weir run` would say to a config: every problem at once, or "
                                     "the limits in force");
  command->add_option("FILE", *path, "the node's config, such as weir.toml")->required();
  command->footer(
      "Examples:\n"
      "  weir check weir.toml\n"
      "  weir check /etc/weir/weir.toml && systemctl reload weir\n"
      "\n"
      "Exit codes: 0 the config is fine, 1 it has problems, 2 the command line is wrong.");
  command->callback(
      [path, &run] { run = [path] { return check_config(*path, real_config_world(), std::cout, std::cerr); }; });
}

} // namespace weir
