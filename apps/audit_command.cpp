#include "apps/audit_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drills/generate_events.hpp"

namespace weir {

namespace audit {

namespace {

namespace fs = std::filesystem;

struct object_file {
  std::string path;
  std::uint64_t bytes = 0;
};

/// Every finished object below the directory; what is still being written has another ending.
std::vector<object_file> find_objects(const std::string& directory) {
  constexpr std::string_view ending = ".log.gz";
  std::vector<object_file> objects;
  for (const auto& entry : fs::recursive_directory_iterator{directory}) {
    const auto name = entry.path().filename().string();
    const bool ends =
        name.size() >= ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
    if (ends && entry.is_regular_file())
      objects.push_back({entry.path().string(), entry.file_size()});
  }
  std::sort(objects.begin(), objects.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return objects;
}

void expect_jobs(auditor& into, const std::string& path) {
  std::ifstream in{path};
  if (!in)
    throw std::runtime_error(fmt::format("{}: cannot be read", path));
  constexpr std::string_view zones = "zones/";
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == line.npos)
      continue;
    const auto job = nlohmann::json::parse(line, nullptr, false);
    if (!job.is_object() || !job.contains("id") || !job["id"].is_number_unsigned() || !job.contains("scope")
        || !job["scope"].is_string())
      throw std::runtime_error(fmt::format("{}:{}: not a job with `id` and `scope`", path, number));
    if (const auto enabled = job.find("enabled"); enabled != job.end() && *enabled == false)
      continue;
    const auto scope = job["scope"].get<std::string>();
    if (scope.rfind(zones, 0) == 0)
      into.expect(job_id{job["id"].get<std::uint64_t>()}, scope.substr(zones.size()));
  }
}

void expect_zones(auditor& into, const std::string& zones) {
  if (!zones.empty() && zones.size() < 9 && zones.find_first_not_of("0123456789") == zones.npos && !fs::exists(zones)) {
    for (std::uint64_t rank = 0, count = std::stoull(zones); rank < count; ++rank)
      into.expect_zone(generate::zone_id(rank));
    return;
  }
  std::ifstream in{zones};
  if (!in)
    throw std::runtime_error(fmt::format("{}: cannot be read", zones));
  for (std::string line; std::getline(in, line);)
    if (!line.empty())
      into.expect_zone(line);
}

void read_objects(auditor& into, const std::vector<object_file>& objects, std::ostream& err) {
  using clock = std::chrono::steady_clock;
  const bool shown = ::isatty(STDERR_FILENO) == 1;
  std::uint64_t total = 0, done = 0;
  for (const auto& object : objects)
    total += object.bytes;
  auto next = clock::now();
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (shown && clock::now() >= next) {
      err << fmt::format("\r\x1b[K{} of {} objects, {} of {} MB", i, objects.size(), done / 1'000'000,
                         total / 1'000'000)
          << std::flush;
      next = clock::now() + std::chrono::milliseconds{500};
    }
    into.read_object(objects[i].path);
    done += objects[i].bytes;
  }
  if (shown)
    err << "\r\x1b[K" << std::flush;
}

void write_missing(const missing_event& m, std::ostream& out) {
  const nlohmann::json line{{"ray_id", m.ray}, {"zone", m.zone},       {"job", number(m.job)},
                            {"seed", m.seed},  {"counter", m.counter}, {"body", m.body}};
  out << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

} // namespace

int run(const options& how, std::ostream& out, std::ostream& err) {
  try {
    auditor books;
    if (!how.jobs_file.empty())
      expect_jobs(books, how.jobs_file);
    if (!how.zones.empty())
      expect_zones(books, how.zones);
    read_objects(books, find_objects(how.directory), err);
    std::vector<missing_event> first_missing;
    std::ofstream list;
    if (!how.missing_file.empty())
      list.open(how.missing_file);
    for (const auto& path : how.receipts)
      books.read_receipts(path, [&](const missing_event& m) {
        if (first_missing.size() < how.show)
          first_missing.push_back(m);
        if (list.is_open())
          write_missing(m, list);
      });
    if (!how.missing_file.empty() && !list.flush())
      throw std::runtime_error(fmt::format("{}: cannot be written", how.missing_file));
    const auto result = books.finish();
    if (how.json)
      print_json(result, first_missing, out);
    else
      print(result, first_missing, how, out);
    return result.clean() && out.flush() ? 0 : 1;
  } catch (const std::exception& problem) {
    err << "weir audit: " << problem.what() << '\n';
    return 1;
  }
}

} // namespace audit

void add_audit_command(CLI::App& app, std::function<int()>& run) {
  auto how = std::make_shared<audit::options>();
  auto* command = app.add_subcommand("audit", "Proves from delivered files that nothing is missing or doubled");
  command->add_option("DIR", how->directory, "every *.log.gz below it is an object")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->add_option("--receipts", how->receipts, "what `weir generate` was acknowledged; all of it must be there")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->allow_extra_args(false);
  command->add_option("--jobs", how->jobs_file, "jobs that want events, one a line with id and scope")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command->add_option("--zones", how->zones, "zones that have a job: a file of ids, or N for the generator's first N")
      ->type_name("FILE|N");
  command->add_option("--missing", how->missing_file, "write each missing event to FILE, as JSON lines")
      ->type_name("FILE");
  command->add_option("--show", how->show, "most jobs, files and events to name on the screen")->capture_default_str();
  command->add_flag("--all-jobs", how->all_jobs, "name jobs without a problem too");
  command->add_flag("--json", how->json, "the verdict as one JSON object");
  command->footer(
      "Sequences are proven for every job. Single events are compared by RayID; with receipts by Sender and\n"
      "SenderCounter, so jobs with field_names must keep these and ZoneID. Without --jobs or --zones a zone counts\n"
      "as wanted if anything of it was delivered, and the node's own counts tell if a whole zone is missing.\n"
      "\n"
      "Examples:\n"
      "  weir audit /var/tmp/weir\n"
      "  weir audit /var/tmp/weir --receipts sent.receipts --zones 50\n"
      "  weir audit out --receipts a.receipts --receipts b.receipts --jobs jobs.ndjson --missing lost.ndjson\n"
      "\n"
      "Exit codes: 0 nothing is missing, doubled or damaged, 1 something is, 2 the command line is wrong.");
  command->callback([how, &run] { run = [how] { return audit::run(*how, std::cout, std::cerr); }; });
}

} // namespace weir
