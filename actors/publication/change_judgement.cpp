#include "actors/publication/change_judgement.hpp"

#include <openssl/sha.h>

#include <algorithm>

#include <map>

namespace weir {

namespace {

bool contains(const std::vector<job_id>& sorted, job_id job) {
  return std::binary_search(sorted.begin(), sorted.end(), job);
}

std::uint64_t at_least_zero(std::uint64_t from, std::uint64_t more, std::uint64_t less) {
  return from + more > less ? from + more - less : 0;
}

void recount(config_diff& x) {
  x.counts = {};
  for (const auto& job : x.jobs)
    ++x.counts.of[static_cast<std::size_t>(job.change)];
  x.entries_after = at_least_zero(x.entries_before, x.counts.added(), x.counts.removed());
  // What vanishes keeps its buffer for a while; what is restored had one.
  x.buffers_after = x.buffers_before + x.counts[job_change::added];
}

/// `whole` as it would be if the jobs of `held` stayed as they are in force. `drift` is what became of them before,
/// between the config that `whole` starts from and the one in force; null: nothing.
config_diff without(const config_diff& whole, const std::vector<job_id>& held, const config_diff* drift) {
  if (held.empty())
    return whole;
  auto rest = whole;
  rest.jobs.erase(
      std::remove_if(rest.jobs.begin(), rest.jobs.end(), [&](const changed_job& x) { return contains(held, x.job); }),
      rest.jobs.end());
  if (drift != nullptr) {
    for (const auto& x : drift->jobs)
      if (contains(held, x.job))
        rest.jobs.push_back(x);
    std::sort(rest.jobs.begin(), rest.jobs.end(),
              [](const changed_job& a, const changed_job& b) { return a.job < b.job; });
  }
  recount(rest);
  return rest;
}

bool concerns(guard_reason reason, job_change change) {
  switch (reason) {
    case guard_reason::shrunk:
    case guard_reason::shrunk_bytes:
      return change == job_change::gone || change == job_change::held || change == job_change::off;
    case guard_reason::grown:
    case guard_reason::grown_bytes:
    case guard_reason::beyond_capacity:
      return change == job_change::added || change == job_change::restored;
    case guard_reason::moved:
    case guard_reason::moved_bytes:
      return change == job_change::moved;
    default:
      return true;
  }
}

/// Jobs of the change that the guard's objection is about and that nobody explains. If there are none: all that nobody
/// explains; and if there are none either, all.
std::vector<job_id> to_hold(const config_diff& since, guard_reason reason, const guard_facts& facts,
                            const std::vector<job_id>& held) {
  enum class width { concerned, unexplained, any };
  for (const auto how : {width::concerned, width::unexplained, width::any}) {
    std::vector<job_id> found;
    for (const auto& x : since.jobs) {
      if (contains(held, x.job) || (how == width::concerned && !concerns(reason, x.change)))
        continue;
      if (how == width::any || !facts.explained || !facts.explained(x.job))
        found.push_back(x.job);
    }
    if (!found.empty())
      return found;
  }
  return {};
}

void add_all(std::vector<job_id>& to, const std::vector<job_id>& more) {
  to.insert(to.end(), more.begin(), more.end());
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

} // namespace

change_judgement judge_change(const guard_settings& settings, const guard_facts& facts, const judged_change& change,
                              std::vector<job_id> waiting) {
  change_judgement result;
  result.held = std::move(waiting);
  const bool hour = change.hour_ago != nullptr && change.hour_ago != change.in_force;
  config_diff since_hour, drift;
  if (hour) {
    since_hour = diff(*change.hour_ago, *change.candidate);
    since_hour.after_version = change.since.after_version;
    drift = diff(*change.hour_ago, *change.in_force);
  }
  // Each round holds one kind of change; when every kind is held, nothing is left to object to.
  constexpr int rounds = 5;
  for (int i = 0; i < rounds; ++i) {
    const auto since = without(change.since, result.held, nullptr);
    guard_verdict verdict;
    if (hour) {
      const auto longer = without(since_hour, result.held, &drift);
      verdict = judge(settings, facts, since, &longer);
    } else {
      verdict = judge(settings, facts, since, nullptr);
    }
    if (verdict.pass())
      return result;
    const std::string reason{name_of(verdict.reason)};
    if (result.text.empty())
      result.text = verdict.text;
    if (verdict.outcome == guard_outcome::refused && result.held.empty()) {
      result.refused = true;
      result.reason = reason;
      return result;
    }
    const auto more = to_hold(change.since, verdict.reason, facts, result.held);
    if (std::find(result.reasons.begin(), result.reasons.end(), reason) == result.reasons.end())
      result.reasons.push_back(reason);
    if (more.empty())
      return result; // Everything is held already: what is in force is itself beyond the guard.
    add_all(result.held, more);
  }
  add_all(result.held, change.since.ids());
  return result;
}

content_hash state_of(const config_snapshot& after, job_id job) {
  content_hash state{};
  const auto x = after.find_job(job);
  if (!x || x->on_hold_since != std::chrono::system_clock::time_point{})
    return state;
  std::string text;
  const auto put = [&text](std::string_view field) {
    text.append(std::to_string(field.size())).append(":").append(field).append("\n");
  };
  const auto put_number = [&](std::uint64_t field) { put(std::to_string(field)); };
  put(after.datasets[x->dataset].name);
  put(x->scope);
  put(after.tenants.name(x->tenant));
  put(x->destination.reveal());
  put(x->name);
  put_number(number(x->revision));
  put_number(x->destination_fingerprint);
  put_number(x->enabled ? 1 : 0);
  for (const auto& field : *x->field_names)
    put(field);
  put_number(x->max_upload_bytes);
  put_number(x->max_upload_records);
  put_number(static_cast<std::uint64_t>(x->max_upload_interval.count()));
  put_number(x->max_buffer_bytes);
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), state.data());
  return state;
}

