#include "actors/publication/publication.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/source_reader.hpp"
#include "config/forwarding_merge.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

constexpr std::chrono::hours an_hour{1};
constexpr std::string_view itself = "publisher";
constexpr std::string_view stopped_reason = "stopped";

bool contains(const std::vector<job_id>& sorted, job_id job) {
  return std::binary_search(sorted.begin(), sorted.end(), job);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

} // namespace

const std::vector<std::string_view>& publication_refusals() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all{std::begin(source_failures), std::end(source_failures)};
    for (std::size_t i = 1; i < config_refusals; ++i)
      all.push_back(name_of(static_cast<config_refusal>(i)));
    return all;
  }();
  return names;
}

const std::vector<std::string_view>& publication_guards() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all{stopped_reason};
    for (std::size_t i = 1; i < guard_reasons; ++i)
      all.push_back(name_of(static_cast<guard_reason>(i)));
    return all;
  }();
  return names;
}

config_publication::config_publication(publication_settings how, config_history& history, publication_metrics& metrics,
                                       snapshot_ptr in_force, publication_moment now)
    : how_(std::move(how)),
      history_(history),
      metrics_(metrics),
      rollout_(how_.rollout, how_.receivers, how_.forwarders),
      in_force_(std::move(in_force)),
      hour_taken_(now.steady),
      confirmed_(now.steady),
      rates_(how_.guards) {
  restore(now);
}

// -- what the source says -----------------------------------------------------------------------

void config_publication::regenerated(config_reading reading, publication_moment now) {
  metrics_.intervals.Increment();
  age_base(now);
  expire_approvals(now);
  if (!reading.snapshot && reading.reason == source_failures[0])
    return;
  if (!reading.snapshot) {
    ++source_.failures;
    metrics_.source_failures.Increment();
    note_refusal(reading.reason, reading.text, reading.who, now);
    return;
  }
  source_.failures = 0;
  source_.ok = true;
  metrics_.show_refused({});
  source_.reason.clear();
  source_.text.clear();
  source_.last_good = now.wall;
  if (rollout_.state() != config_rollout::progress::idle) {
    again_ = true;
    confirmed_ = now.steady;
    return;
  }
  if (!good_problem_.empty())
    effects_.push_back({publication_effect::kind::keep_last_known_good, {}, 0, 0, in_force_, {}, 0});
  for (const auto& x : rollout_.members())
    if (number(x.has) != 0 && x.has < in_force_->version) // It was restarted with an older one, or missed a return.
      effects_.push_back(
          {publication_effect::kind::offer, x.role, x.index, 0, in_force_, approval_for(*in_force_)(x.has), 0});
  if (frozen_) {
    confirmed_ = now.steady;
    return;
  }
  consider(reading, now);
}

void config_publication::note_refusal(const std::string& reason, const std::string& text, const std::string& who,
                                      publication_moment now) {
  source_.ok = false;
  source_.reason = reason;
  source_.text = text;
  metrics_.refused.count(reason);
  metrics_.show_refused(reason);
  const auto sentence = fmt::format("{} Version {} stays in force.", text, number(in_force_->version));
  log::error("config-refused", "{}: {}", reason, sentence);
  const auto same = reason + text;
  if (std::exchange(last_refusal_, same) != same)
    audit(who.empty() ? std::string{itself} : who, "refused", in_force_->version, {}, reason, sentence, now);
}

guard_facts config_publication::facts_of(const config_reading& reading, const config_diff& since,
                                         publication_moment now) {
  // Changes of owners to their own jobs count against a rate; what is beyond it counts like any other.
  const auto& candidate = *reading.snapshot;
  std::map<std::string, std::vector<job_id>> by_tenant;
  for (const auto job : since.ids())
    if (contains(reading.explained, job)) {
      const auto settings = candidate.find_job(job);
      const auto& where = settings ? candidate : *in_force_;
      const auto known = settings ? settings : in_force_->find_job(job);
      by_tenant[known ? std::string{where.tenants.name(known->tenant)} : std::string{}].push_back(job);
    }
  for (const auto& [tenant, jobs] : by_tenant) {
    const auto allowed = rates_.take(tenant, jobs.size(), now.steady);
    for (std::size_t i = 0; i < std::min<std::size_t>(allowed, jobs.size()); ++i)
      explained_[jobs[i]] = {state_of(candidate, jobs[i]), now.steady};
  }
  for (auto x = explained_.begin(); x != explained_.end();)
    x = now.steady - x->second.at > 2 * an_hour ? explained_.erase(x) : std::next(x);

  guard_facts facts;
  facts.capacity = how_.capacity;
  facts.explained = [this, of = reading.snapshot](job_id job) {
    const auto found = explained_.find(job);
    return found != explained_.end() && found->second.state == state_of(*of, job);
  };
  if (yesterday_in_all_ > 0) {
    facts.total_bytes = yesterday_in_all_;
    facts.bytes_of = [this](job_id job) { return yesterday_of(job); };
  }
  return facts;
}

