#include "actors/body_router.hpp"

#include <algorithm>

namespace weir {

namespace {

constexpr std::uint32_t forbidden_group = ~0u;

std::string_view bare_id(std::string_view scope) {
  const auto slash = scope.find('/');
  return slash == std::string_view::npos ? scope : scope.substr(slash + 1);
}

bool holds(const std::vector<std::string>& sorted, std::string_view x) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), x);
  return at != sorted.end() && *at == x;
}

} // namespace

bool may_send(const sender& from, scope_kind kind, std::string_view id, const tenant_table& tenants) {
  if (from.any_scope)
    return true;
  std::string scope{name_of(kind)};
  scope.append("/").append(id);
  if (holds(from.scopes, scope))
    return true;
  const auto owner = tenants.owner_of(kind, id);
  return owner && holds(from.scopes, tenants.name(*owner));
}

body_router::result body_router::route(const batch& body, const config_snapshot& snapshot, routed_batch& routed) {
  const auto dataset = static_cast<dataset_index>(body.dataset);
  lines_.clear();
  not_entitled_ = forbidden_ = 0;
  group_of_entry_.resize(snapshot.table.size());
  scanner_.open(body.bytes->view(), body.scope.empty() ? snapshot.datasets[dataset].scope_field : std::string{});
  take_events(body, snapshot, dataset, routed);

  auto& receipt = body.root.of();
  const auto& report = scanner_.report();
  result counts;
  counts.received = report.lines;
  counts.rejected = report.total_rejected() + forbidden_;
  for (const auto& x : report.first_rejected)
    receipt.reject(x.line, x.reason);
  for (std::size_t i = 0; i < reject_reason_count; ++i) {
    const auto reason = static_cast<reject_reason>(i);
    const auto events = report.rejected[i] + (reason == reject_reason::scope_forbidden ? forbidden_ : 0);
    receipt.count({{}, ledger_entry::kind::rejected, static_cast<std::uint8_t>(i), events});
    counts.rejected_by[i] = events;
  }
  receipt.count({{}, ledger_entry::kind::received, 0, counts.received});
  if (body.strict && counts.rejected > 0) {
    const auto good = counts.received - counts.rejected;
    receipt.count(
        {{}, ledger_entry::kind::rejected, static_cast<std::uint8_t>(reject_reason::refused_with_body), good});
    counts.rejected_by[static_cast<std::size_t>(reject_reason::refused_with_body)] = good;
    counts.rejected = counts.received;
    routed.groups.clear();
    return counts;
  }
  counts.not_entitled = not_entitled_;
  counts.offered = lines_.size();
  receipt.count({{}, ledger_entry::kind::not_entitled, 0, counts.not_entitled});
  receipt.count({{}, ledger_entry::kind::offered, 0, counts.offered});
  sort_lines(routed);
  return counts;
}

void body_router::take_events(const batch& body, const config_snapshot& snapshot, dataset_index dataset,
                              routed_batch& routed) {
  const auto& table = snapshot.table;
  const auto kind = snapshot.datasets[dataset].scopes;
  const bool by_path = !body.scope.empty();
  // Neighbouring lines often belong to one scope: then nothing is looked up twice.
  std::string_view last_id;
  auto last_group = forbidden_group;
  bool last_entitled = false;
  bool any = false;
  for (events_.clear(); scanner_.next(events_); events_.clear()) {
    for (const auto& x : events_) {
      const auto id = by_path ? bare_id(body.scope) : x.scope;
      if (!any || id != last_id) {
        any = true;
        last_id = id;
        const auto entry = table.find(dataset, id);
        last_entitled = entry != weir::not_entitled;
        last_group = last_entitled                                        ? group_of(entry, id, body, snapshot, routed)
                     : may_send(*body.sender, kind, id, snapshot.tenants) ? 0
                                                                          : forbidden_group;
      }
      if (last_group == forbidden_group)
        reject_forbidden(body, {x.offset, x.size});
      else if (!last_entitled)
        ++not_entitled_;
      else
        lines_.push_back({{x.offset, x.size}, last_group});
    }
  }
}

std::uint32_t body_router::group_of(entry_index entry, std::string_view id, const batch& body,
                                    const config_snapshot& snapshot, routed_batch& routed) {
  const auto known = group_of_entry_[entry];
  if (known < routed.groups.size() && routed.groups[known].entry == entry)
    return known;
  if (!may_send(*body.sender, snapshot.table.kind(entry), id, snapshot.tenants))
    return forbidden_group;
  const auto group = static_cast<std::uint32_t>(routed.groups.size());
  group_of_entry_[entry] = group;
  routed.groups.push_back({entry, 0, 0, id});
  return group;
}

/// A counting sort: lines of a scope lie together and keep their order.
void body_router::sort_lines(routed_batch& routed) {
  for (const auto& x : lines_)
    ++routed.groups[x.group].lines;
  std::uint32_t first = 0;
  for (auto& group : routed.groups) {
    group.first_line = first;
    first += group.lines;
    group.lines = 0;
  }
  routed.lines.resize(lines_.size());
  for (const auto& x : lines_) {
    auto& group = routed.groups[x.group];
    routed.lines[group.first_line + group.lines++] = x.at;
  }
}

void body_router::reject_forbidden(const batch& body, const line& at) {
  ++forbidden_;
  if (forbidden_ > scan_report::max_named_lines)
    return;
  const auto before = body.bytes->view().substr(0, at.offset);
  const auto number = static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  body.root.of().reject(number, reject_reason::scope_forbidden);
}

} // namespace weir
