#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "config/config_builder.hpp"
#include "config/job_fields.hpp"
#include "config/node_config_reading.hpp"
#include "config/scope.hpp"

namespace weir {

namespace {

constexpr std::pair<std::string_view, field_type> field_types[] = {
    {"int", field_type::integer},        {"float", field_type::number}, {"bool", field_type::boolean},
    {"string", field_type::text},        {"array", field_type::list},   {"object", field_type::object},
    {"timestamp", field_type::timestamp}};

bool valid_dataset_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void read_field_types(toml_section& section, dataset_config& dataset) {
  auto fields = section.section("fields");
  fields.each([&](std::string_view name, const toml::node& node) {
    const auto* text = node.as_string();
    const auto known = std::find_if(std::begin(field_types), std::end(field_types),
                                    [&](const auto& x) { return text != nullptr && x.first == text->get(); });
    if (known == std::end(field_types) || name.empty() || name.size() > job_bounds::max_field_name_bytes)
      return fields.problem(shown_key(name),
                            "must be one of \"int\", \"float\", \"bool\", \"string\", \"array\", "
                            "\"object\", \"timestamp\"");
    dataset.fields.emplace(std::string{name}, known->second);
  });
}

field_value value_of(const toml::node& node) {
  if (const auto* x = node.as_boolean())
    return x->get();
  if (const auto* x = node.as_integer())
    return std::int64_t{x->get()};
  if (const auto* x = node.as_floating_point())
    return x->get();
  if (const auto* x = node.as_string())
    return std::string_view{x->get()};
  const auto* list = node.as_array();
  if (list == nullptr)
    return other_value{kind_of(node)};
  std::vector<std::string_view> texts;
  for (const auto& item : *list) {
    if (!item.is_string())
      return other_value{"a list with something else than texts in it"};
    texts.push_back(item.as_string()->get());
  }
  return texts;
}

// The same fields, judged by the same code, as a line of a job file.
bool read_job(toml_section& section, const std::string& path, job& into, problem_list& problems) {
  job_fields fields(into, path, problems);
  section.each([&](std::string_view key, const toml::node& node) {
    const auto* options = key == "output_options" ? node.as_table() : nullptr;
    if (options == nullptr)
      return fields.set(key, value_of(node));
    for (const auto& [option, value] : *options)
      fields.set(fmt::format("output_options.{}", option.str()), value_of(value));
  });
  return fields.finish();
}

// Longest line that is read into memory, and one byte to see that it is longer.
constexpr std::streamsize line_buffer_bytes = job_bounds::max_line_bytes + 2;

enum class line_state { line, too_long, end, failed };

line_state next_line(std::istream& from, std::string& buffer, std::string_view& line) {
  buffer.resize(static_cast<std::size_t>(line_buffer_bytes));
  from.getline(buffer.data(), line_buffer_bytes);
  const auto got = from.gcount();
  if (from.bad())
    return line_state::failed;
  if (from.eof() && got == 0)
    return line_state::end;
  if (from.fail())
    return line_state::too_long;
  // gcount counts the newline, which is not in the buffer; the last line may have none.
  line = {buffer.data(), static_cast<std::size_t>(from.eof() ? got : got - 1)};
  if (!line.empty() && line.back() == '\r')
    line.remove_suffix(1);
  return line_state::line;
}

class job_loader {
 public:
  job_loader(const node_config& config, problem_list& problems)
      : config_(config),
        problems_(problems),
        rules_(rules_for_destinations(config, job_origin::declared)),
        builder_(config.datasets, config.pusher.object) {
    for (const auto& account : config.accounts)
      for (const auto& zone : account.zones)
        builder_.assign_zone(account.id, zone); // a second owner was a problem of the config already
  }

  void add(job& x, const std::string& path) {
    const auto before = problems_.count();
    const job_rules rules{config_.datasets, rules_, config_.limits.store_max_bytes, job_origin::declared};
    const auto to = check(x, rules, path, problems_);
    if (const auto other = builder_.find(x.id))
      problems_.add(path + ": id",
                    fmt::format("{} is the id of another job already, the one of {}", number(x.id), other->scope));
    else if (problems_.count() == before && builder_.add(x, to->fingerprint))
      enabled_ += x.enabled ? 1 : 0;
    if (builder_.jobs() > config_.limits.buffers && !full_) {
      full_ = true;
      problems_.add(path, fmt::format("there are more jobs than limits.buffers ({})", config_.limits.buffers));
    }
  }

  void add_file(std::istream& from, const std::string& path) {
    job_line_parser parser;
    job x;
    std::string buffer;
    std::string_view line;
    for (std::uint64_t number = 1; !full_; ++number) {
      const auto state = next_line(from, buffer, line);
      if (state == line_state::end)
        return;
      const auto where = fmt::format("{}:{}", path, number);
      if (state == line_state::failed)
        return problems_.add(where, "cannot be read");
      if (state == line_state::too_long)
        return problems_.add(where,
                             fmt::format("the line has more than {} bytes, so it is no job; the rest is not read",
                                         job_bounds::max_line_bytes));
      if (line.empty())
        continue;
      x = job{};
      if (parser.parse(line, where, x, problems_))
        add(x, where);
    }
  }

  config_snapshot_ptr finish(config_version version, std::chrono::system_clock::time_point now) {
    snapshot_identity identity;
    identity.version = enabled_ == 0 ? config_version{} : version;
    identity.cluster = config_.cluster;
    identity.created = now;
    return builder_.finish(std::move(identity));
  }

