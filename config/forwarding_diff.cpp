#include "config/forwarding_diff.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include <fmt/format.h>

#include "config/forwarding_config.hpp"

namespace weir {

namespace {

enum class job_state : std::uint8_t { off, entitled, on_hold };

// One job as one side has it. Views and indices are those of its snapshot.
struct side_row {
  job_id job{};
  std::string_view scope_id;
  std::uint64_t fingerprint = 0;
  tenant_index tenant = 0;
  settings_index settings = no_settings;
  dataset_index dataset = no_dataset; // as `after` numbers them
  job_state state = job_state::off;
};

using dataset_map = std::vector<dataset_index>;

dataset_map numbers_in(const config_snapshot& from, const config_snapshot& to) {
  dataset_map result;
  for (const auto& x : from.datasets) {
    const auto there = to.find_dataset(x.name);
    result.push_back(there && to.datasets[*there].scopes == x.scopes ? *there : no_dataset);
  }
  return result;
}

// Part hashes can be compared only if both sides mean the same by a dataset's number.
bool same_numbers(const config_snapshot& a, const config_snapshot& b) {
  return std::equal(a.datasets.begin(), a.datasets.end(), b.datasets.begin(), b.datasets.end(),
                    [](const auto& x, const auto& y) { return x.name == y.name && x.scopes == y.scopes; });
}

job_state state_of(const job_settings& x) noexcept {
  if (!x.enabled)
    return job_state::off;
  return x.on_hold() ? job_state::on_hold : job_state::entitled;
}

// The rows of one part on one side; the vector is reused from part to part.
class side {
 public:
  side(const config_snapshot& of, dataset_map datasets, bool with_settings)
      : of_(of), datasets_(std::move(datasets)), with_settings_(with_settings) {}

  const std::vector<side_row>& part(unsigned at) {
    rows_.clear();
    if (with_settings_)
      collect_settings(at);
    else
      collect_table(at);
    std::sort(rows_.begin(), rows_.end(), [](const side_row& a, const side_row& b) { return a.job < b.job; });
    return rows_;
  }

  const config_snapshot& snapshot() const noexcept { return of_; }

 private:
  void collect_settings(unsigned part) {
    if (of_.part_rows.empty())
      return;
    for (auto at = of_.part_rows[part]; at < of_.part_rows[part + 1]; ++at) {
      const auto row = of_.by_scope[at];
      const auto x = of_.jobs.at(row);
      rows_.push_back({x.job, split_scope(x.scope).id, x.destination_fingerprint, x.tenant, row, datasets_[x.dataset],
                       state_of(x)});
    }
  }

  // Scopes lie in the table in the order of their parts, so a part is a run of it.
  void collect_table(unsigned part) {
    for (auto at = first_of(part); at < of_.table.size() && part_of(at) == part; ++at)
      for (const auto& x : of_.table.entries(at))
        rows_.push_back({x.job, of_.table.id(at), x.destination_fingerprint, x.tenant, no_settings,
                         datasets_[of_.table.dataset(at)], x.on_hold ? job_state::on_hold : job_state::entitled});
  }

