#include "apps/drill_command.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/control_client.hpp"
#include "drills/nov14.hpp"
#include "drills/scratch_node.hpp"

namespace weir {

namespace {

/// For the delivered objects of one variant, and some air.
constexpr std::uint64_t memory_disk_bytes = 4ull << 30;

struct nov14_options {
  bool quick = false;
  double flood_seconds = 0, before_seconds = 0, after_seconds = 0; ///< 0: as planned.
  std::vector<std::string> only;
  std::string place, destinations, report;
  bool json = false, keep = false;
};

std::string own_program() {
  std::array<char, 4096> path{};
  const auto size = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (size <= 0)
    throw std::runtime_error("cannot tell which program this is: /proc/self/exe does not say");
  return {path.data(), static_cast<std::size_t>(size)};
}

std::string temporary_directory() {
  const auto* given = std::getenv("TMPDIR");
  return given != nullptr && *given == '/' ? given : "/var/tmp";
}

/// Memory stands for other machines, so that the disk under measurement does not have to write everything twice.
std::string place_for_destinations(const std::string& otherwise) {
  const std::string memory_disk = "/dev/shm";
  struct statvfs facts {};
  if (::statvfs(memory_disk.c_str(), &facts) == 0 && ::access(memory_disk.c_str(), W_OK) == 0
      && std::uint64_t{facts.f_bavail} * facts.f_frsize >= memory_disk_bytes)
    return memory_disk;
  return otherwise;
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1'000)};
}

drills::nov14_plan plan_of(const nov14_options& options) {
  using namespace std::chrono_literals;
  drills::nov14_plan plan;
  plan.program = own_program();
  plan.place = options.place.empty() ? temporary_directory() : options.place;
  plan.destinations = options.destinations.empty() ? place_for_destinations(plan.place) : options.destinations;
  if (options.quick) {
    plan.calibrate = 3s;
    plan.before = 6s;
    plan.flood = 8s;
    plan.after = 4s;
  }
  if (options.before_seconds > 0)
    plan.before = milliseconds_of(options.before_seconds);
  if (options.flood_seconds > 0)
    plan.flood = milliseconds_of(options.flood_seconds);
  if (options.after_seconds > 0)
    plan.after = milliseconds_of(options.after_seconds);
  plan.only = options.only;
  plan.keep = options.keep;
  return plan;
}

int run_nov14_command(const nov14_options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto report =
      drills::run_nov14(plan_of(options), [](const std::string& line) { std::cerr << line << std::endl; });
  const auto text = drills::nov14_markdown(report), machine = drills::nov14_json(report);
  if (!options.report.empty()) {
    std::filesystem::create_directories(options.report);
    drills::write_file(options.report + "/nov14.md", text);
    drills::write_file(options.report + "/nov14.json", machine);
  }
  std::cout << (options.json ? machine : text) << std::flush;
  return report.held() ? 0 : 1;
}

/// A drill that a running node does to itself.
int run_on_node(const control_options& control, const std::string& name) {
  const auto answer = call_control(control, "POST", "/v1/drills/" + name);
  if (answer.status != 200) {
    std::cerr << answer.text << '\n';
    return 1;
  }
  std::cout << answer.text;
  const auto outcome = nlohmann::json::parse(answer.text, nullptr, false);
  return outcome.is_object() && outcome.value("result", "") == "passed" ? 0 : 1;
}

} // namespace

void add_drill_command(CLI::App& app, std::function<int()>& run) {
  auto options = std::make_shared<nov14_options>();
  auto* command = app.add_subcommand("drill", "Breaks something on purpose and shows that it holds");
  command->require_subcommand(1);
  auto control = std::make_shared<control_options>();
  auto* blank = command->add_subcommand(
      "blank-config", "Offers the canary of a running node a config that entitles nobody; it must refuse");
  add_control_options(*blank, *control);
  blank->footer(
      "The other forwarders hear nothing of it, and no event is made. The node files a report under its data_dir.\n"
      "\n"
      "Examples:\n"
      "  weir drill blank-config --token-file operator.token\n"
      "\n"
      "Exit codes: 0 passed, 1 failed or not run, 2 the command line is wrong.");
  blank->callback([control, &run] { run = [control] { return run_on_node(*control, "blank-config"); }; });
  auto* nov14 = command->add_subcommand(
      "nov14", "The incident of 14 November 2024, on scratch nodes that it starts itself; takes minutes");
  nov14->add_flag("--quick", options->quick, "shorter phases");
  nov14->add_option("--before", options->before_seconds, "seconds of load before the flood")
      ->check(CLI::Range(1., 3'600.));
  nov14->add_option("--flood", options->flood_seconds, "seconds of flood")->check(CLI::Range(1., 3'600.));
  nov14->add_option("--after", options->after_seconds, "seconds of load after the flood")
      ->check(CLI::Range(1., 3'600.));
  nov14
      ->add_option("--only", options->only,
                   "which guard is to be the first that is on: publisher, forwarders, receivers, admission, memory")
      ->delimiter(',')
      ->check(CLI::IsMember({"publisher", "forwarders", "receivers", "admission", "memory"}));
  nov14->add_option("--place", options->place, "directory for the nodes' stores (TMPDIR, or /var/tmp)");
  nov14->add_option("--destinations", options->destinations,
                    "directory for what is delivered (/dev/shm if it has 4 GiB, else the same)");
  nov14->add_option("--report", options->report, "directory for nov14.md and nov14.json");
  nov14->add_flag("--json", options->json, "print JSON");
  nov14->add_flag("--keep", options->keep, "leave the nodes' directories behind");
  nov14->footer(
      "Measures what a node takes here, then gives it 30 % of that for 1,000 entitled jobs, and then, too, twice of\n"
      "that from 40,000 scopes: with all guards on, and with one after the other switched off.\n"
      "\n"
      "Examples:\n"
      "  weir drill nov14\n"
      "  weir drill nov14 --quick --report drills\n"
      "  weir drill nov14 --only admission,memory --flood 60\n"
      "\n"
      "Exit codes: 0 every bar was held, 1 not, 2 the command line is wrong.");
  nov14->callback([options, &run] { run = [options] { return run_nov14_command(*options); }; });
}

} // namespace weir
