#include "apps/drill_runs.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <future>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "config/config_snapshot.hpp"
#include "drills/scratch_node.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds answer_within{5};
constexpr std::size_t canary = 0;

std::string utc(std::chrono::system_clock::time_point at) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

/// A config as a mad publisher might make it: newer than the one in force, of this cluster, and entitling nobody.
snapshot_ptr blank_after(const config_snapshot& in_force, std::chrono::system_clock::time_point now) {
  auto blank = std::make_shared<config_snapshot>();
  blank->version = config_version{number(in_force.version) + 1};
  blank->parent = in_force.version;
  blank->epoch = in_force.epoch;
  blank->cluster = in_force.cluster;
  blank->created = now;
  blank->parent_content = in_force.content;
  blank->datasets = in_force.datasets;
  return blank;
}

/// What the canary says to a config; nothing if it does not answer in time.
std::optional<config_answer> offer_to_canary(config_targets& targets, snapshot_ptr snapshot) {
  auto answered = std::make_shared<std::promise<config_answer>>();
  auto answer = answered->get_future();
  auto offer = std::make_shared<config_offer>();
  offer->snapshot = std::move(snapshot);
  offer->answer = [answered](config_answer x) { answered->set_value(std::move(x)); };
  if (!targets.offer_to_forwarder(canary, offer) || answer.wait_for(answer_within) != std::future_status::ready)
    return std::nullopt;
  return answer.get();
}

} // namespace

std::string_view name_of(drill_outcome::what result) noexcept {
  switch (result) {
    case drill_outcome::what::passed:
      return "passed";
    case drill_outcome::what::failed:
      return "failed";
    case drill_outcome::what::stopped:
      break;
  }
  return "stopped";
}

std::string drill_json(const std::string& name, const drill_outcome& outcome) {
  return json{{"name", name},
              {"result", std::string{name_of(outcome.result)}},
              {"text", outcome.text},
              {"at", utc(outcome.at)},
              {"report", outcome.report}}
             .dump()
         + "\n";
}

const std::vector<std::string>& drill_runs::names() {
  static const std::vector<std::string> all{"blank-config"};
  return all;
}

drill_runs::drill_runs(drill_runs_parts parts) : parts_(std::move(parts)) {
  for (const auto& name : names()) {
    auto& x = entries_[name];
    const auto& wanted = parts_.settings.schedule;
    x.scheduled = std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    x.due = parts_.clock->steady() + parts_.settings.every;
    x.last_success =
        &make_gauge(*parts_.metrics, "weir_drill_last_success_timestamp_seconds",
                    "When the drill passed last, or when the node started if it has not since.", {{"drill", name}});
    const std::chrono::duration<double> now = parts_.clock->wall().time_since_epoch();
    x.last_success->Set(now.count());
    for (const auto result : {drill_outcome::what::passed, drill_outcome::what::failed, drill_outcome::what::stopped})
      x.runs.emplace(name_of(result), &make_counter(*parts_.metrics, "weir_drill_runs_total", "Drills, by result.",
                                                    {{"drill", name}, {"result", std::string{name_of(result)}}}));
  }
}

drill_outcome drill_runs::blank_config() {
  auto& targets = *parts_.targets;
  const auto in_force = targets.in_force();
  if (const auto why = parts_.trouble(); !why.empty())
    return {drill_outcome::what::stopped,
            fmt::format("The node has trouble ({}); nothing was tried.", fmt::join(why, ", ")),
            {},
            {}};
  if (in_force->version == config_version{})
    return {drill_outcome::what::stopped, "No config is in force; nothing was tried.", {}, {}};
  const auto before = targets.forwarder_versions();
  const auto blank = blank_after(*in_force, parts_.clock->wall());
  const auto answer = offer_to_canary(targets, blank);
  if (!answer)
    return {drill_outcome::what::stopped, "The canary did not answer; it may be restarting.", {}, {}};
  if (!answer->adopted) {
    // A rollout of the publisher's may go on meanwhile; then versions grow, and never become the blank one's.
    const auto after = targets.forwarder_versions();
    const bool fell_back = before.size() == after.size()
                           && !std::equal(before.begin(), before.end(), after.begin(),
                                          [](auto a, auto b) { return number(a) <= number(b); });
    if (answer->reason == "zero_entries" && !fell_back)
      return {
          drill_outcome::what::passed,
          fmt::format("The canary refused a config that entitles nobody (zero_entries) and goes on with version {}.",
                      number(answer->in_force)),
          {},
          {}};
    return {drill_outcome::what::failed,
            fmt::format("The canary refused the blank config, but for another reason: {}: {}", answer->reason,
                        answer->text),
            {},
            {}};
  }
  return {drill_outcome::what::failed,
          fmt::format("The canary ADOPTED a config that entitles nobody. Its guard is broken: publish again "
                      "(weir config rollback {}), and if it refuses that, restart the node.",
                      number(in_force->version)),
          {},
          {}};
}

void drill_runs::file_report(const std::string& name, drill_outcome& outcome) const {
  const auto base = fmt::format("{}/{}-{:%Y%m%dT%H%M%SZ}", parts_.directory, name,
                                fmt::gmtime(std::chrono::system_clock::to_time_t(outcome.at)));
  try {
    std::filesystem::create_directories(parts_.directory);
    drills::write_file(base + ".md", fmt::format("# Drill {}: {}\n\n{}\n\n{}\n", name, name_of(outcome.result),
                                                 utc(outcome.at), outcome.text));
    outcome.report = base + ".md";
    drills::write_file(base + ".json", drill_json(name, outcome));
  } catch (const std::exception& x) {
    log::error("drill-report-not-written", "{}: {}", base, x.what());
  }
}

std::optional<drill_outcome> drill_runs::run(const std::string& name) {
  if (std::find(names().begin(), names().end(), name) == names().end())
    return std::nullopt;
  auto outcome = blank_config();
  outcome.at = parts_.clock->wall();
  file_report(name, outcome);
  if (outcome.result == drill_outcome::what::failed)
    log::error("drill-failed", "{}: {}", name, outcome.text);
  else
    log::info("drill-run", "{} {}: {}", name, name_of(outcome.result), outcome.text);
  std::lock_guard lock{mutex_};
  auto& mine = entries_.at(name);
  mine.runs.at(std::string{name_of(outcome.result)})->Increment();
  if (outcome.result == drill_outcome::what::passed)
    mine.last_success->Set(std::chrono::duration<double>(outcome.at.time_since_epoch()).count());
  mine.last = outcome;
  return outcome;
}

void drill_runs::tick() {
  const auto now = parts_.clock->steady();
  for (const auto& name : names()) {
    {
      std::lock_guard lock{mutex_};
      auto& mine = entries_.at(name);
      if (!mine.scheduled || now < mine.due)
        continue;
      mine.due = now + parts_.settings.every;
    }
    run(name);
  }
}

std::string drill_runs::list() const {
  std::lock_guard lock{mutex_};
  json all = json::array();
  for (const auto& [name, x] : entries_) {
    json one{{"name", name}, {"scheduled", x.scheduled}};
    if (x.scheduled)
      one["every_seconds"] = std::chrono::duration_cast<std::chrono::seconds>(parts_.settings.every).count();
    if (x.last)
      one["last"] = json::parse(drill_json(name, *x.last));
    all.push_back(std::move(one));
  }
  return json{{"drills", all}}.dump() + "\n";
}

} // namespace weir
