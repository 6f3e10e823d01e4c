#include "config/forwarding_guards.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace weir {

namespace {

struct amount {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

// What of a difference counts: everything that nobody explained.
struct unexplained {
  amount removed;
  amount added;
  amount moved;
};

amount* place_of(job_change change, unexplained& x) noexcept {
  switch (change) {
    case job_change::gone:
    case job_change::held:
    case job_change::off:
      return &x.removed;
    case job_change::added:
    case job_change::restored:
      return &x.added;
    case job_change::moved:
      return &x.moved;
    case job_change::changed:
    case job_change::other:
      break;
  }
  return nullptr;
}

unexplained weigh(const guard_facts& facts, const config_diff& since, std::uint64_t explained_count) {
  unexplained result;
  for (const auto& x : since.jobs) {
    auto* const place = place_of(x.change, result);
    if (place == nullptr || (facts.explained && facts.explained(x.job)))
      continue;
    ++place->entries;
    if (facts.bytes_of && facts.total_bytes != 0)
      place->bytes += facts.bytes_of(x.job);
  }
  // A number does not say which changes it explains, so it is taken off each kind of them.
  if (!facts.explained)
    for (auto* const x : {&result.removed, &result.added, &result.moved})
      x->entries -= std::min(x->entries, explained_count);
  return result;
}

struct share_rule {
  guard_reason by_entries;
  guard_reason by_bytes;
  std::string_view verb;
  std::string_view setting;
  double most;
  amount what;
};

double percent(double share) noexcept {
  return share * 100;
}

guard_verdict held(guard_reason reason, const config_diff& since, std::string what) {
  guard_verdict result;
  result.outcome = guard_outcome::held;
  result.reason = reason;
  result.text = fmt::format(
      "version {} would {}; version {} stays in force until an operator has looked (`weir config diff`) and "
      "decided (`weir config approve` or `weir config reject`)",
      number(since.after_version), what, number(since.before_version));
  return result;
}

guard_verdict judge_shares(const guard_settings& settings, const guard_facts& facts, const config_diff& since,
                           std::uint64_t explained_count) {
  const auto weighed = weigh(facts, since, explained_count);
  const share_rule rules[] = {
      {guard_reason::shrunk, guard_reason::shrunk_bytes, "remove", "max_shrink", settings.max_shrink, weighed.removed},
      {guard_reason::grown, guard_reason::grown_bytes, "add", "max_growth", settings.max_growth, weighed.added},
      {guard_reason::moved, guard_reason::moved_bytes, "move to another destination", "max_moved", settings.max_moved,
       weighed.moved},
  };
  const auto all = static_cast<double>(since.entries_before);
  for (const auto& rule : rules) {
    const auto count = static_cast<double>(rule.what.entries);
    if (rule.what.entries > settings.free_entries && count > rule.most * all)
      return held(rule.by_entries, since,
                  fmt::format("{} {} of {} entries ({:.3g} %; guards.{} is {:g} %)", rule.verb, rule.what.entries,
                              since.entries_before, since.entries_before == 0 ? 100.0 : percent(count / all),
                              rule.setting, percent(rule.most)));
  }
  // In a config of a few jobs each single one is a large part of the bytes, and its operator knows them all.
  if (facts.total_bytes == 0 || since.entries_before <= settings.free_entries)
    return {};
  for (const auto& rule : rules) {
    const auto share = static_cast<double>(rule.what.bytes) / static_cast<double>(facts.total_bytes);
    if (share > rule.most)
      return held(
          rule.by_bytes, since,
          fmt::format("{} {} of {} entries, which had {:.3g} % of yesterday's bytes (guards.{} is {:g} %)", rule.verb,
                      rule.what.entries, since.entries_before, percent(share), rule.setting, percent(rule.most)));
  }
  return {};
}

guard_verdict refused_as_empty(config_version version, std::string_view else_in_force) {
  guard_verdict result;
  result.outcome = guard_outcome::refused;
  result.reason = guard_reason::zero_entries;
  result.text =
      fmt::format("version {} entitles nobody, which is never put in force; {}", number(version), else_in_force);
  return result;
}

guard_verdict judge_capacity(const guard_facts& facts, const config_diff& since) {
  if (since.buffers_after <= facts.capacity || since.buffers_after <= since.buffers_before)
    return {};
  return held(
      guard_reason::beyond_capacity, since,
      fmt::format("need {} buffers, {} more than now; limits.buffers is {}, and those beyond it would be refused",
                  since.buffers_after, since.buffers_after - since.buffers_before, facts.capacity));
}

guard_verdict judge_unapproved(const guard_settings& settings, const guard_facts& facts, const config_diff& since,
                               const config_diff* since_hour) {
  if (auto verdict = judge_capacity(facts, since); !verdict.pass())
    return verdict;
  const auto a_minute = settings.explained_per_minute;
  if (auto verdict = judge_shares(settings, facts, since, std::min(facts.explained_count, a_minute)); !verdict.pass())
    return verdict;
  if (since_hour == nullptr || since_hour->before_content == since.before_content)
    return {};
  auto verdict = judge_shares(settings, facts, *since_hour, std::min(facts.explained_count_hour, 60 * a_minute));
  if (!verdict.pass()) {
    verdict.against_hour_ago = true;
    verdict.text = fmt::format("together with the changes of the last hour, since version {}, {}",
                               number(since_hour->before_version), verdict.text);
  }
  return verdict;
}

} // namespace

std::string_view name_of(guard_reason x) noexcept {
  static constexpr std::string_view names[guard_reasons] = {"none",        "zero_entries", "beyond_capacity",
                                                            "shrunk",      "shrunk_bytes", "grown",
                                                            "grown_bytes", "moved",        "moved_bytes"};
  return names[static_cast<std::size_t>(x)];
}

std::string_view name_of(guard_outcome x) noexcept {
  static constexpr std::string_view names[] = {"pass", "refused", "held"};
  return names[static_cast<std::size_t>(x)];
}

guard_verdict judge(const guard_settings& settings, const guard_facts& facts, const config_diff& since,
                    const config_diff* since_hour) {
  if (since.entries_after == 0)
    return refused_as_empty(
        since.after_version,
        fmt::format("version {} stays in force: correct the source, or roll back", number(since.before_version)));
  auto verdict = judge_unapproved(settings, facts, since, since_hour);
  if (verdict.outcome == guard_outcome::held && facts.approved != content_hash{}
      && facts.approved == approval_hash(since.before_content, since.after_content)) {
    verdict = {};
    verdict.by_approval = true;
  }
  return verdict;
}

guard_verdict judge_first(const guard_facts& facts, const config_snapshot& candidate) {
  const auto counts = count_entries(candidate);
  if (counts.entitled == 0)
    return refused_as_empty(candidate.version, "there is none in force either: give the source at least one job");
  const auto buffers = counts.entitled + counts.on_hold;
  if (buffers <= facts.capacity)
    return {};
  guard_verdict result;
  result.outcome = guard_outcome::refused;
  result.reason = guard_reason::beyond_capacity;
  result.text = fmt::format(
      "version {} is the first and needs {} buffers; limits.buffers is {}: raise it if the machine "
      "has room, or begin with fewer jobs",
      number(candidate.version), buffers, facts.capacity);
  return result;
}

guard_verdict judge(const guard_settings& settings, const guard_facts& facts, const config_snapshot* in_force,
                    const config_snapshot* hour_ago, const config_snapshot& candidate) {
  if (in_force == nullptr || number(in_force->version) == 0)
    return judge_first(facts, candidate);
  const auto since = diff(*in_force, candidate);
  if (hour_ago == nullptr || number(hour_ago->version) == 0 || hour_ago->content == in_force->content)
    return judge(settings, facts, since, nullptr);
  const auto since_hour = diff(*hour_ago, candidate);
  return judge(settings, facts, since, &since_hour);
}

content_hash approval_hash(const content_hash& parent, const content_hash& candidate) noexcept {
  unsigned char both[sizeof parent + sizeof candidate];
  std::memcpy(both, parent.data(), parent.size());
  std::memcpy(both + parent.size(), candidate.data(), candidate.size());
  content_hash result;
  SHA256(both, sizeof both, result.data());
  return result;
}

std::string hex_text(const content_hash& hash) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const auto byte : hash) {
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

bool parse_hex(std::string_view text, content_hash& into) noexcept {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  content_hash result{};
  if (text.size() != 2 * result.size())
    return false;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto high = digit(text[2 * i]);
    const auto low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return false;
    result[i] = static_cast<unsigned char>(high << 4 | low);
  }
  into = result;
  return true;
}

