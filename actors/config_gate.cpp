#include "actors/config_gate.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/forwarding_config.hpp"

namespace weir {

namespace {

config_verdict refused(config_refusal reason, std::string text) {
  config_verdict result;
  result.reason = name_of(reason);
  result.text = std::move(text);
  return result;
}

/// Roles and intake name datasets by their position, so another list is another language.
bool same_datasets(const config_snapshot& a, const config_snapshot& b) {
  return std::equal(
      a.datasets.begin(), a.datasets.end(), b.datasets.begin(), b.datasets.end(),
      [](const dataset_config& x, const dataset_config& y) { return x.name == y.name && x.scopes == y.scopes; });
}

} // namespace

config_verdict config_gate::judge(const config_offer& offer, const role_configs::row& mine) const {
  if (!offer.snapshot)
    return refused(config_refusal::blank, "the offer holds no config");
  const auto& next = *offer.snapshot;
  const auto& now = *mine.in_force;
  if (next.cluster != how_.cluster)
    return refused(config_refusal::foreign_cluster,
                   fmt::format("version {} is of another cluster than '{}'", number(next.version), how_.cluster));
  if (next.version <= now.version)
    return refused(config_refusal::older_version,
                   fmt::format("version {} is not newer than version {}, which is in force", number(next.version),
                               number(now.version)));
  if (!same_datasets(now, next))
    return refused(config_refusal::unknown_dataset,
                   fmt::format("version {} has other datasets than version {}, which is in force", number(next.version),
                               number(now.version)));
  if (next.table.entry_count() == 0)
    return refused(config_refusal::zero_entries, fmt::format("version {} entitles nobody", number(next.version)));

  guard_facts facts;
  facts.capacity = how_.capacity;
  facts.approved = offer.approved;
  facts.explained_count = offer.explained;
  facts.explained_count_hour = mine.explained_since_hour_ago + offer.explained;
  config_verdict result;
  guard_verdict verdict;
  if (now.version == config_version{}) {
    verdict = judge_first(facts, next);
  } else {
    const auto since = diff(now, next);
    result.removes = since.counts.removed() > 0;
    result.changes = since.counts.all();
    if (mine.an_hour_ago && mine.an_hour_ago != mine.in_force) {
      const auto since_hour = diff(*mine.an_hour_ago, next);
      verdict = weir::judge(how_.guards, facts, since, &since_hour);
    } else {
      verdict = weir::judge(how_.guards, facts, since, nullptr);
    }
  }
  result.adopt = verdict.pass() || !how_.judges_changes;
  result.by_approval = verdict.by_approval;
  if (!result.adopt) {
    result.reason = name_of(verdict.reason);
    result.text = std::move(verdict.text);
  }
  return result;
}

const std::vector<std::string_view>& config_gate::reasons() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> result;
    for (const auto x : {config_refusal::blank, config_refusal::foreign_cluster, config_refusal::older_version,
                         config_refusal::unknown_dataset})
      result.push_back(name_of(x));
    for (std::size_t i = 1; i < guard_reasons; ++i)
      result.push_back(name_of(static_cast<guard_reason>(i)));
    return result;
  }();
  return names;
}

} // namespace weir
