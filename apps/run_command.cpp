#include "apps/run_command.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "apps/check_command.hpp"
#include "apps/config_world.hpp"
#include "apps/control_client.hpp"
#include "apps/node_process.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, signal);
  return set;
}

void configure_log(const node_config& config) {
  log::settings how;
  how.node = config.name;
  how.style = config.log.format == log_config::format_name::human  ? log::settings::format::human
              : config.log.format == log_config::format_name::json ? log::settings::format::json
                                                                   : log::settings::format::automatic;
  how.least = config.log.level == log_config::level_name::warn    ? log::level::warn
              : config.log.level == log_config::level_name::error ? log::level::error
                                                                  : log::level::info;
  log::configure(how);
}

/// Waits for signals in a thread of its own while the node stops, so that a second one hurries it.
class second_signal {
 public:
  second_signal() : thread_([this] { wait(); }) {}
  ~second_signal() {
    done_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }
  bool came() const { return came_; }

 private:
  void wait() {
    const auto set = handled_signals();
    int signal = 0;
    while (!done_ && sigwait(&set, &signal) == 0)
      if (!done_ && signal != SIGHUP)
        came_ = true;
  }
  std::atomic<bool> done_{false};
  std::atomic<bool> came_{false};
  std::thread thread_;
};

int run_node(const std::string& path) {
  // Blocked before any thread is made: all inherit it, and only `sigwait` takes them.
  const auto set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  auto loaded = load_node(path, real_config_world(), config_version{1}, std::chrono::system_clock::now());
  if (!loaded.snapshot) {
    print_problems(loaded.file.problems, path, std::cerr);
    return 1;
  }
  configure_log(loaded.file.config);
  for (const auto& note : loaded.file.notes)
    log::warn("config-note", "{}", note);
  std::atomic<bool> gave_up{false};
  node_process process{path, std::move(loaded), [&gave_up] {
                         log::error("node-gave-up",
                                    "the roles crash again and again; the process ends, so that its "
                                    "service manager starts it anew");
                         gave_up = true;
                         ::kill(::getpid(), SIGTERM);
                       }};
  if (const auto wrong = process.start(); !wrong.empty()) {
    log::error("not-started", "{}", wrong);
    log::flush();
    return 1;
  }
  for (int signal = 0; sigwait(&set, &signal) == 0 && signal == SIGHUP;)
    process.reload();
  bool in_order = false;
  {
    second_signal second;
    in_order = process.stop([&second] { return second.came(); });
  }
  log::flush();
  return in_order && !gave_up ? 0 : 1;
}

} // namespace

void add_run_command(CLI::App& app, std::function<int()>& run) {
  auto path = std::make_shared<std::string>();
  auto* command = app.add_subcommand("run", "Runs a node until SIGTERM");
  command->add_option("--config,-c", *path, "the node's config, such as weir.toml")->required();
  command->footer(
      "SIGHUP reads tokens, rates, certificates and jobs again. SIGTERM takes no new bodies, delivers what it\n"
      "can within shutdown.drain and ends; a second one ends at once. Nothing acknowledged is lost either way.\n"
      "\n"
      "Examples:\n"
      "  weir run --config weir.toml\n"
      "  weir check weir.toml && weir run --config weir.toml\n"
      "\n"
      "Exit codes: 0 ended as told, 1 could not start or go on, 2 the command line is wrong.");
  command->callback([path, &run] { run = [path] { return run_node(*path); }; });
}

void add_reload_command(CLI::App& app, std::function<int()>& run) {
  auto options = std::make_shared<control_options>();
  auto* command = app.add_subcommand("reload", "Has a running node read its config file again, whole or not at all");
  add_control_options(*command, *options);
  command->footer(
      "Examples:\n"
      "  weir reload --token-file operator.token\n"
      "  WEIR_TOKEN=… weir reload --connect 127.0.0.1:9401\n"
      "\n"
      "Exit codes: 0 reloaded, 1 refused (the old config stays in force), 2 the command line is wrong.");
  command->callback([options, &run] {
    run = [options] {
      const auto answer = call_control(*options, "POST", "/v1/reload");
      if (answer.status == 200) {
        std::cout << "reloaded\n";
        return 0;
      }
      std::cerr << answer.text << '\n';
      return 1;
    };
  });
}

} // namespace weir
