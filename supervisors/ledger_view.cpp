#include "supervisors/ledger_view.hpp"

#include <algorithm>
#include <utility>

#include "supervisors/control_answers.hpp"
#include "supervisors/heartbeat.hpp"

namespace weir {

namespace {

using store::job_account;
using store::sender_account;

/// All columns that are only ever added to, of one account: for differences, sums and comparisons.
template <class Account, class Visit>
void each_column(Account& x, Visit&& visit) {
  for (auto* column : {&x.repeated, &x.filtered, &x.sampled_out, &x.accepted, &x.delivered, &x.dead_lettered,
                       &x.expired, &x.deleted, &x.set_aside, &x.lost, &x.delivered_objects})
    visit(*column);
  for (auto& column : x.shed)
    visit(column);
}

template <class Account, class Visit>
void each_sender_column(Account& x, Visit&& visit) {
  for (auto* column : {&x.received, &x.not_entitled, &x.offered, &x.turned_back})
    visit(*column);
  for (auto& column : x.rejected)
    visit(column);
}

std::vector<std::uint64_t> columns_of(const job_account& x) {
  std::vector<std::uint64_t> all;
  each_column(x, [&](const std::uint64_t& column) { all.push_back(column); });
  return all;
}

std::vector<std::uint64_t> columns_of(const sender_account& x) {
  std::vector<std::uint64_t> all;
  each_sender_column(x, [&](const std::uint64_t& column) { all.push_back(column); });
  return all;
}

template <class Account>
bool follows(const Account& now, const Account& before) {
  const auto later = columns_of(now), earlier = columns_of(before);
  return std::equal(later.begin(), later.end(), earlier.begin(), [](auto x, auto y) { return x >= y; });
}

/// A row: one account, or several added up, from one moment to another.
struct period {
  job_account change;                ///< Cumulative columns: what came about in between. `buffered`, `leased`: now.
  std::uint64_t buffered_before = 0; ///< At its beginning.
  std::uint64_t jobs = 0;