 private:
  const node_config& config_;
  problem_list& problems_;
  destination_rules rules_;
  config_builder builder_;
  std::uint64_t enabled_ = 0;
  bool full_ = false;
};

} // namespace

void read_datasets(const reading& in, toml_section& root) {
  auto& datasets = in.config().datasets;
  root.each_of_table("datasets", [&](const std::string& name, toml_section& section) {
    dataset_config dataset;
    dataset.name = name;
    if (!valid_dataset_name(name))
      section.problem("", "the name of a dataset has 1 to 64 lower-case letters, digits or '_'");
    section.text("scope_field", dataset.scope_field);
    section.text("timestamp_field", dataset.timestamp_field);
    for (const auto* field : {&dataset.scope_field, &dataset.timestamp_field})
      if (field->size() > job_bounds::max_field_name_bytes)
        section.problem(field == &dataset.scope_field ? "scope_field" : "timestamp_field", "is too long for a field");
    if (dataset.scope_field.empty())
      section.problem("scope_field",
                      "is missing; it names the field that tells whose event it is, for example "
                      "scope_field = \"ZoneID\"");
    std::string scopes = "zones";
    section.text("scopes", scopes);
    if (scopes != "zones" && scopes != "accounts")
      section.problem("scopes", fmt::format("'{}' is neither \"zones\" nor \"accounts\"", shown_key(scopes)));
    dataset.scopes = scopes == "accounts" ? scope_kind::accounts : scope_kind::zones;
    read_field_types(section, dataset);
    datasets.push_back(std::move(dataset));
  });
  if (datasets.size() > 1'000)
    root.problem("datasets", fmt::format("there are {}; at most 1000 are allowed", datasets.size()));
  if (!root.has("datasets"))
    datasets.push_back({"http_requests", "ZoneID", "EdgeStartTimestamp", scope_kind::zones, {}});
}

void read_accounts(const reading& in, toml_section& root) {
  std::set<std::string> ids;
  std::set<std::string> zones;
  root.each_of_array("accounts", [&](toml_section& section) {
    account_config account;
    section.text("id", account.id);
    section.texts("zones", account.zones, "[\"78b85e002131f08b636e58bb814adc68\"]");
    if (!valid_scope_id(account.id))
      section.problem("id", fmt::format("'{}' is not an id of 1 to {} letters, digits, '-' or '_'",
                                        shown_key(account.id), max_scope_id_bytes));
    else if (!ids.insert(account.id).second)
      section.problem("id", fmt::format("'{}' is there twice", account.id));
    for (const auto& zone : account.zones) {
      if (!valid_scope_id(zone))
        section.problem("zones", fmt::format("'{}' is not an id", shown_key(zone)));
      else if (!zones.insert(zone).second)
        section.problem("zones", fmt::format("'{}' has an owner already; a zone belongs to one account", zone));
    }
    in.config().accounts.push_back(std::move(account));
  });
}

void read_destinations(const reading& in, toml_section& root) {
  auto section = root.section("destinations");
  auto& destinations = in.config().destinations;
  std::vector<std::string> networks;
  section.texts("allow_private", networks, "[\"127.0.0.0/8\"]");
  for (const auto& text : networks) {
    if (const auto network = ip_network::parse(text))
      destinations.allow_private.push_back(*network);
    else
      section.problem("allow_private", fmt::format("'{}' is not a network such as 10.0.0.0/8 or fd00::/8, with no bit "
                                                   "set behind its prefix",
                                                   text.size() < 64 ? shown_key(text) : "…"));
  }
  section.flag("allow_insecure_http", destinations.allow_insecure_http);
  section.texts("file_roots", destinations.file_roots, "[\"/var/log/push\"]");
  for (auto& root_path : destinations.file_roots) {
    if (root_path.empty())
      section.problem("file_roots", "has an empty path in it");
    root_path = joined_path(in.folder, root_path);
  }
  section.finish();
}

void read_jobs(const reading& in, toml_section& root) {
  auto section = root.section("jobs");
  auto& config = in.config();
  section.text("file", config.job_file);
  if (!config.job_file.empty())
    config.job_file = joined_path(in.folder, config.job_file);
  std::size_t at = 0;
  section.each_of_array("job", [&](toml_section& table) {
    declared_job x;
    x.path = fmt::format("jobs.job[{}]", at++);
    if (read_job(table, x.path, x.settings, in.result.problems))
      config.jobs.push_back(std::move(x));
  });
  section.finish();
}

destination_rules rules_for_destinations(const node_config& config, job_origin origin) {
  std::vector<std::pair<ip_address, std::uint16_t>> own;
  for (const auto* listen : {&config.http.listen, &config.control.listen})
    if (const auto address = parse_literal_address(listen->host); address && listen->port != 0)
      own.emplace_back(*address, listen->port);
  destination_rules rules;
  rules.addresses = address_policy(config.destinations.allow_private, std::move(own));
  rules.allow_insecure_http = config.destinations.allow_insecure_http;
  rules.file_roots = config.destinations.file_roots;
  rules.closed_roots = {config.data_dir};
  rules.files_only = !config.destinations.scratch_root.empty();
  rules.require_file_root = rules.files_only || origin == job_origin::api;
  return rules;
}

config_snapshot_ptr load_declared_jobs(const node_config& config, const config_world& world, config_version version,
                                       std::chrono::system_clock::time_point now, problem_list& problems) {
  const auto before = problems.count();
  job_loader loader(config, problems);
  for (auto x : config.jobs)
    loader.add(x.settings, x.path);
  if (!config.job_file.empty()) {
    file_facts facts;
    std::string error;
    const auto stream = world.open(config.job_file, facts, error);
    if (!stream)
      problems.add("jobs.file", fmt::format("'{}' cannot be read: {}", config.job_file, error));
    else
      loader.add_file(*stream, config.job_file);
  }
  if (problems.count() != before)
    return nullptr;
  return loader.finish(version, now);
}

} // namespace weir
