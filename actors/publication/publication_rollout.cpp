#include <algorithm>

#include <fmt/format.h>

#include "actors/publication/publication.hpp"
#include "telemetry/log.hpp"

/// Versions on their way out, and time.
namespace weir {

namespace {

constexpr std::chrono::hours an_hour{1};
constexpr std::size_t contents_remembered = 32; // Versions that some role might still have.
constexpr std::string_view itself = "publisher";
constexpr std::string_view stopped_reason = "stopped";

/// The first few ids, for a sentence.
std::string few(const std::vector<job_id>& jobs) {
  constexpr std::size_t shown = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, jobs.size()); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", number(jobs[i]));
  if (jobs.size() > shown)
    text += fmt::format(" and {} more", jobs.size() - shown);
  return text;
}

} // namespace

snapshot_identity config_publication::next_identity(publication_moment now) {
  snapshot_identity identity;
  identity.version = config_version{number(last_version_) + 1};
  identity.parent = in_force_->version;
  identity.parent_content = in_force_->content;
  identity.epoch = in_force_->epoch;
  identity.cluster = how_.readable.cluster;
  identity.created = now.wall;
  return identity;
}

std::function<content_hash(config_version)> config_publication::approval_for(const config_snapshot& next) const {
  return [contents = contents_, otherwise = in_force_->content, to = next.content](config_version has) {
    const auto found = contents.find(has);
    return approval_hash(found == contents.end() ? otherwise : found->second, to);
  };
}

bool config_publication::publish(snapshot_ptr next, pending about, rollout_order order, const content_hash* used,
                                 publication_moment now) {
  version_row row;
  row.version = next->version;
  row.parent = next->parent;
  row.content = next->content;
  row.created = now.wall;
  row.why = about.why;
  row.who = about.who.empty() ? std::string{itself} : about.who;
  row.entries = next->table.entry_count();
  row.jobs = next->jobs.size();
  const auto changed = summary(diff(*in_force_, *next).counts);
  const auto content = content_of(*next);
  const bool written = content && remembered(history_.together([&] {
                         if (used != nullptr && !history_.forget_held(*used))
                           return false;
                         return history_.add_version(row, *content)
                                && history_.add_audit({0, now.wall, row.who, "published", row.version,
                                                       hex_text(row.content), row.why, changed});
                       }));
  if (!written && !order.returning) {
    log::error("config-not-published", "version {} is not published, because the history cannot be written: {}",
               number(row.version), history_.problem());
    return false;
  }
  last_version_ = next->version;
  contents_[next->version] = next->content;
  while (contents_.size() > contents_remembered)
    contents_.erase(contents_.begin());
  if (used != nullptr) {
    held_.clear();
    held_candidate_.reset();
    held_jobs_.clear();
  }
  metrics_.published.Increment();
  log::info("config-published", "version {} ({}, by {}) goes out: {}", number(row.version), row.why, row.who, changed);
  note_removed(about, next->version, now);
  about.version = next->version;
  order.next = std::move(next);
  rolling_ = std::move(about);
  rollout_.begin(std::move(order));
  return true;
}

/// Whoever vanished without having asked for it is named at once, however small the change.
void config_publication::note_removed(const pending& about, config_version version, publication_moment now) {
  if (!about.put_on_hold.empty()) {
    metrics_.removed_jobs.Increment(static_cast<double>(about.put_on_hold.size()));
    const auto text = fmt::format(
        "jobs {} vanished from the config; they are buffered and not pushed until they are "
        "back or {} h are over",
        few(about.put_on_hold), std::chrono::duration_cast<std::chrono::hours>(how_.publication.hold).count());
    log::error("customer-removed", "{}", text);
    audit(about.who.empty() ? std::string{itself} : about.who, "customer_removed", version, {}, "on_hold", text, now);
  }
  if (!about.restored.empty()) {
    const auto text = fmt::format("jobs {} are back in the config", few(about.restored));
    log::info("customer-restored", "{}", text);
    audit(about.who.empty() ? std::string{itself} : about.who, "customer_restored", version, {}, "restored", text, now);
  }
}

void config_publication::put_back(const std::string& text, publication_moment now) {
  pending about;
  about.why = "return";
  rollout_.abandon();
  if (number(in_force_->version) == 0)
    return; // There is nothing to go back to.
  rollout_order order;
  order.quick = order.returning = true;
  auto next = restamped(in_force_, next_identity(now));
  order.approval = approval_for(*next);
  log::warn("config-returned", "what version {} says is put back in force: {}", number(in_force_->version), text);
  publish(std::move(next), std::move(about), std::move(order), nullptr, now);
}

