#include <algorithm>

#include <fmt/format.h>

#include "actors/publication/packed_content.hpp"
#include "actors/publication/publication.hpp"
#include "telemetry/log.hpp"

/// What the publisher begins with, shows and compares.
namespace weir {

namespace {

/// Versions that an operator looked at, or that began everything: later changes are measured from them.
bool is_measure(const version_row& x) {
  return x.why == "approved" || x.why == "rollback" || x.why == "first" || x.why == "start";
}

constexpr std::size_t all_versions = 1'000;

} // namespace

void config_publication::restore(publication_moment now) {
  in_force_since_ = in_force_->created;
  on_hold_ = holds_in(*in_force_);
  hour_ago_ = next_hour_ = in_force_;
  last_version_ = std::max(history_.last_version(), in_force_->version);
  contents_[in_force_->version] = in_force_->content;
  frozen_ = history_.frozen();
  held_ = history_.held();
  const auto rows = history_.versions(all_versions);
  if (number(in_force_->version) != 0) {
    const auto mine =
        std::find_if(rows.begin(), rows.end(), [&](const version_row& x) { return x.version == in_force_->version; });
    if (mine == rows.end())
      record_start(now);
    else if (mine->outcome != version_outcome::complete) // It ended between the last known good copy and this row.
      remembered(history_.finish_version(mine->version, version_outcome::complete, {}, now.wall));
    else
      in_force_since_ = mine->finished;
  }
  for (const auto& row : rows)
    if (row.outcome == version_outcome::rolling_out && row.version != in_force_->version)
      remembered(history_.finish_version(row.version, version_outcome::interrupted,
                                         "the publisher ended before the rollout did", now.wall));
  restore_measure(rows, now);
  restore_stopped(rows);
  show_metrics(now);
}

void config_publication::record_start(publication_moment now) {
  version_row row;
  row.version = in_force_->version;
  row.parent = in_force_->parent;
  row.content = in_force_->content;
  row.created = in_force_->created;
  row.finished = now.wall;
  row.why = "start";
  row.who = "node";
  row.outcome = version_outcome::complete;
  row.entries = in_force_->table.entry_count();
  row.jobs = in_force_->jobs.size();
  if (const auto content = content_of(*in_force_))
    remembered(history_.together([&] {
      return history_.add_version(row, *content)
             && history_.add_audit({0, now.wall, row.who, "completed", row.version, hex_text(row.content), "complete",
                                    "what the node started with"});
    }));
}

void config_publication::restore_measure(const std::vector<version_row>& rows, publication_moment now) {
  for (const auto& row : rows) { // newest first
    if (row.outcome != version_outcome::complete || row.version > in_force_->version)
      continue;
    if (!is_measure(row) && row.finished > now.wall - std::chrono::hours{1})
      continue;
    std::string wrong;
    if (row.version != in_force_->version)
      if (auto then = load(row.version, wrong))
        hour_ago_ = std::move(then);
    return;
  }
}

void config_publication::restore_stopped(const std::vector<version_row>& rows) {
  for (const auto& row : rows) {
    if (row.why == "return" || row.why == "start")
      continue;
    if (row.outcome != version_outcome::stopped)
      return;
    std::string wrong;
    if (const auto then = load(row.version, wrong); then && number(in_force_->version) != 0)
      for (const auto job : diff(*in_force_, *then).ids())
        stopped_[job] = state_of(*then, job);
    return;
  }
}

void config_publication::roles_have(const std::vector<config_version>& receivers,
                                    const std::vector<config_version>& forwarders) {
  config_version highest{};
  const auto learn = [&](offered_role role, const std::vector<config_version>& versions) {
    for (std::size_t i = 0; i < versions.size(); ++i) {
      rollout_.learn(role, i, versions[i]);
      highest = std::max(highest, versions[i]);
    }
  };
  learn(offered_role::receiver, receivers);
  learn(offered_role::forwarder, forwarders);
  last_version_ = std::max(last_version_, highest);
}

void config_publication::take_over(publication_moment now) {
  if (rolling_ || number(in_force_->version) == 0)
    return;
  for (const auto& x : rollout_.members())
    if (x.has > in_force_->version) {
      for (const auto& y : rollout_.members()) // Approvals are given for what a role really has.
        if (const auto row = history_.version(y.has))
          contents_[y.has] = row->content;
      put_back("the publisher that was rolling out a newer version ended", now);
      return;
    }
}

// -- yesterday's traffic ------------------------------------------------------------------------

void config_publication::traffic(totals since_ever, publication_moment now) {
  constexpr std::chrono::hours day{24};
  if (since_ever.empty())
    return;
  std::sort(since_ever.begin(), since_ever.end());
  totals since;
  since.reserve(since_ever.size());
  auto before = day_began_.begin();
  for (const auto& [job, total] : since_ever) {
    while (before != day_began_.end() && before->first < job)
      ++before;
    const auto old = before != day_began_.end() && before->first == job ? before->second : 0;
    since.emplace_back(job, total >= old ? total - old : total);
  }
  const bool whole = day_taken_ && now.steady - *day_taken_ >= day;
  // Until a whole day has passed, all that is known stands for yesterday.
  if (whole || !had_a_day_) {
    yesterday_ = std::move(since);
    yesterday_in_all_ = 0;
    for (const auto& x : yesterday_)
      yesterday_in_all_ += x.second;
  }
  had_a_day_ = had_a_day_ || whole;
  if (whole)
    day_began_ = std::move(since_ever);
  if (whole || !day_taken_)
    day_taken_ = now.steady;
}

std::uint64_t config_publication::yesterday_of(job_id job) const {
  const auto found = std::lower_bound(yesterday_.begin(), yesterday_.end(), std::pair{job, std::uint64_t{0}});
  return found != yesterday_.end() && found->first == job ? found->second : 0;
}

// -- what is shown ------------------------------------------------------------------------------

publication_view config_publication::view(publication_moment now) const {
  publication_view x;
  x.in_force = in_force_->version;
  x.content = in_force_->content;
  x.in_force_since = in_force_since_;
  x.entries = in_force_->table.entry_count();
  x.jobs = in_force_->jobs.size();
  x.on_hold = on_hold_.count;
  x.on_hold_jobs = on_hold_.first;
  x.stage = rollout_.stage();
  if (rolling_) {
    x.rolling_out = rolling_->version;
    x.rollout_text = rollout_.text();
  }
  x.frozen = frozen_;
  for (const auto& row : held_)
    if (!row.rejected)
      x.held.push_back(row.change);
  x.source = source_;
  x.age = std::chrono::duration_cast<std::chrono::seconds>(now.steady - confirmed_);
  x.stale = x.age >= how_.publication.stale_after;
  for (const auto& m : rollout_.members())
    x.roles.push_back({std::string{name_of(m.role)}, m.index, m.has, m.reason});
  x.last_known_good_problem = good_problem_;
  x.history_problem = history_problem_;
  return x;
}

void config_publication::show_metrics(publication_moment now) const {
  metrics_.version.Set(static_cast<double>(number(in_force_->version)));
  metrics_.age_seconds.Set(std::chrono::duration<double>(now.steady - confirmed_).count());
  metrics_.rollout_stage.Set(static_cast<double>(rollout_.stage()));
  metrics_.frozen.Set(frozen_ ? 1 : 0);
  metrics_.jobs_on_hold.Set(static_cast<double>(on_hold_.count));
  std::vector<std::vector<std::string>> reasons;
  for (const auto& x : held_)
    if (!x.rejected)
      reasons.push_back(x.change.reasons);
  metrics_.show_held(reasons);
}

// -- versions of the past -----------------------------------------------------------------------

std::optional<std::string> config_publication::content_of(const config_snapshot& version) const {
  return packed_content([&](std::ostream& into) { return write_forwarding_config(version, into, how_.signer); });
}

snapshot_ptr config_publication::load(config_version version, std::string& wrong) {
  auto content = history_.content(version);
  if (!content) {
    wrong = history_.version(version) ? fmt::format("The content of version {} is not kept any more.", number(version))
                                      : fmt::format("There is no version {} in the history.", number(version));
    return nullptr;
  }
  unpacking_stream from{std::move(*content)};
  auto expected = how_.readable;
  expected.in_force = config_version{};
  auto loaded = load_forwarding_config(from, expected);
  if (!loaded.snapshot)
    wrong = fmt::format("Version {} cannot be used: {}", number(version), loaded.text);
  return std::move(loaded.snapshot);
}

snapshot_ptr config_publication::snapshot_of(config_version version, std::string& wrong) {
  if (version == in_force_->version)
    return in_force_;
  if (rolling_ && rolling_->version == version)
    return rollout_.next();
  return load(version, wrong);
}

namespace {

config_publication::difference differ(const config_snapshot& before, const config_snapshot& after,
                                      const std::vector<job_id>* only) {
  config_publication::difference x;
  const auto changes = diff(before, after);
  x.changes = summarize(before, after, changes, only);
  const auto put = [&](std::vector<job_id>& into, job_id job) {
    if (into.size() < config_publication::most_jobs_shown)
      into.push_back(job);
  };
  for (const auto& change : changes.jobs) {
    if (only != nullptr && !std::binary_search(only->begin(), only->end(), change.job))
      continue;
    switch (change.change) {
      case job_change::added:
      case job_change::restored:
        put(x.added, change.job);
        break;
      case job_change::gone:
      case job_change::held:
      case job_change::off:
        put(x.removed, change.job);
        break;
      case job_change::moved:
        put(x.moved, change.job);
        break;
      case job_change::changed:
      case job_change::other:
        put(x.changed, change.job);
        break;
    }
  }
  return x;
}

} // namespace

std::optional<config_publication::difference> config_publication::compare(config_version from, config_version to,
                                                                          std::string& wrong) {
  const auto before = snapshot_of(from, wrong);
  const auto after = before ? snapshot_of(to, wrong) : nullptr;
  if (!after)
    return std::nullopt;
  auto x = differ(*before, *after, nullptr);
  x.from = from;
  x.to = to;
  return x;
}

std::optional<config_publication::difference> config_publication::compare_held(const content_hash& hash,
                                                                               std::string& wrong) {
  const bool known =
      std::any_of(held_.begin(), held_.end(), [&](const config_history::held_row& x) { return x.change.hash == hash; });
  if (!known) {
    wrong = "No change with this hash is held.";
    return std::nullopt;
  }
  if (!held_candidate_) {
    wrong = "The source has not been read since the publisher began; try again in a moment.";
    return std::nullopt;
  }
  auto x = differ(*in_force_, *held_candidate_, &held_jobs_);
  x.from = in_force_->version;
  return x;
}

} // namespace weir