std::vector<job_id> config_publication::stopped_jobs(const config_snapshot& candidate, const config_diff& since) {
  std::vector<job_id> again;
  if (stopped_.empty())
    return again;
  for (const auto job : since.ids())
    if (const auto found = stopped_.find(job); found != stopped_.end() && found->second == state_of(candidate, job))
      again.push_back(job);
  if (again.empty())
    stopped_.clear(); // The source says something else now.
  return again;
}

void config_publication::consider(config_reading& reading, publication_moment now) {
  merge_order order;
  order.identity = next_identity(now);
  if (number(in_force_->version) == 0) {
    guard_facts facts;
    facts.capacity = how_.capacity;
    if (const auto verdict = judge_first(facts, *reading.snapshot); !verdict.pass()) {
      metrics_.count_guard(name_of(verdict.reason));
      note_refusal(std::string{name_of(verdict.reason)}, verdict.text, reading.who, now);
      return;
    }
    order.candidate = std::move(reading.snapshot);
    order.now = now.wall;
    pending about;
    about.why = "first";
    about.who = reading.who;
    about.rebases = true; // Measured from nothing, every later change would be growth.
    publish(merge(std::move(order)).snapshot, std::move(about), {nullptr, true, false, 0, {}}, nullptr, now);
    return;
  }

  auto since = diff(*in_force_, *reading.snapshot);
  since.after_version = order.identity.version; // What it would be; the source's own number means nothing here.
  auto facts = facts_of(reading, since, now);
  change_judgement judged;
  auto stopped = stopped_jobs(*reading.snapshot, since);
  const bool again = !stopped.empty();
  if (how_.judges_changes) {
    judged = judge_change(how_.guards, facts, {in_force_.get(), hour_ago_.get(), reading.snapshot.get(), since},
                          std::move(stopped));
  } else {
    judged.held = std::move(stopped);
    if (since.entries_after == 0) { // An error is never an instruction, whatever guards are off.
      judged.refused = true;
      judged.reason = name_of(guard_reason::zero_entries);
      judged.text = "The config entitles nobody.";
    }
  }
  if (judged.refused) {
    metrics_.count_guard(judged.reason);
    note_refusal(judged.reason, judged.text, reading.who, now);
    return;
  }
  if (again) {
    judged.reasons.insert(judged.reasons.begin(), std::string{stopped_reason});
    judged.text = "This change was put in force and taken back, because a role refused it or the node's health fell. "
                  + judged.text;
  }
  last_refusal_.clear();
  confirmed_ = now.steady;
  std::optional<held_change::approval> approval;
  content_hash used{};
  if (judged.held.empty())
    withdraw_held("the source does not ask for it any more", now);
  else if ((approval = hold(reading, judged, since, now, used)))
    judged.held.clear();

  order.in_force = in_force_;
  order.held = judged.held;
  for (const auto& x : since.jobs)
    if (x.change == job_change::gone && facts.explained(x.job))
      order.deleted.push_back(x.job);
  order.now = now.wall;
  order.hold = how_.publication.hold;
  const auto generated = std::move(reading.snapshot);
  order.candidate = generated;
  auto merged = merge(std::move(order));
  if (merged.unchanged || merged.snapshot->content == in_force_->content)
    return;
  publish_change(std::move(merged), generated, reading.who, facts, approval, used, now);
}