void config_publication::finish(version_outcome outcome, const std::string& text, publication_moment now) {
  const auto version = rolling_ ? rolling_->version : config_version{};
  const auto what = outcome == version_outcome::complete ? "completed" : std::string{name_of(outcome)};
  remembered(history_.together([&] {
    return history_.finish_version(version, outcome, text, now.wall)
           && history_.add_audit({0, now.wall, std::string{itself}, what, version, hex_text(rollout_.next()->content),
                                  std::string{name_of(outcome)}, text});
  }));
  rolling_.reset();
}

void config_publication::completed(publication_moment now) {
  const auto next = rollout_.next();
  const bool rebases = rolling_ && rolling_->rebases;
  rollout_.acknowledge();
  in_force_ = next;
  in_force_since_ = now.wall;
  on_hold_ = holds_in(*in_force_);
  confirmed_ = now.steady;
  if (rebases)
    rebase(now);
  metrics_.completed.Increment();
  effects_.push_back({publication_effect::kind::keep_last_known_good, {}, 0, 0, in_force_, {}, 0});
  log::info("config-completed", "version {} is in force everywhere: {} jobs, {} on hold", number(next->version),
            next->jobs.size(), on_hold_.count);
  finish(version_outcome::complete, {}, now);
  if (std::exchange(again_, false))
    wants_reading_ = true;
}

void config_publication::stopped(publication_moment now) {
  const auto next = rollout_.next();
  const auto text = rollout_.text();
  const bool touched = rollout_.touched();
  metrics_.stopped.Increment();
  metrics_.refused.count(stopped_reason);
  log::error("config-stopped", "the rollout of version {} is stopped: {}", number(next->version), text);
  if (number(in_force_->version) != 0)
    for (const auto job : diff(*in_force_, *next).ids())
      stopped_[job] = state_of(*next, job);
  finish(version_outcome::stopped, text, now);
  if (touched)
    put_back(text, now);
  else
    rollout_.abandon();
  again_ = number(in_force_->version) != 0; // Else the next interval tries again.
}

// -- time ---------------------------------------------------------------------------------------

void config_publication::tick(const rollout_health& health, publication_moment now) {
  expire_approvals(now);
  if (rollout_.state() == config_rollout::progress::idle)
    rollout_.note_health(health, now.steady);
  rollout_.step(health, now.steady, effects_);
  if (rollout_.state() == config_rollout::progress::complete)
    completed(now);
  else if (rollout_.state() == config_rollout::progress::stopped)
    stopped(now);
  if (rollout_.state() == config_rollout::progress::idle && std::exchange(again_, false))
    wants_reading_ = true;
  show_metrics(now);
}

void config_publication::answered(offered_role role, std::size_t index, std::uint64_t attempt,
                                  const config_answer& answer) {
  if (!answer.adopted && answer.reason != name_of(config_refusal::older_version))
    log::warn("config-refused", "{} {} refused what it was offered ({}): {}", name_of(role), index, answer.reason,
              answer.text);
  rollout_.answered(role, index, attempt, answer);
}

void config_publication::kept_last_known_good(const std::string& problem, publication_moment now) {
  if (!problem.empty()) {
    metrics_.good_copy_failures.Increment();
    log::error("config-not-kept",
               "version {} could not be kept as last known good, a restart would begin with an older "
               "one: {}",
               number(in_force_->version), problem);
    if (good_problem_ != problem)
      audit(std::string{itself}, "not_kept", in_force_->version, hex_text(in_force_->content), "failed", problem, now);
  }
  good_problem_ = problem;
}

void config_publication::age_base(publication_moment now) {
  if (now.steady - hour_taken_ < an_hour)
    return;
  hour_ago_ = std::exchange(next_hour_, in_force_);
  hour_taken_ = now.steady;
}

void config_publication::rebase(publication_moment now) {
  hour_ago_ = next_hour_ = in_force_;
  hour_taken_ = now.steady;
}

bool config_publication::remembered(bool written) {
  if (written) {
    history_problem_.clear();
  } else {
    history_problem_ = history_.problem();
    metrics_.history_failures.Increment();
    log::error("config-history-failed", "the config's history could not be written: {}", history_problem_);
  }
  return written;
}

bool config_publication::audit(const std::string& who, const std::string& what, config_version version,
                               const std::string& hash, const std::string& result, const std::string& text,
                               publication_moment now) {
  return remembered(history_.add_audit({0, now.wall, who, what, version, hash, result, text}));
}

} // namespace weir
