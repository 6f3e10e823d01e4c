#include "apps/backup_command.hpp"

#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/backup.hpp"
#include "apps/check_command.hpp"
#include "apps/config_world.hpp"
#include "apps/version.hpp"
#include "config/node_config.hpp"

namespace weir {

namespace {

struct backup_options {
  std::string directory, config, data_dir;
  restore_options how;
};

void add_place(CLI::App& command, backup_options& options) {
  auto* config =
      command.add_option("--config,-c", options.config, "the node's config: its data_dir")->check(CLI::ExistingFile);
  command.add_option("--data-dir", options.data_dir, "the data directory itself")->excludes(config);
}

/// Fills in what the config says. False, with a sentence on standard error, if there is nothing to go by.
bool find_data_dir(backup_options& options) {
  if (!options.data_dir.empty())
    return true;
  if (options.config.empty()) {
    std::cerr << "weir: --config or --data-dir has to say which node\n";
    return false;
  }
  const auto loaded = load_node_config(options.config, real_config_world());
  if (!loaded.ok()) {
    print_problems(loaded.problems, options.config, std::cerr);
    return false;
  }
  options.data_dir = loaded.config.data_dir;
  options.how.segment_bytes = loaded.config.store.segment_bytes;
  return true;
}

backup_progress on_terminal() {
  if (::isatty(STDERR_FILENO) == 0)
    return {};
  return [](const std::string& file, std::uint64_t done, std::uint64_t all) {
    std::cerr << fmt::format("\r\033[K{:3.0f} %  {}",
                             all == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(all), file)
              << std::flush;
  };
}

void end_progress() {
  if (::isatty(STDERR_FILENO) != 0)
    std::cerr << "\r\033[K";
}

int back_up(backup_options options) {
  if (!find_data_dir(options))
    return 2;
  const auto report = make_backup(options.data_dir, options.directory, std::string{version}, on_terminal());
  end_progress();
  if (!report.error.empty()) {
    std::cerr << "weir backup: " << report.error << '\n';
    return 1;
  }
  std::cout << fmt::format("{}: {} files, {} bytes, read back; {} jobs, {} events wait for delivery\n",
                           options.directory, report.files, report.bytes, report.jobs, report.buffered_events);
  if (report.damaged)
    std::cerr << "weir backup: the store is damaged, and so is its backup: `weir store verify` says where\n";
  return report.damaged ? 1 : 0;
}

int restore(backup_options options) {
  if (!find_data_dir(options))
    return 2;
  const auto report = restore_backup(options.directory, options.data_dir, options.how, on_terminal());
  end_progress();
  if (!report.error.empty()) {
    std::cerr << "weir restore: " << report.error << '\n';
    return 1;
  }
  std::cout << fmt::format(
      "{}: {} files, {} bytes; {} jobs, {} events wait for delivery; {} generations ended, new events open new ones\n",
      options.data_dir, report.files, report.bytes, report.jobs, report.buffered_events, report.ended_generations);
  return 0;
}

} // namespace

void add_backup_commands(CLI::App& app, std::function<int()>& run) {
  auto backup_to = std::make_shared<backup_options>();
  auto* backup = app.add_subcommand("backup", "Copies a stopped node's data, with checksums, and reads the copy back");
  backup->add_option("DIR", backup_to->directory, "where to; must not be there, or be empty")->required();
  add_place(*backup, *backup_to);
  backup->footer(
      "Of a running node, back up a snapshot of its file system: for a store that is a kill -9, which it survives.\n"
      "A backup holds events and secrets of customers, in the clear.\n"
      "\n"
      "Examples:\n"
      "  systemctl stop weir && weir backup --config /etc/weir/weir.toml /backup/weir-$(date +%F) && systemctl start "
      "weir\n"
      "  weir backup --data-dir /mnt/snapshot/weir /backup/weir-$(date +%F)\n"
      "\n"
      "Exit codes: 0 made and read back, 1 not made, or the store was damaged, 2 the command line is wrong.");
  backup->callback([backup_to, &run] { run = [backup_to] { return back_up(*backup_to); }; });

  auto restore_from = std::make_shared<backup_options>();
  auto* command =
      app.add_subcommand("restore", "Puts a backup into an empty data directory; new events open new generations");
  command->add_option("DIR", restore_from->directory, "the backup")->required()->check(CLI::ExistingDirectory);
  add_place(*command, *restore_from);
  command->add_flag("--accept-damage", restore_from->how.accept_damage, "though the store was damaged when backed up");
  command->footer(
      "What was delivered since the backup was made is delivered again; what was accepted since is not in it.\n"
      "Never run the old node beside the restored one.\n"
      "\n"
      "Examples:\n"
      "  weir restore --config /etc/weir/weir.toml /backup/weir-2026-11-22\n"
      "  weir restore --data-dir /var/lib/weir /backup/weir-2026-11-22 && weir store verify /var/lib/weir/store\n"
      "\n"
      "Exit codes: 0 restored, 1 refused (nothing was changed), 2 the command line is wrong.");
  command->callback([restore_from, &run] { run = [restore_from] { return restore(*restore_from); }; });
}

} // namespace weir
