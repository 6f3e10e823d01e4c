#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "actors/publication/publication.hpp"
#include "config/config_builder.hpp"
#include "telemetry/log.hpp"

namespace weir {

using namespace std::chrono_literals;

/// A job as these tests need it.
struct plain_job {
  std::string destination = "file:///var/tmp/weir/a";
  bool enabled = true;
  std::string account; ///< Owner of its zone; empty: the zone is its own tenant.
};
using plain_jobs = std::map<std::uint64_t, plain_job>;

inline plain_jobs jobs_up_to(std::uint64_t last, std::uint64_t first = 1) {
  plain_jobs jobs;
  for (auto id = first; id <= last; ++id)
    jobs[id];
  return jobs;
}

inline std::string zone_of(std::uint64_t job) {
  return fmt::format("{:032x}", job);
}

inline std::vector<dataset_config> plain_datasets() {
  return {{"http_requests", "ZoneID", "EdgeStartTimestamp", scope_kind::zones, {}}};
}

/// A generated config: no version of its own means anything.
inline config_snapshot_ptr make_config(const plain_jobs& jobs, std::uint64_t version = 1) {
  config_builder builder{plain_datasets(), job_defaults{}};
  for (const auto& [id, x] : jobs)
    if (!x.account.empty())
      builder.assign_zone(x.account, zone_of(id));
  for (const auto& [id, x] : jobs) {
    job made;
    made.id = job_id{id};
    made.dataset = "http_requests";
    made.scope = "zones/" + zone_of(id);
    made.destination_conf = secret{x.destination};
    made.enabled = x.enabled;
    builder.add(made, std::hash<std::string>{}(x.destination));
  }
  snapshot_identity identity;
  identity.version = config_version{version};
  identity.cluster = "weir";
  return builder.finish(std::move(identity));
}

/// The ids that are pushed: enabled and not on hold.
inline std::set<std::uint64_t> entitled_in(const config_snapshot& x) {
  std::set<std::uint64_t> ids;
  for (std::size_t i = 0; i < x.jobs.size(); ++i) {
    const auto job = x.jobs.at(static_cast<settings_index>(i));
    if (job.enabled && !job.on_hold())
      ids.insert(number(job.job));
  }
  return ids;
}

inline bool is_on_hold(const config_snapshot& x, std::uint64_t id) {
  const auto job = x.find_job(job_id{id});
  return job && job->on_hold();
}

/// A folder that goes with the test.
struct own_folder {
  own_folder() {
    char name[] = "/tmp/weir-publication-XXXXXX";
    path = mkdtemp(name);
  }
  ~own_folder() {
    std::error_code ignored; // Nothing depends on it.
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

/// A role as the publisher sees it.
struct fake_role {
  snapshot_ptr in_force;
  bool there = true;
  bool silent = false;
  std::string refuses; ///< The reason; empty: it adopts whatever is newer.
  std::vector<config_version> adopted;
  std::uint64_t offers = 0;
  content_hash approved{}; ///< Of the last offer.
};

/// A publisher over a real history, with fake roles and a clock that moves when told to.
struct publisher_bench {
  explicit publisher_bench(plain_jobs first, std::size_t receiver_count = 2, std::size_t forwarder_count = 2)
      : receivers(receiver_count), forwarders(forwarder_count) {
    log::settings every_line; // Which line passed the rate limit must not depend on the test before.
    every_line.lines_per_window = 1'000'000;
    log::configure(every_line);
    log::divert([this](log::level, std::string_view line) { lines.emplace_back(line); });
    settings.receivers = receiver_count;
    settings.forwarders = forwarder_count;
    settings.readable.cluster = "weir";
    settings.readable.datasets = plain_datasets();
    in_force = make_config(first);
    says = first;
    for (auto* group : {&receivers, &forwarders})
      for (auto& role : *group)
        role.in_force = in_force;
    history_path = folder.path + "/history.db";
  }
  ~publisher_bench() { log::divert({}); }

  void open() {
    auto opened = config_history::open(history_path, limits, now.wall);
    set_aside = opened.set_aside;
    problem = opened.problem;
    history = std::move(opened.history);
    publication = std::make_unique<config_publication>(settings, *history, metrics, in_force, now);
    publication->roles_have(versions(receivers), versions(forwarders));
    publication->take_over(now);
    do_effects();
  }
  /// As if the process, or only the publisher, had died and another had begun.
  void restart() {
    publication.reset();
    history.reset();
    open();
  }
  /// Opened at first use, so that a test can change the settings before.
  config_publication& it() {
    if (!publication)
      open();
    return *publication;
  }

  static std::vector<config_version> versions(const std::vector<fake_role>& roles) {
    std::vector<config_version> result;
    for (const auto& role : roles)
      result.push_back(role.in_force->version);
    return result;
  }

  /// The source is read once, and what comes of it without time passing is done.
  void read() {
    it();
    ++readings;
    auto reading = fails ? *fails : config_reading{};
    if (!fails) {
      reading.snapshot = make_config(says);
      reading.who = "generator";
      for (const auto id : explained)
        reading.explained.push_back(job_id{id});
    }
    it().regenerated(std::move(reading), now);
    settle();
  }
  void say(plain_jobs jobs) {
    says = std::move(jobs);
    read();
  }

  /// Time passes in steps of a tenth of a second; the source is read every interval.
  void pass(std::chrono::milliseconds time) {
    it();
    for (std::chrono::milliseconds gone{0}; gone < time; gone += 100ms) {
      now.steady += 100ms;
      now.wall += 100ms;
      since_reading += 100ms;
      if (flow)
        flow(health);
      if (since_reading >= settings.publication.interval) {
        since_reading = 0ms;
        read();
      }
      settle();
    }
  }
  /// Long times, without stages in them.
  void skip(std::chrono::milliseconds time) {
    now.steady += time;
    now.wall += time;
    settle();
  }
  void settle() {
    for (int i = 0; i < 20; ++i) { // Each answer may bring the next effect.
      it().tick(health, now);
      if (!do_effects())
        break;
    }
    if (it().wants_reading())
      read();
  }

  bool do_effects() {
    auto effects = publication->take_effects();
    for (auto& effect : effects)
      do_effect(effect);
    return !effects.empty();
  }
  void do_effect(publication_effect& effect) {
    switch (effect.what) {
      case publication_effect::kind::offer:
        offer(effect);
        break;
      case publication_effect::kind::apply_to_buffers:
        story.push_back(fmt::format("buffers {}", number(effect.snapshot->version)));
        break;
      case publication_effect::kind::apply_to_intake:
        story.push_back(fmt::format("intake {}", number(effect.snapshot->version)));
        in_force = effect.snapshot;
        break;
      case publication_effect::kind::keep_last_known_good:
        story.push_back(fmt::format("keep {}", number(effect.snapshot->version)));
        if (keep_problem.empty())
          kept = effect.snapshot;
        publication->kept_last_known_good(keep_problem, now);
        break;
    }
  }
  void offer(publication_effect& effect) {
    auto& role = (effect.role == offered_role::receiver ? receivers : forwarders).at(effect.index);
    if (!role.there) {
      publication->not_there(effect.role, effect.index, effect.attempt);
      return;
    }
    ++role.offers;
    role.approved = effect.approved;
    if (watch_offer)
      watch_offer(role, effect);
    if (role.silent)
      return;
    config_answer answer;
    if (!role.refuses.empty()) {
      answer.reason = role.refuses;
      answer.text = "as the test wants it";
    } else if (effect.snapshot->version > role.in_force->version) {
      answer.adopted = true;
      role.in_force = effect.snapshot;
      role.adopted.push_back(effect.snapshot->version);
      story.push_back(fmt::format("{} {} {}", name_of(effect.role), effect.index, number(effect.snapshot->version)));
    } else {
      answer.reason = "older_version";
    }
    answer.in_force = role.in_force->version;
    publication->answered(effect.role, effect.index, effect.attempt, answer);
  }

  // -- orders ---------------------------------------------------------------------------------

  command_result order(config_command::order what, content_hash hash = {}, std::uint64_t version = 0,
                       const std::string& who = "olga") {
    config_command command;
    command.what = what;
    command.hash = hash;
    command.version = config_version{version};
    command.who = who;
    auto result = it().order(command, now);
    settle();
    return result;
  }
  command_result approve(content_hash hash, const std::string& who = "olga") {
    return order(config_command::order::approve, hash, 0, who);
  }
  command_result rollback(std::uint64_t version) { return order(config_command::order::rollback, {}, version); }
  command_result freeze() { return order(config_command::order::freeze); }
  command_result unfreeze() { return order(config_command::order::unfreeze); }

  // -- what is seen ---------------------------------------------------------------------------

  publication_view view() { return it().view(now); }
  std::vector<held_change> held() { return view().held; }
  std::uint64_t version() { return number(view().in_force); }
  bool rolled_out() { return view().stage == rollout_stage::idle; }
  /// Lets the rollout under way end.
  void finish_rollout() {
    for (int i = 0; i < 3'000 && !rolled_out(); ++i)
      pass(100ms);
  }
  std::vector<std::string> audited() {
    std::vector<std::string> what;
    for (const auto& row : history->audit(1'000))
      what.insert(what.begin(), row.what + ":" + row.who + ":" + row.result);
    return what;
  }
  bool was_audited(const std::string& what) {
    for (const auto& row : audited())
      if (row == what)
        return true;
    return false;
  }
  bool was_logged(std::string_view event) const {
    for (const auto& line : lines)
      if (line.find(event) != std::string::npos)
        return true;
    return false;
  }
  std::string metric(const std::string& line) {
    const auto text = registry.text();
    const auto at = text.find("\n" + line + " ");
    if (at == std::string::npos)
      return "none";
    const auto from = at + line.size() + 2;
    return text.substr(from, text.find('\n', from) - from);
  }

  own_folder folder;
  std::string history_path;
  history_limits limits;
  publication_settings settings;
  metrics_registry registry;
  publication_metrics metrics{registry.families(), publication_refusals(), publication_guards()};
  publication_moment now{std::chrono::steady_clock::time_point{1h},
                         std::chrono::system_clock::time_point{1'731'584'580s}};
  std::unique_ptr<config_history> history;
  std::unique_ptr<config_publication> publication;
  std::string set_aside, problem;

  std::vector<fake_role> receivers, forwarders;
  std::function<void(const fake_role&, const publication_effect&)> watch_offer;
  snapshot_ptr in_force, kept;
  std::string keep_problem;
  std::vector<std::string> story; ///< Who got what, in order.
  std::vector<std::string> lines;

  plain_jobs says;
  std::set<std::uint64_t> explained;
  std::optional<config_reading> fails;
  std::uint64_t readings = 0;
  std::chrono::milliseconds since_reading{0};
  rollout_health health;
  std::function<void(rollout_health&)> flow; ///< Called every tenth of a second.
};

} // namespace weir
