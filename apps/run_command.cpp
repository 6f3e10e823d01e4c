#include "apps/run_command.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/check_command.hpp"
#include "apps/config_world.hpp"
#include "apps/control_client.hpp"
#include "apps/node_process.hpp"
#include "apps/scratch.hpp"
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
  how.node = config.destinations.scratch_root.empty() ? config.name : "UNSAFE " + config.name;
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

/// Up to what the system allows: the config was checked against that.
void raise_file_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
    return;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0)
    std::cerr << "weir: the limit of open files stays where it is\n";
}

struct run_options {
  std::string config;
  bool scratch = false;
  std::string scratch_directory; ///< Empty: one is made up.
  std::vector<std::string> unsafe_off;
  guard_switches guards;
};

/// What `--scratch` asks for. False, and a line on standard error, if it cannot be had.
bool make_scratch(const run_options& options, std::optional<scratch_place>& place, config_world& world) {
  if (!options.scratch)
    return true;
  std::string error;
  auto made = scratch_place::make(options.scratch_directory, error);
  if (!made) {
    std::cerr << "weir: --scratch: " << error << '\n';
    return false;
  }
  place.emplace(std::move(*made));
  world.scratch_root = place->path();
  return true;
}

void warn_of_scratch(const run_options& options, const scratch_place& place) {
  const auto off = names_of_off(options.guards);
  log::warn("unsafe", "UNSAFE: a scratch node in {}, for nobody's real events; {}", place.path(),
            off.empty() ? std::string{"all guards are on"} : fmt::format("switched off: {}", fmt::join(off, ", ")));
}

int run_node(const run_options& options) {
  const auto& path = options.config;
  // Blocked before any thread is made: all inherit it, and only `sigwait` takes them.
  const auto set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  auto world = real_config_world();
  std::optional<scratch_place> scratch;
  if (!make_scratch(options, scratch, world))
    return 1;
  auto loaded = load_node(path, world, config_version{1}, std::chrono::system_clock::now());
  if (!loaded.snapshot) {
    print_problems(loaded.file.problems, path, std::cerr);
    return 1;
  }
  configure_log(loaded.file.config);
  if (scratch)
    warn_of_scratch(options, *scratch);
  for (const auto& note : loaded.file.notes)
    log::warn("config-note", "{}", note);
  std::atomic<bool> gave_up{false};
  node_process process{path, world, std::move(loaded), options.guards, [&gave_up] {
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
  auto options = std::make_shared<run_options>();
  auto* command = app.add_subcommand("run", "Runs a node until SIGTERM");
  command->add_option("--config,-c", options->config, "the node's config, such as weir.toml")->required();
  auto* scratch =
      command
          ->add_option("--scratch", options->scratch_directory,
                       "for drills: data in a directory of its own, which must be empty (without a name: a temporary "
                       "one that is removed in the end), listeners on loopback, destinations in that directory only")
          ->type_name("[DIRECTORY]")
          ->expected(0, 1);
  command
      ->add_option("--unsafe-off", options->unsafe_off,
                   "with --scratch: guards to switch off, of publisher_guards, forwarder_guards, receiver_guards, "
                   "admission")
      ->delimiter(',')
      ->needs(scratch)
      ->check([options](const std::string& names) { return switch_off({names}, options->guards); });
  command->footer(
      "SIGHUP reads tokens, rates, certificates and jobs again. SIGTERM takes no new bodies, delivers what it\n"
      "can within shutdown.drain and ends; a second one ends at once. Nothing acknowledged is lost either way.\n"
      "\n"
      "Examples:\n"
      "  weir run --config weir.toml\n"
      "  weir check weir.toml && weir run --config weir.toml\n"
      "  weir run --config drill.toml --scratch /tmp/drill --unsafe-off=publisher_guards\n"
      "\n"
      "Exit codes: 0 ended as told, 1 could not start or go on, 2 the command line is wrong.");
  command->callback([options, scratch, &run] {
    options->scratch = scratch->count() > 0;
    run = [options] { return run_node(*options); };
  });
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
      "Exit codes: 0 everything is in force, 1 refused (the old config stays in force), 2 the command line is wrong,\n"
      "3 tokens and certificates are in force and the jobs are not yet: held, frozen, or still being rolled out.");
  command->callback([options, &run] {
    run = [options] {
      constexpr int not_yet = 3;
      const auto answer = call_control(*options, "POST", "/v1/reload");
      if (answer.status != 200 && answer.status != 202) {
        std::cerr << answer.text << '\n';
        return 1;
      }
      const auto said = nlohmann::json::parse(answer.text, nullptr, false);
      std::cout << "reloaded: " << (said.is_object() ? said.value("text", "") : "") << '\n';
      return answer.status == 200 ? 0 : not_yet;
    };
  });
}

} // namespace weir
