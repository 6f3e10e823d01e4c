#include "tests/support/running_node.hpp"

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include <sys/stat.h>

namespace weir {
namespace {

using std::chrono::milliseconds;

std::string replace_all(std::string text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

nlohmann::json parse(const std::string& text) {
  auto value = nlohmann::json::parse(text, nullptr, false);
  return value.is_discarded() ? nlohmann::json() : value;
}

/// In the ledger's JSON 64-bit numbers are texts.
std::uint64_t to_number(const nlohmann::json& value) {
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.is_number() ? value.get<std::uint64_t>() : 0;
}

const char* const default_sections[][2] = {
    {"datasets.http_requests", "scope_field = \"ZoneID\"\ntimestamp_field = \"EdgeStartTimestamp\"\n"},
    {"limits", "memory = \"512MiB\"\n"},
    {"destinations", "allow_private = [\"127.0.0.0/8\"]\nallow_insecure_http = true\n"},
    {"jobs", "file = \"jobs.ndjson\"\n"},
    // A change of jobs shall be in force within the patience of a reload.
    {"rollout", "canary = \"20ms\"\ntenth = \"20ms\"\nall = \"20ms\"\n"},
};

} // namespace

std::vector<std::string> running_node::zones(unsigned count) {
  static std::vector<std::string> known;
  if (known.size() < count) {
    temporary_directory place;
    command what{built_program("weir"), {"generate", "--list-zones", std::to_string(count)}};
    what.output_file = place / "zones";
    if (run_program(what) != 0)
      throw std::runtime_error("weir generate --list-zones failed");
    std::istringstream lines(read_file(what.output_file));
    known.clear();
    for (std::string line; std::getline(lines, line);)
      known.push_back(line);
  }
  return {known.begin(), known.begin() + count};
}

running_node::running_node(node_plan plan)
    : data_dir_(plan.data_dir.empty() ? directory_ / "data" : plan.data_dir),
      objects_dir_(plan.objects_dir.empty() ? directory_ / "objects" : plan.objects_dir),
      token_("0123456789abcdef-for-tests-only"),
      ingest_(free_port()),
      control_(free_port()) {
  std::filesystem::create_directories(objects_dir_);
  write_config(plan);
  if (plan.verbose)
    std::fprintf(stderr, "node in %s\n", directory_.path().c_str());
  http_client::settings how;
  how.token = token_;
  client_ = std::make_unique<http_client>(how);
}

running_node::~running_node() {
  kill();
}

void running_node::write_config(const node_plan& plan) {
  write_file(token_file(), token_ + '\n');
  ::chmod(token_file().c_str(), 0600);
  std::ostringstream jobs, config;
  for (const auto& line : plan.job_lines)
    jobs << line << '\n';
  if (plan.job_lines.empty()) {
    auto destination = plan.destination.empty() ? "file://" + objects_dir_ + "/{id}" : plan.destination;
    unsigned id = 0;
    for (const auto& zone : zones(plan.jobs)) {
      ++id;
      auto to = replace_all(replace_all(destination, "{zone}", zone), "{id}", std::to_string(id));
      jobs << R"({"id":)" << id << R"(,"dataset":"http_requests","scope":"zones/)" << zone
           << R"(","destination_conf":")" << to << '"';
      if (plan.job_options.find("max_upload_interval_seconds") == std::string::npos)
        jobs << R"(,"max_upload_interval_seconds":1)";
      jobs << (plan.job_options.empty() ? "" : ",") << plan.job_options << "}\n";
    }
  }
  write_file(jobs_file(), jobs.str());
  std::map<std::string, std::string> sections = plan.settings;
  for (const auto& [name, text] : default_sections)
    sections.emplace(name, text);
  sections["node"] = "name = \"test\"\ndata_dir = \"" + data_dir_ + "\"\n" + sections["node"];
  sections["ingest.http"] = "listen = \"127.0.0.1:" + std::to_string(ingest_) + "\"\n" + sections["ingest.http"];
  sections["control"] = "listen = \"127.0.0.1:" + std::to_string(control_) + "\"\n" + sections["control"];
  for (const auto& [name, text] : sections)
    config << '[' << name << "]\n" << text << '\n';
  config << "[[tokens]]\nname = \"test\"\nsecret_file = \"test.token\"\nscopes = [\"*\"]\n"
         << "rights = [\"ingest\", \"read\", \"write\", \"operate\"]\n\n"
         << plan.more;
  write_file(config_file(), config.str());
}

std::string running_node::complaint(const std::string& what) const {
  auto text = log();
  return what + "; its log ends with:\n" + text.substr(text.size() > 3000 ? text.size() - 3000 : 0);
}

void running_node::launch(const std::vector<std::string>& front, const std::vector<std::string>& more) {
  ++runs_;
  auto words = front;
  for (const auto& word : {built_program("weir"), std::string("run"), std::string("--config"), config_file()})
    words.push_back(word);
  words.insert(words.end(), more.begin(), more.end());
  command what{words.front(), {words.begin() + 1, words.end()}};
  what.output_file = what.error_file = directory_ / ("node-" + std::to_string(runs_) + ".log");
  node_.emplace(what);
}

milliseconds running_node::start(milliseconds within) {
  const auto begin = std::chrono::steady_clock::now();
  launch();
  if (!wait_until_ready(within))
    throw std::runtime_error(complaint(running() ? "the node is not ready in time" : "the node ended"));
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

bool running_node::ready() {
  return client_->get("http://127.0.0.1:" + std::to_string(control_) + "/readyz").status == 200;
}

bool running_node::wait_until_ready(milliseconds within) {
  bool is_ready = false;
  wait_for([&] { return (is_ready = ready()) || !running(); }, within);
  return is_ready;
}

void running_node::kill() {
  if (node_)
    node_->kill();
}

void running_node::send_signal(int number) {
  if (node_)
    node_->send_signal(number);
}

std::optional<int> running_node::wait(milliseconds within) {
  return node_ ? node_->wait(within) : std::nullopt;
}

std::optional<int> running_node::stop() {
  send_signal(SIGTERM);
  return wait();
}

std::string running_node::ingest_url() const {
  return "http://127.0.0.1:" + std::to_string(ingest_) + "/v1/ingest/http_requests";
}

http_answer running_node::post(const std::string& body, const http_client::header_list& headers,
                               const std::string& query) {
  return client_->post(ingest_url() + query, body, headers);
}

process running_node::send(const load_plan& load) {
  auto name = directory_ / ("load-" + std::to_string(++loads_));
  receipts_.push_back(name + ".receipts");
  command what{built_program("weir"), {"generate",      "--url",
                                       ingest_url(),    "--token-file",
                                       token_file(),    "--json",
                                       "--receipts",    receipts_.back(),
                                       "--seed",        std::to_string(load.seed),
                                       "--start",       std::to_string(load.start),
                                       "--zones",       std::to_string(load.zones),
                                       "--connections", std::to_string(load.connections),
                                       "--body-bytes",  std::to_string(load.body_bytes),
                                       "--patience",    std::to_string(load.patience)}};
  auto& words = what.arguments;
  if (load.events > 0)
    words.insert(words.end(), {"--events", std::to_string(load.events)});
  else
    words.push_back("--until-interrupted");
  if (load.rate > 0)
    words.insert(words.end(), {"--rate", std::to_string(load.rate)});
  words.insert(words.end(), load.more.begin(), load.more.end());
  what.output_file = what.error_file = name + ".out";
  return process(what);
}

int running_node::send_all(const load_plan& load, milliseconds within) {
  auto sender = send(load);
  auto code = sender.wait(within);
  if (!code)
    throw std::runtime_error(complaint("the sender did not end in time"));
  if (*code != 0)
    std::fprintf(stderr, "%s", read_file(directory_ / ("load-" + std::to_string(loads_) + ".out")).c_str());
  return *code;
}

std::uint64_t running_node::acknowledged_bodies() const {
  std::uint64_t count = 0;
  for (const auto& path : receipts_) {
    std::istringstream lines(read_file(path));
    for (std::string line; std::getline(lines, line);)
      count += line.find("\"key\"") != std::string::npos;
  }
  return count;
}

http_answer running_node::control(const std::string& path) {
  return client_->get("http://127.0.0.1:" + std::to_string(control_) + path);
}

http_answer running_node::control_post(const std::string& path, const std::string& body) {
  return client_->post("http://127.0.0.1:" + std::to_string(control_) + path, body);
}

nlohmann::json running_node::ledger() {
  nlohmann::json whole;
  for (std::string cursor;;) {
    auto answer = control("/v1/ledger" + (cursor.empty() ? "" : "?cursor=" + cursor));
    if (answer.status != 200)
      return {};
    auto page = parse(answer.body);
    if (whole.is_null())
      whole = page;
    else
      whole["jobs"].insert(whole["jobs"].end(), page["jobs"].begin(), page["jobs"].end());
    cursor = page.value("next_cursor", "");
    if (cursor.empty())
      return whole;
  }
}

nlohmann::json running_node::state() {
  return parse(control("/v1/node").body);
}

std::string running_node::metrics() {
  return control("/metrics").body;
}

double running_node::metric(const std::string& name, const std::string& labels) {
  double sum = 0;
  std::istringstream lines(metrics());
  for (std::string line; std::getline(lines, line);) {
    auto end = line.find_first_of("{ ");
    if (line.compare(0, end, name) == 0 && (labels.empty() || line.find(labels) != std::string::npos))
      sum += std::stod(line.substr(line.rfind(' ')));
  }
  return sum;
}

bool running_node::drained(milliseconds within) {
  return wait_for(
      [this] {
        auto book = ledger();
        return book.is_object() && book["balanced"] == true && to_number(book["totals"]["buffered"]) == 0;
      },
      within);
}

std::string running_node::log() const {
  return read_file(directory_ / ("node-" + std::to_string(runs_) + ".log"));
}

std::uint64_t running_node::verdict::number(const std::string& key) const {
  const auto dot = key.find('.');
  const auto& from = dot == std::string::npos ? report : report.at(key.substr(0, dot));
  return to_number(from.at(dot == std::string::npos ? key : key.substr(dot + 1)));
}

running_node::outcome running_node::run(const std::vector<std::string>& arguments) {
  command what{built_program("weir"), arguments};
  what.output_file = what.error_file = directory_ / "command.out";
  what.environment = {{"WEIR_TOKEN", token_}};
  outcome result;
  result.exit_code = run_program(what);
  result.text = read_file(what.output_file);
  return result;
}

running_node::verdict running_node::audit() {
  std::vector<std::string> words{"audit", objects_dir_, "--jobs", jobs_file(), "--json"};
  for (const auto& path : receipts_)
    if (std::filesystem::exists(path))
      words.insert(words.end(), {"--receipts", path});
  auto done = run(words);
  verdict result;
  result.exit_code = done.exit_code;
  result.text = done.text;
  result.report = parse(done.text);
  return result;
}

} // namespace weir
