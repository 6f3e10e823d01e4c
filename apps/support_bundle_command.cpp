#include "apps/support_bundle_command.hpp"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/check_command.hpp"
#include "apps/config_world.hpp"
#include "apps/real/real_environment.hpp"
#include "apps/scrubber.hpp"
#include "apps/store_command.hpp"
#include "apps/tar_file.hpp"
#include "apps/version.hpp"
#include "supervisors/ledger_marks.hpp"

namespace weir {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_part_bytes = 4 << 20;
constexpr std::size_t most_log_bytes = 1 << 20;
constexpr std::size_t most_listed_files = 2'000;

/// What the node says of itself. Paged ones: the first page. None of these holds an event.
struct endpoint {
  const char* path;
  const char* name;
};
constexpr endpoint endpoints[] = {
    {"/healthz", "node/healthz"},
    {"/readyz", "node/readyz"},
    {"/metrics", "node/metrics.txt"},
    {"/v1/node", "node/node.json"},
    {"/v1/overload", "node/overload.json"},
    {"/v1/config", "node/config.json"},
    {"/v1/config/versions", "node/config-versions.json"},
    {"/v1/drills", "node/drills.json"},
    {"/v1/ledger?by=tenant&limit=1000", "node/ledger-by-tenant.json"},
    {"/v1/ledger?limit=1000", "node/ledger.json"},
    {"/v1/ledger/marks", "node/ledger-marks.json"},
};

class bundle {
 public:
  bundle(const std::string& path, const scrubber& clean)
      : file_(path), clean_(clean), now_(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())) {}

  void add(const std::string& name, std::string_view content) {
    auto text = clean_.clean(content.substr(0, most_part_bytes));
    if (content.size() > most_part_bytes)
      text += "\n… cut off here\n";
    file_.add("weir-support/" + name, text, now_);
    names_.push_back(fmt::format("{} ({} bytes)", name, text.size()));
  }
  void finish() { file_.finish(); }
  const std::vector<std::string>& names() const { return names_; }

 private:
  tar_file file_;
  const scrubber& clean_;
  std::int64_t now_;
  std::vector<std::string> names_;
};

std::string random_salt() {
  const auto random = make_real_random();
  return fmt::format("{:016x}{:016x}", random->next(), random->next());
}

/// Every secret that this command can come by, so that none slips through however it got into a text.
void forget_secrets(const loaded_node& loaded, const control_options& connect, scrubber& clean) {
  if (const auto* token = std::getenv("WEIR_TOKEN"))
    clean.forget(token);
  if (!connect.token_file.empty()) {
    std::ifstream file{connect.token_file};
    if (std::string line; std::getline(file, line))
      clean.forget(line);
  }
  for (const auto& x : loaded.file.config.tokens)
    clean.forget(x.secret.reveal());
  if (!loaded.snapshot)
    return;
  const auto rules = rules_for_destinations(loaded.file.config, job_origin::declared);
  constexpr std::size_t most_jobs = 10'000; // beyond, their URLs are still taken out by their form
  for (std::size_t i = 0; i < std::min<std::size_t>(loaded.snapshot->jobs.size(), most_jobs); ++i) {
    const auto whole = loaded.snapshot->jobs.at(static_cast<std::uint32_t>(i)).destination.reveal();
    clean.forget(whole);
    const auto parsed = parse_destination(whole, rules);
    if (!parsed.value)
      continue;
    for (const auto& header : parsed.value->headers)
      clean.forget(header.second.reveal());
    const auto& query = parsed.value->query.reveal();
    for (std::size_t at = 0; at < query.size();) {
      const auto end = std::min(query.find('&', at), query.size());
      const auto value = query.find('=', at);
      if (value < end)
        clean.forget(std::string_view{query}.substr(value + 1, end - value - 1));
      at = end + 1;
    }
  }
}

std::string about_machine(const std::string& data_dir) {
  std::string text = fmt::format("weir {}\n{}\n", version, render_moment(std::chrono::system_clock::now()));
  if (utsname system{}; ::uname(&system) == 0)
    text += fmt::format("{} {} {}\n", system.sysname, system.release, system.machine);
  text += fmt::format("{} cores\n", std::thread::hardware_concurrency());
  text += fmt::format("{} bytes of memory for this process\n", make_real_memory()->available());
  struct statvfs disk {};
  if (!data_dir.empty() && ::statvfs(data_dir.c_str(), &disk) == 0)
    text += fmt::format("{} of {} bytes free on the disk of the data directory\n",
                        std::uint64_t{disk.f_bavail} * disk.f_frsize, std::uint64_t{disk.f_blocks} * disk.f_frsize);
  return text;
}

/// Names and sizes, never contents.
std::string list_data(const std::string& data_dir) {
  std::string text;
  std::error_code why;
  std::size_t count = 0;
  for (fs::recursive_directory_iterator x{data_dir, why}, end; !why && x != end; x.increment(why)) {
    if (++count > most_listed_files) {
      text += "… and more\n";
      break;
    }
    std::error_code no_size;
    const auto bytes = x->is_regular_file(no_size) ? x->file_size(no_size) : 0;
    text += fmt::format("{:>14}  {}\n", bytes, fs::relative(x->path(), data_dir, no_size).generic_string());
  }
  if (why)
    text += fmt::format("{}: {}\n", data_dir, why.message());
  return text;
}

