#include <algorithm>

#include <fmt/format.h>

#include "config/node_config_reading.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1ull << 10;
constexpr std::uint64_t mib = 1ull << 20;
constexpr std::uint64_t gib = 1ull << 30;

constexpr std::string_view file_prefix = "file:";
constexpr std::string_view https_prefix = "https://";

// Those that may run beside customers' traffic. nov14 needs a node of its own.
constexpr std::string_view scheduled_drills[] = {"blank-config", "buffer-storm", "dead-destination", "slow-disk"};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// No credentials in it, since URLs are shown; and nothing that a terminal or a log line would stumble over.
bool valid_url(std::string_view url) {
  const auto rest = url.substr(https_prefix.size());
  const auto host = rest.substr(0, rest.find_first_of("/?#"));
  return url.size() <= 2'048 && !host.empty() && host.find('@') == std::string_view::npos
         && std::all_of(url.begin(), url.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void read_source(const reading& in, toml_section& section) {
  auto& forwarding = in.config().forwarding;
  std::string source = "jobs";
  section.text("source", source);
  using kind = forwarding_source_config::source_kind;
  if (source == "jobs")
    return;
  if (starts_with(source, file_prefix) && source.size() > file_prefix.size()
      && source.find('\0') == std::string::npos) {
    forwarding.source = kind::file;
    forwarding.file = joined_path(in.folder, source.substr(file_prefix.size()));
  } else if (starts_with(source, https_prefix) && valid_url(source)) {
    forwarding.source = kind::https;
    forwarding.url = source;
  } else {
    section.problem("source",
                    "is neither \"jobs\" nor \"file:PATH\" nor \"https://HOST/PATH\" without user and password; for "
                    "example source = \"file:/var/lib/generator/forwarding.json\"");
  }
}

void read_public_key(const reading& in, toml_section& section) {
  auto& forwarding = in.config().forwarding;
  section.text("public_key_file", forwarding.public_key_file);
  if (forwarding.public_key_file.empty())
    return;
  forwarding.public_key_file = joined_path(in.folder, forwarding.public_key_file);
  file_facts facts;
  std::string error;
  const auto stream = in.world.open(forwarding.public_key_file, facts, error);
  if (!stream)
    return section.problem("public_key_file",
                           fmt::format("'{}' cannot be read: {}", forwarding.public_key_file, error));
  if (!facts.regular || facts.bytes > 16 * kib)
    return section.problem("public_key_file",
                           fmt::format("'{}' is not a file of at most 16KiB", forwarding.public_key_file));
  std::string text(static_cast<std::size_t>(facts.bytes), '\0');
  stream->read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, stream->gcount())));
  forwarding.public_key = parse_public_key(text, error);
  if (!forwarding.public_key)
    section.problem("public_key_file", fmt::format("'{}' {}", forwarding.public_key_file, error));
}

void read_authorities(const reading& in, toml_section& section) {
  auto& path = in.config().forwarding.authorities_file;
  section.text("authorities_file", path);
  if (path.empty())
    return;
  path = joined_path(in.folder, path);
  file_facts facts;
  std::string error;
  if (!in.world.open(path, facts, error))
    section.problem("authorities_file", fmt::format("'{}' cannot be read: {}", path, error));
}

} // namespace

void read_publication(const reading& in, toml_section& root) {
  auto section = root.section("config");
  auto& publication = in.config().publication;
  const auto store = std::max(in.config().limits.store_max_bytes, mib);
  section.duration("interval", publication.interval, {100ms, 1h});
  section.duration("hold", publication.hold, {1s, 90 * 24h});
  publication.hold_bytes = std::min(publication.hold_bytes, store);
  section.size("hold_bytes", publication.hold_bytes, {mib, store, "a job holds at most the whole store"});
  section.duration("approval_age", publication.approval_age, {1s, 7 * 24h});
  section.duration("stale_after", publication.stale_after, {1s, 30 * 24h});
  if (publication.stale_after <= publication.interval)
    section.problem("stale_after",
                    fmt::format("is {}; it must be longer than config.interval ({})",
                                duration_text(publication.stale_after), duration_text(publication.interval)));
  section.finish();
}

void read_forwarding(const reading& in, toml_section& root) {
  auto section = root.section("forwarding");
  auto& forwarding = in.config().forwarding;
  read_source(in, section);
  read_public_key(in, section);
  read_authorities(in, section);
  section.duration("poll", forwarding.poll, {100ms, 1h});
  section.size("max_bytes", forwarding.max_bytes, {kib, 4 * gib});
  section.finish();
}

void read_guards(const reading& in, toml_section& root) {
  auto section = root.section("guards");
  auto& guards = in.config().guards;
  section.share("max_shrink", guards.max_shrink, {0.001, 0.9});
  section.share("max_growth", guards.max_growth, {0.001, 100.0});
  section.share("max_moved", guards.max_moved, {0.001, 0.9});
  section.count("free_entries", guards.free_entries, {1, 100'000});
  section.count("explained_per_minute", guards.explained_per_minute, {1, 1'000'000});
  const auto all = std::max<std::uint64_t>(1, guards.explained_per_minute);
  guards.explained_per_tenant_per_minute = std::min(guards.explained_per_tenant_per_minute, all);
  section.count("explained_per_tenant_per_minute", guards.explained_per_tenant_per_minute,
                {1, all, fmt::format("guards.explained_per_minute is {}", all)});
  section.finish();
}

void read_rollout(const reading& in, toml_section& root) {
  auto section = root.section("rollout");
  auto& rollout = in.config().rollout;
  section.duration("canary", rollout.canary, {10ms, 1h});
  section.duration("tenth", rollout.tenth, {10ms, 1h});
  section.duration("all", rollout.all, {10ms, 1h});
  section.duration("answer_within", rollout.answer_within, {100ms, 5min});
  section.share("max_shed_rise", rollout.max_shed_rise, {0.001, 1.0});
  section.share("max_not_entitled_rise", rollout.max_not_entitled_rise, {0.001, 1.0});
  section.share("max_delivered_fall", rollout.max_delivered_fall, {0.001, 1.0});
  section.count("min_events", rollout.min_events, {1, 1'000'000'000});
  section.finish();
}

void read_drills(const reading& in, toml_section& root) {
  auto section = root.section("drills");
  auto& drills = in.config().drills;
  section.texts("schedule", drills.schedule, "[\"blank-config\"]");
  for (const auto& name : drills.schedule) {
    if (std::find(std::begin(scheduled_drills), std::end(scheduled_drills), name) == std::end(scheduled_drills))
      section.problem("schedule",
                      fmt::format("'{}' is not one of {}{}", shown_key(name), fmt::join(scheduled_drills, ", "),
                                  name == "nov14" ? "; it runs on a scratch node only" : ""));
    else if (std::count(drills.schedule.begin(), drills.schedule.end(), name) > 1)
      section.problem("schedule", fmt::format("'{}' is there twice", name));
  }
  section.duration("every", drills.every, {1s, 31 * 24h});
  section.finish();

  auto heartbeat = root.section("heartbeat");
  heartbeat.flag("enabled", in.config().heartbeat.enabled);
  heartbeat.duration("every", in.config().heartbeat.every, {1s, 1h});
  heartbeat.finish();
}

std::uint64_t readable_jobs(const limits_config& limits) noexcept {
  return std::max<std::uint64_t>(limits.buffers, limits.memory / kib);
}

} // namespace weir
