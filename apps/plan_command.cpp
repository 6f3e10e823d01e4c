#include "apps/plan_command.hpp"

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "apps/capacity_plan.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

struct plan_options {
  plan_request wanted;
  std::string memory, disk, outage = "24h", interval = "30s", job_bytes, max_age;
  bool json = false;
};

const CLI::Validator is_size{[](std::string& text) {
                               return parse_size(text) && *parse_size(text) > 0
                                          ? std::string{}
                                          : "'" + text + "' is no size such as 512MiB, 2TB";
                             },
                             "SIZE"};
const CLI::Validator is_duration{[](std::string& text) {
                                   const auto time = parse_duration(text);
                                   return time && time->count() >= 1'000 ? std::string{}
                                                                         : "'" + text + "' is no time such as 30s, 24h";
                                 },
                                 "TIME"};

int print_plan(plan_options options) {
  using namespace std::chrono;
  auto& wanted = options.wanted;
  if (!options.memory.empty())
    wanted.memory = parse_size(options.memory);
  if (!options.disk.empty())
    wanted.disk = parse_size(options.disk);
  if (!options.job_bytes.empty())
    wanted.job_bytes = *parse_size(options.job_bytes);
  if (!options.max_age.empty())
    wanted.max_age = duration_cast<seconds>(*parse_duration(options.max_age));
  // Whole hours, never fewer than asked for.
  wanted.outage = ceil<hours>(*parse_duration(options.outage));
  wanted.interval = duration_cast<seconds>(*parse_duration(options.interval));
  const auto plan = plan_capacity(wanted);
  std::cout << (options.json ? plan_json(wanted, plan) : render_plan(wanted, plan));
  const bool disk_short = wanted.disk && *wanted.disk < plan.disk_for_outage;
  return disk_short || !plan.memory_suffices.value_or(true) ? 1 : 0;
}

} // namespace

void add_plan_command(CLI::App& app, std::function<int()>& run) {
  auto options = std::make_shared<plan_options>();
  auto* command =
      app.add_subcommand("plan", "Says what a load takes of disk, memory and CPU, and how long an outage is covered");
  command->add_option("--events-per-s", options->wanted.events_per_second, "of all jobs together")
      ->required()
      ->check(CLI::Range(1e-3, 1e9));
  command->add_option("--jobs", options->wanted.jobs, "configured jobs")
      ->required()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}));
  command->add_option("--active", options->wanted.active_jobs, "of these, how many get events; default: all")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}));
  command->add_option("--event-bytes", options->wanted.event_bytes, "of one event")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 16777216.0));
  command->add_option("--outage", options->outage, "for which the disk is to hold everything")
      ->capture_default_str()
      ->check(is_duration);
  command->add_option("--interval", options->interval, "between a job's objects")
      ->capture_default_str()
      ->check(is_duration);
  command->add_option("--memory", options->memory, "that there is: does it suffice?")->check(is_size);
  command->add_option("--disk", options->disk, "that there is: how long an outage does it cover?")->check(is_size);
  command->add_option("--job-bytes", options->job_bytes, "limits.job_bytes; default 10GiB")->check(is_size);
  command->add_option("--max-age", options->max_age, "buffer.max_age; default 72h")->check(is_duration);
  command->add_flag("--json", options->json, "for programs");
  command->footer(
      "Examples:\n"
      "  weir plan --events-per-s 50000 --jobs 1000\n"
      "  weir plan --events-per-s 200000 --jobs 40000 --active 2000 --disk 2TB --memory 8GiB\n"
      "  weir plan --events-per-s 5000 --jobs 200 --event-bytes 1200 --outage 72h --json | jq .disk_for_outage\n"
      "\n"
      "Exit codes: 0 said, 1 the --disk or --memory there is does not suffice, 2 the command line is wrong.");
  command->callback([options, &run] { run = [options] { return print_plan(*options); }; });
}

} // namespace weir