  void add(const job_account& now, const job_account* before) {
    auto mine = columns_of(now);
    if (before) {
      const auto earlier = columns_of(*before);
      for (std::size_t i = 0; i < mine.size(); ++i)
        mine[i] -= earlier[i];
      buffered_before += before->buffered;
    }
    auto next = mine.begin();
    each_column(change, [&](std::uint64_t& column) { column += *next++; });
    change.buffered += now.buffered;
    change.leased += now.leased;
    ++jobs;
  }
};

template <std::size_t Count>
std::uint64_t total(const std::array<std::uint64_t, Count>& counts) {
  std::uint64_t sum = 0;
  for (auto x : counts)
    sum += x;
  return sum;
}

/// Those that happened, by name.
template <class Reason, std::size_t Count>
void show_reasons(const std::array<std::uint64_t, Count>& counts,
                  google::protobuf::Map<std::string, std::uint64_t>& in) {
  for (std::size_t i = 0; i < Count; ++i)
    if (counts[i] > 0)
      in[std::string{name_of(static_cast<Reason>(i))}] = counts[i];
}

proto::JobAccount render(const period& row) {
  const auto& x = row.change;
  proto::JobAccount shown;
  shown.set_jobs(row.jobs);
  shown.set_offered(x.repeated + x.filtered + x.sampled_out + total(x.shed) + x.accepted);
  shown.set_repeated(x.repeated);
  shown.set_filtered(x.filtered);
  shown.set_sampled_out(x.sampled_out);
  show_reasons<shed_reason>(x.shed, *shown.mutable_shed());
  shown.set_accepted(x.accepted);
  shown.set_buffered_before(row.buffered_before);
  shown.set_buffered(x.buffered);
  shown.set_leased(x.leased);
  shown.set_delivered(x.delivered);
  shown.set_dead_lettered(x.dead_lettered);
  shown.set_expired(x.expired);
  shown.set_deleted(x.deleted);
  shown.set_set_aside(x.set_aside);
  shown.set_lost(x.lost);
  shown.set_delivered_objects(x.delivered_objects);
  return shown;
}

std::string tenant_of(job_id job, const config_snapshot& snapshot) {
  const auto settings = snapshot.find_job(job);
  return settings ? std::string{snapshot.tenants.name(settings->tenant)} : std::string{};
}

const job_account* find(const store::ledger_totals* in, job_id job) {
  if (!in)
    return nullptr;
  const auto found = in->jobs.find(job);
  return found == in->jobs.end() ? nullptr : &found->second;
}

void show_senders(const store::ledger_totals& now, const store::ledger_totals* before, proto::Ledger& shown) {
  auto& sum = *shown.mutable_totals();
  for (const auto& [name, account] : now.senders) {
    auto x = account;
    if (before)
      if (const auto found = before->senders.find(name); found != before->senders.end()) {
        const auto earlier = columns_of(found->second);
        auto next = earlier.begin();
        each_sender_column(x, [&](std::uint64_t& column) { column -= *next++; });
      }
    auto& row = *shown.add_senders();
    row.set_sender(name);
    row.set_received(x.received);
    row.set_not_entitled(x.not_entitled);
    row.set_offered(x.offered);
    row.set_turned_back(x.turned_back);
    show_reasons<reject_reason>(x.rejected, *row.mutable_rejected());
    if (!account.balances())
      shown.set_unbalanced(shown.unbalanced() + 1);
    if (name == heartbeat_sender)
      continue; // no customer's
    sum.set_received(sum.received() + x.received);
    sum.set_rejected(sum.rejected() + total(x.rejected));
    sum.set_not_entitled(sum.not_entitled() + x.not_entitled);
    sum.set_offered(sum.offered() + x.offered);
    sum.set_turned_back(sum.turned_back() + x.turned_back);
    for (const auto& [reason, events] : row.rejected())
      (*sum.mutable_rejected_by_reason())[reason] += events;
  }
}

void show_totals(const period& all, proto::LedgerTotals& sum) {
  const auto& x = all.change;
  sum.set_accepted(x.accepted);
  sum.set_buffered_before(all.buffered_before);
  sum.set_buffered(x.buffered);
  sum.set_leased(x.leased);
  sum.set_delivered(x.delivered);
  sum.set_dead_lettered(x.dead_lettered);
  sum.set_expired(x.expired);
  sum.set_deleted(x.deleted);
  sum.set_set_aside(x.set_aside);
  sum.set_lost(x.lost);
  sum.set_shed(total(x.shed));
  sum.set_repeated(x.repeated);
  sum.set_filtered(x.filtered);
  sum.set_sampled_out(x.sampled_out);
  show_reasons<shed_reason>(x.shed, *sum.mutable_shed_by_reason());
}

void show_jobs(const store::ledger_totals& now, const store::ledger_totals* before, const config_snapshot& snapshot,
               const ledger_query& query, proto::Ledger& shown) {
  auto from = now.jobs.begin();
  if (query.job)
    from = now.jobs.lower_bound(*query.job);
  else if (const auto after = number_in(query.page.cursor))
    from = now.jobs.upper_bound(job_id{*after});
  for (; from != now.jobs.end(); ++from) {
    if (query.job && from->first != *query.job)
      break;
    auto tenant = tenant_of(from->first, snapshot);
    if (query.tenant && tenant != *query.tenant)
      continue;
    if (static_cast<std::size_t>(shown.jobs_size()) == query.page.limit) {
      shown.set_next_cursor(std::to_string(shown.jobs(shown.jobs_size() - 1).job()));
      break;
    }
    period row;
    row.add(from->second, find(before, from->first));
    auto& line = *shown.add_jobs();
    line = render(row);
    line.set_job(number(from->first));
    line.set_tenant(std::move(tenant));
  }
}

void show_tenants(const std::map<std::string, period>& tenants, const ledger_query& query, proto::Ledger& shown) {
  // Behind an empty cursor all come, also those without a name.
  auto from = query.by_tenant && !query.page.cursor.empty() ? tenants.upper_bound(query.page.cursor) : tenants.begin();
  for (; from != tenants.end(); ++from) {
    if (query.by_tenant && static_cast<std::size_t>(shown.tenants_size()) == query.page.limit) {
      shown.set_next_cursor(shown.tenants(shown.tenants_size() - 1).tenant());
      break;
    }
    auto& line = *shown.add_tenants();
    line = render(from->second);
    line.set_tenant(from->first);
  }
}

} // namespace

bool follows(const store::ledger_totals& now, const store::ledger_totals& before) {
  for (const auto& [job, account] : before.jobs) {
    const auto* later = find(&now, job);
    if (!later || !follows(*later, account))
      return false;
  }
  for (const auto& [name, account] : before.senders) {
    const auto later = now.senders.find(name);
    if (later == now.senders.end() || !follows(later->second, account))
      return false;
  }
  return true;
}

proto::Ledger render_ledger(const store::ledger_totals& now, const store::ledger_totals* before,
                            const config_snapshot& snapshot, const ledger_query& query) {
  proto::Ledger shown;
  show_senders(now, before, shown);
  period all;
  std::map<std::string, period> tenants;
  const auto own_dataset = snapshot.find_dataset(heartbeat_dataset);
  const auto is_own = [&](job_id job) {
    const auto settings = own_dataset ? snapshot.find_job(job) : std::nullopt;
    return settings && settings->dataset == *own_dataset;
  };
  for (const auto& [job, account] : now.jobs) {
    const auto* earlier = find(before, job);
    if (!is_own(job))
      all.add(account, earlier);
    if (!account.balances())
      shown.set_unbalanced(shown.unbalanced() + 1);
    if (!query.by_tenant && !query.tenant)
      continue;
    auto tenant = tenant_of(job, snapshot);
    if (!query.tenant || *query.tenant == tenant)
      tenants[std::move(tenant)].add(account, earlier);
  }
  show_totals(all, *shown.mutable_totals());
  shown.set_balanced(shown.unbalanced() == 0);
  if (query.by_tenant || query.tenant)
    show_tenants(tenants, query, shown);
  if (!query.by_tenant)
    show_jobs(now, before, snapshot, query, shown);
  return shown;
}

void add_under_way(const std::map<std::string, bodies_under_way::counts>& bodies, proto::Ledger& shown) {
  auto& all = *shown.mutable_under_way();
  for (const auto& [name, x] : bodies) {
    all.set_bodies(all.bodies() + x.bodies);
    all.set_bytes(all.bytes() + x.bytes);
    proto::SenderAccount* row = nullptr;
    for (auto& sender : *shown.mutable_senders())
      if (sender.sender() == name)
        row = &sender;
    if (!row && x.bodies > 0) {
      row = shown.add_senders();
      row->set_sender(name);
    }
    if (row) {
      row->set_under_way_bodies(x.bodies);
      row->set_under_way_bytes(x.bytes);
    }
  }
}

} // namespace weir