double explained_rates::used_at(const bucket& x, std::uint64_t per_minute,
                                std::chrono::steady_clock::time_point now) noexcept {
  const auto minutes = std::chrono::duration<double, std::ratio<60>>(now - x.at).count();
  return std::max(0.0, x.used - std::max(0.0, minutes) * static_cast<double>(per_minute));
}

void explained_rates::forget_idle(std::chrono::steady_clock::time_point now) {
  for (auto x = tenants_.begin(); x != tenants_.end();)
    x = used_at(x->second, settings_.explained_per_tenant_per_minute, now) <= 0 ? tenants_.erase(x) : std::next(x);
}

std::uint64_t explained_rates::take(std::string_view tenant, std::uint64_t changes,
                                    std::chrono::steady_clock::time_point now) {
  forget_idle(now);
  const auto found = tenants_.find(std::string{tenant});
  const auto all_used = used_at(all_, settings_.explained_per_minute, now);
  const auto own_used =
      found == tenants_.end() ? 0.0 : used_at(found->second, settings_.explained_per_tenant_per_minute, now);
  const auto room = [](std::uint64_t limit, double used) {
    return static_cast<std::uint64_t>(std::max(0.0, static_cast<double>(limit) - used));
  };
  const auto granted = std::min({changes, room(settings_.explained_per_minute, all_used),
                                 room(settings_.explained_per_tenant_per_minute, own_used)});
  if (granted == 0)
    return 0;
  all_ = {all_used + static_cast<double>(granted), now};
  tenants_[std::string{tenant}] = {own_used + static_cast<double>(granted), now};
  return granted;
}

} // namespace weir