void config_publication::publish_change(merge_result merged, const snapshot_ptr& generated, const std::string& who,
                                        const guard_facts& facts, const std::optional<held_change::approval>& approval,
                                        const content_hash& used, publication_moment now) {
  const auto& next = *merged.snapshot;
  const auto since = diff(*in_force_, next);
  auto last = facts;
  if (approval)
    last.approved = approval_hash(in_force_->content, next.content);
  if (how_.judges_changes) {
    // What goes out is judged once more as it goes out, with what is on hold: no path leads around the guards.
    const bool hour = hour_ago_ && hour_ago_ != in_force_;
    const auto since_hour = hour ? diff(*hour_ago_, next) : config_diff{};
    const auto verdict = judge(how_.guards, last, since, hour ? &since_hour : nullptr);
    if (!verdict.pass()) {
      change_judgement all;
      const auto whole = diff(*in_force_, *generated);
      all.held = whole.ids();
      all.reasons = {std::string{name_of(verdict.reason)}};
      all.text = verdict.text;
      config_reading reading;
      reading.snapshot = generated;
      reading.who = who;
      content_hash none{};
      hold(reading, all, whole, now, none);
      return;
    }
  }
  rollout_order order;
  const auto changed = since.ids();
  for (const auto job : changed)
    order.explained += facts.explained(job) ? 1 : 0;
  order.quick = order.explained == changed.size() && merged.put_on_hold.empty() && merged.expired.empty();
  pending about;
  about.why = approval ? "approved" : changed.size() == merged.expired.size() ? "hold_over" : "change";
  about.who = approval ? approval->who : who;
  about.rebases = approval.has_value();
  about.put_on_hold = std::move(merged.put_on_hold);
  about.restored = std::move(merged.restored);
  if (approval) {
    order.approval = approval_for(next);
    stopped_.clear();
  }
  publish(std::move(merged.snapshot), std::move(about), std::move(order), approval ? &used : nullptr, now);
}

// -- what is held -------------------------------------------------------------------------------

std::optional<held_change::approval> config_publication::hold(const config_reading& reading,
                                                              const change_judgement& judged, const config_diff& since,
                                                              publication_moment now, content_hash& approved) {
  const auto& candidate = *reading.snapshot;
  const auto difference = difference_of(candidate, judged.held);
  held_candidate_ = reading.snapshot;
  held_jobs_ = judged.held;
  for (const auto& x : held_)
    if (x.difference == difference) {
      approved = x.change.hash;
      return x.change.approved;
    }
  withdraw_held("the source asks for another change now", now);
  held_candidate_ = reading.snapshot;
  held_jobs_ = judged.held;
  config_history::held_row row;
  row.difference = difference;
  auto& x = row.change;
  x.hash = approval_hash(in_force_->content, candidate.content);
  x.reasons = judged.reasons;
  x.text = judged.text;
  x.changes = summarize(*in_force_, candidate, since, &judged.held);
  x.parent = in_force_->version;
  x.since = now.wall;
  x.who = reading.who;
  for (const auto& reason : x.reasons) {
    metrics_.count_guard(reason);
    metrics_.refused.count(reason);
  }
  const auto reasons = joined(x.reasons);
  log::error("config-held", "{} jobs of {} tenants wait for an operator ({}): {}; hash {}", judged.held.size(),
             x.changes.tenants, reasons, x.text, hex_text(x.hash));
  remembered(history_.together([&] {
    return history_.keep_held(row)
           && history_.add_audit({0, now.wall, x.who.empty() ? std::string{itself} : x.who, "held", x.parent,
                                  hex_text(x.hash), reasons, x.text});
  }));
  held_.push_back(std::move(row));
  return std::nullopt;
}

void config_publication::withdraw_held(const std::string& why, publication_moment now) {
  for (const auto& x : held_) {
    remembered(history_.together([&] {
      return history_.forget_held(x.change.hash)
             && history_.add_audit({0, now.wall, std::string{itself}, "withdrawn", x.change.parent,
                                    hex_text(x.change.hash), joined(x.change.reasons), why});
    }));
    log::info("config-withdrawn", "the held change {} is void: {}", hex_text(x.change.hash), why);
  }
  held_.clear();
  held_candidate_.reset();
  held_jobs_.clear();
}

void config_publication::expire_approvals(publication_moment now) {
  for (auto& x : held_)
    if (x.change.approved && x.change.approved->expires <= now.wall) {
      const auto who = x.change.approved->who;
      x.change.approved.reset();
      log::warn("config-approval-expired", "the approval of {} by {} was not used in time and is void",
                hex_text(x.change.hash), who);
      remembered(history_.together([&] {
        return history_.keep_held(x)
               && history_.add_audit({0, now.wall, who, "approval_expired", x.change.parent, hex_text(x.change.hash),
                                      "void", "not used in time"});
      }));
    }
}

} // namespace weir