/// The last whole lines of a file.
std::string end_of(const std::string& path, std::string& wrong) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  if (!file) {
    wrong = fmt::format("{} cannot be read", path);
    return {};
  }
  const auto size = static_cast<std::uint64_t>(file.tellg());
  const auto from = size > most_log_bytes ? size - most_log_bytes : 0;
  file.seekg(static_cast<std::streamoff>(from));
  std::string text(size - from, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (from > 0)
    text.erase(0, text.find('\n') + 1);
  return text;
}

bool ask_node(const control_options& connect, bundle& into, std::string& troubles) {
  bool any = false;
  for (const auto& x : endpoints) {
    const auto answer = call_control(connect, "GET", x.path);
    any = any || answer.status != 0;
    if (answer.status == 200 || answer.status == 503)
      into.add(x.name, answer.text);
    else
      troubles += fmt::format("{}: {}\n", x.path,
                              answer.status == 0 ? answer.text : fmt::format("answered with {}", answer.status));
    if (answer.status == 0)
      break; // nobody is there
  }
  return any;
}

bool look_at_data(const std::string& data_dir, bundle& into, std::string& troubles) {
  into.add("data/files.txt", list_data(data_dir));
  std::ostringstream found, wrong;
  store_command_options how;
  how.directory = data_dir + "/store";
  look_at_store(how, found, wrong);
  into.add("data/store-inspect.txt", found.str() + wrong.str());
  if (found.str().empty())
    troubles += wrong.str();
  return !found.str().empty();
}

} // namespace

int write_support_bundle(const support_bundle_options& options, const config_world& world, std::ostream& out,
                         std::ostream& err) {
  auto path = options.output;
  if (path.empty()) {
    path = "weir-support-" + render_moment(std::chrono::system_clock::now()) + ".tar.gz";
    path.erase(std::remove(path.begin(), path.end(), ':'), path.end());
  }
  try {
    loaded_node loaded;
    if (!options.config.empty())
      loaded = load_node(options.config, world, config_version{1}, {});
    scrubber clean{random_salt()};
    forget_secrets(loaded, options.connect, clean);
    auto data_dir = options.data_dir;
    if (data_dir.empty() && !options.config.empty())
      data_dir = loaded.file.config.data_dir;
    bundle into{path, clean};
    std::string troubles;
    into.add("machine.txt", about_machine(data_dir));
    bool any = ask_node(options.connect, into, troubles);
    if (!options.config.empty()) {
      std::ostringstream report, problems;
      check_config(options.config, world, report, problems);
      into.add("check.txt", report.str() + problems.str());
    }
    if (!data_dir.empty())
      any = look_at_data(data_dir, into, troubles) || any;
    for (std::size_t i = 0; i < options.logs.size(); ++i) {
      std::string wrong;
      const auto text = end_of(options.logs[i], wrong);
      if (wrong.empty())
        into.add(fmt::format("log-{}.txt", i + 1), text);
      troubles += wrong.empty() ? "" : wrong + '\n';
    }
    if (!troubles.empty())
      into.add("not-to-be-had.txt", troubles);
    into.finish();
    out << path << ":\n";
    for (const auto& name : into.names())
      out << "  " << name << '\n';
    out << "Secrets, destinations and the names of tenants are taken out; look through it before you send it.\n";
    if (any)
      return 0;
    err << "weir support-bundle: neither a node nor a data directory could be read\n" << troubles;
  } catch (const std::exception& why) {
    err << "weir support-bundle: " << why.what() << '\n';
  }
  return 1;
}

void add_support_bundle_command(CLI::App& app, std::function<int()>& run) {
  auto options = std::make_shared<support_bundle_options>();
  auto* command = app.add_subcommand(
      "support-bundle", "Packs what somebody who helps has to know: no secret, nothing of customers' events");
  add_control_options(*command, options->connect);
  command->add_option("--config,-c", options->config, "the node's config: the limits in force, and its data directory")
      ->check(CLI::ExistingFile);
  command->add_option("--data-dir", options->data_dir, "look at this one; works without a running node")
      ->check(CLI::ExistingDirectory);
  command->add_option("--log", options->logs, "its last 1 MiB goes in; any number of times")->check(CLI::ExistingFile);
  command->add_option("--output,-o", options->output, "the file to write; must not be there");
  command->footer(
      "Examples:\n"
      "  weir support-bundle --token-file operator.token --config /etc/weir/weir.toml\n"
      "  journalctl -u weir -n 5000 > weir.log; weir support-bundle --config weir.toml --log weir.log\n"
      "  weir support-bundle --data-dir /var/lib/weir      # of a node that does not start\n"
      "\n"
      "Exit codes: 0 written, 1 not, or nothing could be read, 2 the command line is wrong.");
  command->callback([options, &run] {
    run = [options] { return write_support_bundle(*options, real_config_world(), std::cout, std::cerr); };
  });
}

} // namespace weir