  unsigned part_of(entry_index at) const noexcept {
    return static_cast<unsigned>(scope_hash(of_.table.kind(at), of_.table.id(at)) >> 56);
  }
  entry_index first_of(unsigned part) const noexcept {
    entry_index low = 0;
    auto high = static_cast<entry_index>(of_.table.size());
    while (low < high) {
      const auto middle = low + (high - low) / 2;
      if (part_of(middle) < part)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  const config_snapshot& of_;
  dataset_map datasets_;
  bool with_settings_;
  std::vector<side_row> rows_;
};

class comparison {
 public:
  comparison(const config_snapshot& before, const config_snapshot& after, bool with_settings)
      : before_(before, numbers_in(before, after), with_settings),
        after_(after, numbers_in(after, after), with_settings) {}

  void compare_part(unsigned part) {
    const auto& was = before_.part(part);
    const auto& is = after_.part(part);
    auto a = was.begin();
    auto b = is.begin();
    while (a != was.end() || b != is.end()) {
      if (b == is.end() || (a != was.end() && a->job < b->job)) {
        left(*a++);
      } else if (a == was.end() || b->job < a->job) {
        came(*b++);
      } else if (a->dataset != b->dataset || a->scope_id != b->scope_id) {
        left(*a++);
        came(*b++);
      } else {
        stayed(*a++, *b++);
      }
    }
  }

  void finish(config_diff& into) {
    std::sort(found_.begin(), found_.end(),
              [](const found& a, const found& b) { return std::tie(a.job, a.change) < std::tie(b.job, b.change); });
    for (const auto& x : found_) {
      into.jobs.push_back({x.job, x.change});
      ++into.counts.of[static_cast<std::size_t>(x.change)];
    }
    count_tenants(into);
  }

 private:
  // A tenant by its number in `after`, or by that in `before` with the upper bit set if it is gone.
  using tenant_key = std::uint32_t;
  static constexpr tenant_key of_before = 0x8000'0000;

  struct found {
    job_id job{};
    tenant_key tenant = 0;
    job_change change = job_change::other;
  };
  struct tenant_run {
    std::size_t first;
    std::size_t count;
  };

  std::string_view name_of_tenant(tenant_key x) const noexcept {
    return (x & of_before) != 0 ? before_.snapshot().tenants.name(x & ~of_before) : after_.snapshot().tenants.name(x);
  }
  tenant_key key_before(tenant_index x) const noexcept {
    const auto same = after_.snapshot().tenants.find(before_.snapshot().tenants.name(x));
    return same ? *same : (x | of_before);
  }

  void left(const side_row& x) {
    found_.push_back(
        {x.job, key_before(x.tenant), x.state == job_state::entitled ? job_change::gone : job_change::other});
  }
  void came(const side_row& x) {
    found_.push_back({x.job, x.tenant, x.state == job_state::entitled ? job_change::added : job_change::other});
  }
  void stayed(const side_row& a, const side_row& b) {
    if (const auto change = change_of(a, b))
      found_.push_back({b.job, b.tenant, *change});
  }

  std::optional<job_change> change_of(const side_row& a, const side_row& b) const {
    if (a.state == job_state::entitled && b.state != job_state::entitled)
      return b.state == job_state::on_hold ? job_change::held : job_change::off;
    if (a.state != job_state::entitled && b.state == job_state::entitled)
      return a.state == job_state::on_hold ? job_change::restored : job_change::added;
    const auto both_entitled = a.state == job_state::entitled;
    if (both_entitled && a.fingerprint != b.fingerprint)
      return job_change::moved;
    const auto& was = before_.snapshot();
    const auto& is = after_.snapshot();
    if (a.state != b.state || a.fingerprint != b.fingerprint || was.tenants.name(a.tenant) != is.tenants.name(b.tenant)
        || (a.settings != no_settings && !was.jobs.same_settings(a.settings, is.jobs, b.settings)))
      return both_entitled ? job_change::changed : job_change::other;
    return std::nullopt;
  }

  void count_tenants(config_diff& into) {
    std::sort(found_.begin(), found_.end(), [](const found& a, const found& b) { return a.tenant < b.tenant; });
    std::vector<tenant_run> runs;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      if (runs.empty() || found_[runs.back().first].tenant != found_[i].tenant)
        runs.push_back({i, 0});
      ++runs.back().count;
    }
    into.tenants_changed = runs.size();
    const auto shown = std::min(runs.size(), config_diff::most_tenants);
    std::partial_sort(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(shown), runs.end(),
                      [&](const tenant_run& a, const tenant_run& b) {
                        if (a.count != b.count)
                          return a.count > b.count;
                        return name_of_tenant(found_[a.first].tenant) < name_of_tenant(found_[b.first].tenant);
                      });
    for (std::size_t i = 0; i < shown; ++i) {
      tenant_changes x;
      x.tenant = name_of_tenant(found_[runs[i].first].tenant);
      for (auto at = runs[i].first; at < runs[i].first + runs[i].count; ++at)
        ++x.counts.of[static_cast<std::size_t>(found_[at].change)];
      into.tenants.push_back(std::move(x));
    }
  }

  side before_;
  side after_;
  std::vector<found> found_;
};

} // namespace

std::string_view name_of(job_change x) noexcept {
  static constexpr std::string_view names[job_change_kinds] = {"added", "restored", "gone",    "held",
                                                               "off",   "moved",    "changed", "other"};
  return names[static_cast<std::size_t>(x)];
}

std::uint64_t change_counts::added() const noexcept {
  return (*this)[job_change::added] + (*this)[job_change::restored];
}

std::uint64_t change_counts::removed() const noexcept {
  return (*this)[job_change::gone] + (*this)[job_change::held] + (*this)[job_change::off];
}

std::uint64_t change_counts::all() const noexcept {
  std::uint64_t result = 0;
  for (const auto x : of)
    result += x;
  return result;
}

std::vector<job_id> config_diff::ids() const {
  std::vector<job_id> result;
  result.reserve(jobs.size());
  for (const auto& x : jobs)
    if (result.empty() || result.back() != x.job)
      result.push_back(x.job);
  return result;
}

std::vector<job_id> config_diff::ids(std::initializer_list<job_change> of) const {
  std::vector<job_id> result;
  for (const auto& x : jobs)
    if (std::find(of.begin(), of.end(), x.change) != of.end() && (result.empty() || result.back() != x.job))
      result.push_back(x.job);
  return result;
}

entry_counts count_entries(const config_snapshot& x) noexcept {
  entry_counts result;
  for (entry_index at = 0; at < x.table.size(); ++at)
    for (const auto& entry : x.table.entries(at))
      ++(entry.on_hold ? result.on_hold : result.entitled);
  return result;
}

config_diff diff(const config_snapshot& before, const config_snapshot& after) {
  config_diff result;
  result.before_version = before.version;
  result.after_version = after.version;
  result.before_content = before.content;
  result.after_content = after.content;
  const auto was = count_entries(before);
  const auto is = count_entries(after);
  result.entries_before = was.entitled;
  result.entries_after = is.entitled;
  result.buffers_before = was.entitled + was.on_hold;
  result.buffers_after = is.entitled + is.on_hold;

  const auto hashed = before.parts.size() == 2 * forwarding_parts && after.parts.size() == 2 * forwarding_parts
                      && same_numbers(before, after);
  if (hashed && before.content == after.content)
    return result;
  // Without settings there is a table all the same; an empty config has neither.
  const auto has_settings = [](const config_snapshot& x) { return x.jobs.size() != 0 || x.table.size() == 0; };
  const auto with_settings = has_settings(before) && has_settings(after);
  const auto differs = [&](unsigned part) { return before.parts[part].hash != after.parts[part].hash; };
  comparison compare(before, after, with_settings);
  for (unsigned part = 0; part < forwarding_parts; ++part)
    if (!hashed || differs(2 * part) || (with_settings && differs(2 * part + 1)))
      compare.compare_part(part);
  compare.finish(result);
  return result;
}

std::string summary(const change_counts& x) {
  std::string result;
  const auto say = [&](std::uint64_t count, std::string_view what) {
    if (count != 0)
      result += fmt::format("{}{} {}", result.empty() ? "" : ", ", count, what);
  };
  say(x.added(), "added");
  if (x[job_change::restored] != 0)
    result += fmt::format(" ({} back from hold)", x[job_change::restored]);
  say(x.removed(), "removed");
  if (x[job_change::held] != 0)
    result += fmt::format(" ({} on hold)", x[job_change::held]);
  say(x.moved(), "moved");
  say(x[job_change::changed], "changed");
  say(x[job_change::other], "without events changed");
  return result.empty() ? "nothing changed" : result;
}

} // namespace weir