content_hash difference_of(const config_snapshot& after, const std::vector<job_id>& jobs) {
  std::string text;
  text.reserve(jobs.size() * (sizeof(std::uint64_t) + sizeof(content_hash)));
  for (const auto job : jobs) {
    for (unsigned i = 0; i < sizeof(std::uint64_t); ++i)
      text.push_back(static_cast<char>(number(job) >> (8 * i)));
    const auto state = state_of(after, job);
    text.append(reinterpret_cast<const char*>(state.data()), state.size());
  }
  content_hash result{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), result.data());
  return result;
}

jobs_on_hold holds_in(const config_snapshot& x) {
  jobs_on_hold found;
  for (settings_index at = 0; at < x.jobs.size(); ++at)
    if (x.jobs.on_hold(at) && ++found.count <= most_holds_shown)
      found.first.push_back(x.jobs.id(at));
  return found;
}

change_summary summarize(const config_snapshot& before, const config_snapshot& after, const config_diff& difference,
                         const std::vector<job_id>* only) {
  change_summary result;
  std::map<std::string_view, tenant_change> tenants;
  const auto count = [](tenant_change& x, job_change change) {
    switch (change) {
      case job_change::added:
      case job_change::restored:
        ++x.added;
        break;
      case job_change::gone:
      case job_change::held:
      case job_change::off:
        ++x.removed;
        break;
      case job_change::moved:
        ++x.moved;
        break;
      case job_change::changed:
      case job_change::other:
        ++x.changed;
        break;
    }
  };
  for (const auto& x : difference.jobs) {
    if (only != nullptr && !contains(*only, x.job))
      continue;
    count(result.in_all, x.change);
    const bool old = x.change == job_change::gone;
    auto settings = (old ? before : after).find_job(x.job);
    const auto& where = settings ? (old ? before : after) : (old ? after : before);
    if (!settings)
      settings = where.find_job(x.job);
    if (settings)
      count(tenants[where.tenants.name(settings->tenant)], x.change);
  }
  for (auto& [name, x] : tenants) {
    x.tenant = name;
    result.by_tenant.push_back(std::move(x));
  }
  std::stable_sort(result.by_tenant.begin(), result.by_tenant.end(),
                   [](const tenant_change& a, const tenant_change& b) { return a.total() > b.total(); });
  result.tenants = result.by_tenant.size();
  if (result.by_tenant.size() > most_tenants_shown)
    result.by_tenant.resize(most_tenants_shown);
  return result;
}

} // namespace weir
