#include "config/node_config.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/node_config_reading.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

// More is no node config but a list of jobs, which belongs into the job file, where it is streamed.
constexpr std::size_t max_file_bytes = 16u << 20;

bool valid_node_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

void read_node(const reading& in, toml_section& root) {
  auto section = root.section("node");
  auto& config = in.config();
  section.text("name", config.name);
  section.text("cluster", config.cluster);
  section.text("data_dir", config.data_dir);
  for (auto [key, value] : {std::pair{"name", &config.name}, std::pair{"cluster", &config.cluster}})
    if (!valid_node_name(*value))
      section.problem(key, value->empty() ? fmt::format("is missing; for example {} = \"n1\"", key)
                                          : fmt::format("'{}' is not 1 to 63 of a-z, 0-9 and '-'", shown_key(*value)));
  if (config.data_dir.empty())
    section.problem("data_dir", "is empty; for example data_dir = \"data\"");
  config.data_dir = joined_path(in.folder, config.data_dir);
  if (config.data_dir == "/")
    section.problem("data_dir", "is the root directory; for example data_dir = \"/var/lib/weir\"");
  section.finish();
}

} // namespace

std::string joined_path(const std::string& folder, const std::string& path) {
  auto result = (std::filesystem::path(folder) / path).lexically_normal().string();
  while (result.size() > 1 && result.back() == '/')
    result.pop_back();
  return result;
}

loaded_node_config parse_node_config(std::string_view text, const std::string& folder, const config_world& world) {
  loaded_node_config result;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0 || c == ' ' || (c >= '\t' && c <= '\r'); })) {
    result.problems.add("file", "is blank; the smallest config is [node] with name = \"n1\"");
    return result;
  }
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    result.problems.add(fmt::format("line {}, column {}", at.line, at.column),
                        fmt::format("is not TOML: {}", error.description()));
    return result;
  }
  const reading in{world, folder, result};
  toml_section root(&table, "", result);
  read_node(in, root);
  read_limits(in, root);
  read_buffer(in, root);
  read_store(in, root);
  read_pusher(in, root);
  read_threads(in, root);
  read_log(in, root);
  read_ingest(in, root);
  read_control(in, root);
  check_open_files(in);
  read_tokens(in, root);
  read_datasets(in, root);
  read_accounts(in, root);
  read_destinations(in, root);
  read_publication(in, root);
  read_forwarding(in, root);
  read_guards(in, root);
  read_rollout(in, root);
  read_drills(in, root);
  read_jobs(in, root);
  root.finish();
  confine_scratch_node(in);
  return result;
}

loaded_node_config load_node_config(const std::string& path, const config_world& world) {
  loaded_node_config result;
  file_facts facts;
  std::string error;
  const auto stream = world.open(path, facts, error);
  if (!stream) {
    result.problems.add("file", fmt::format("'{}' cannot be read: {}", path, error));
    return result;
  }
  if (!facts.regular || facts.bytes > max_file_bytes) {
    result.problems.add("file", fmt::format("'{}' is not a file of at most {}; many jobs belong into jobs.file", path,
                                            size_text(max_file_bytes)));
    return result;
  }
  std::string text(static_cast<std::size_t>(facts.bytes), '\0');
  stream->read(text.data(), static_cast<std::streamsize>(text.size()));
  if (static_cast<std::size_t>(stream->gcount()) != text.size()) {
    result.problems.add("file", fmt::format("'{}' became shorter while it was read", path));
    return result;
  }
  return parse_node_config(text, std::filesystem::absolute(path).parent_path().string(), world);
}

loaded_node load_node(const std::string& path, const config_world& world, config_version version,
                      std::chrono::system_clock::time_point now) {
  loaded_node result;
  result.file = load_node_config(path, world);
  // Of a file that is no TOML nothing is known, so its jobs are not judged.
  if (result.file.limits.empty())
    return result;
  result.snapshot = load_declared_jobs(result.file.config, world, version, now, result.file.problems);
  if (!result.file.ok())
    result.snapshot = nullptr;
  if (result.snapshot && result.snapshot->table.size() == 0)
    result.file.notes.push_back("there is no enabled job: events of all scopes are not entitled until there is one");
  return result;
}

} // namespace weir
