#include "config/forwarding_merge.hpp"

#include <algorithm>
#include <unordered_map>

#include "config/forwarding_diff.hpp"
#include "config/job.hpp"

namespace weir {

namespace {

bool contains(const std::vector<job_id>& sorted, job_id x) noexcept {
  return std::binary_search(sorted.begin(), sorted.end(), x);
}

bool same_datasets(const config_snapshot& a, const config_snapshot& b) {
  return std::equal(a.datasets.begin(), a.datasets.end(), b.datasets.begin(), b.datasets.end(),
                    [](const dataset_config& x, const dataset_config& y) {
                      return x.name == y.name && x.scope_field == y.scope_field
                             && x.timestamp_field == y.timestamp_field && x.scopes == y.scopes && x.fields == y.fields;
                    });
}

bool same_defaults(const job_defaults& a, const job_defaults& b) noexcept {
  return a.max_upload_bytes == b.max_upload_bytes && a.max_upload_records == b.max_upload_records
         && a.max_upload_interval == b.max_upload_interval && a.max_buffer_bytes == b.max_buffer_bytes;
}

// The same for equal sets of zones and owners, in whatever order they are visited.
std::uint64_t hash_of_owners(const tenant_table& tenants) {
  std::uint64_t result = 0;
  tenants.each_zone_of_accounts([&](std::string_view zone, std::string_view account) {
    const auto id = account.substr(account.find('/') + 1);
    result += (scope_hash(scope_kind::zones, zone) | 1) * scope_hash(scope_kind::accounts, id);
  });
  return result;
}

std::uint64_t jobs_on_hold(const config_snapshot& x) noexcept {
  std::uint64_t result = 0;
  for (settings_index at = 0; at < x.jobs.size(); ++at)
    result += x.jobs.on_hold(at) ? 1 : 0;
  return result;
}

enum class fate : std::uint8_t { candidate, in_force, on_hold, away };

class merger {
 public:
  explicit merger(merge_order& order) : order_(order), was_(*order.in_force), is_(*order.candidate) {
    candidate_on_hold_ = jobs_on_hold(is_);
  }

  merge_result run() {
    decide();
    if (all_stay_)
      keep();
    else if (all_new_)
      take();
    else
      build();
    result_.on_hold = jobs_on_hold(*result_.snapshot);
    return std::move(result_);
  }

 private:
  // A job that is on hold in the candidate, as in an older version that is rolled back to, is not in it.
  std::optional<settings_index> in_candidate(job_id x) const noexcept {
    const auto at = is_.jobs.find(x);
    return at && is_.jobs.on_hold(*at) ? std::nullopt : at;
  }

  bool has_dataset_of(settings_index row) const {
    const auto& mine = was_.datasets[was_.jobs.at(row).dataset];
    const auto there = is_.find_dataset(mine.name);
    return there && is_.datasets[*there].scopes == mine.scopes;
  }

  fate decide_one(job_id id) {
    const auto was = was_.jobs.find(id);
    const auto is = in_candidate(id);
    if (was && !has_dataset_of(*was)) {
      if (!is)
        result_.expired.push_back(id);
      return is ? fate::candidate : fate::away;
    }
    if (contains(order_.held, id))
      return was ? fate::in_force : fate::away;
    if (is) {
      if (was && was_.jobs.on_hold(*was))
        result_.restored.push_back(id);
      return fate::candidate;
    }
    if (!was || contains(order_.deleted, id))
      return fate::away;
    if (!was_.jobs.on_hold(*was)) {
      result_.put_on_hold.push_back(id);
      return fate::on_hold;
    }
    if (order_.now - was_.jobs.at(*was).on_hold_since < order_.hold)
      return fate::in_force;
    result_.expired.push_back(id);
    return fate::away;
  }

  // Only what differs needs a decision; every other job is the same in both.
  void decide() {
    const auto changes = diff(was_, is_);
    auto to_decide = changes.ids();
    if (candidate_on_hold_ != 0)
      add_candidates_on_hold(to_decide);
    all_new_ = candidate_on_hold_ == 0;
    all_stay_ = true;
    for (const auto id : to_decide) {
      const auto what = decide_one(id);
      const auto is_there = is_.jobs.find(id).has_value();
      all_new_ = all_new_ && (what == fate::candidate || (what == fate::away && !is_there));
      all_stay_ = all_stay_ && (what == fate::in_force || (what == fate::away && !was_.jobs.find(id)));
      fates_.emplace(id, what);
    }
    all_stay_ = all_stay_ && same_datasets(was_, is_) && same_defaults(was_.jobs.defaults(), is_.jobs.defaults())
                && hash_of_owners(was_.tenants) == hash_of_owners(is_.tenants);
  }

  void add_candidates_on_hold(std::vector<job_id>& ids) const {
    for (settings_index at = 0; at < is_.jobs.size(); ++at)
      if (is_.jobs.on_hold(at))
        ids.push_back(is_.jobs.id(at));
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }

  void keep() {
    result_.snapshot = order_.in_force;
    result_.unchanged = true;
  }

  void take() { result_.snapshot = restamped(std::move(order_.candidate), std::move(order_.identity)); }

  void build() {
    config_builder builder(is_.datasets, is_.jobs.defaults());
    // Held jobs first, so that their zones keep the owners they have.
    for (const auto& [id, what] : fates_)
      if (what == fate::in_force)
        add_old(builder, id, false);
    is_.tenants.each_zone_of_accounts([&](std::string_view zone, std::string_view account) {
      builder.assign_zone(account.substr(account.find('/') + 1), zone);
    });
    for (settings_index at = 0; at < is_.jobs.size(); ++at) {
      const auto decided = fates_.find(is_.jobs.id(at));
      if (decided == fates_.end() || decided->second == fate::candidate)
        add(builder, is_, at, false);
    }
    for (const auto& [id, what] : fates_)
      if (what == fate::on_hold)
        add_old(builder, id, true);
    result_.snapshot = builder.finish(std::move(order_.identity));
  }

  void add_old(config_builder& builder, job_id id, bool put_on_hold) {
    const auto row = *was_.jobs.find(id);
    const auto settings = was_.jobs.at(row);
    const auto owner = was_.tenants.name(settings.tenant);
    const auto scope = split_scope(settings.scope);
    if (scope.kind == scope_kind::zones && owner != settings.scope)
      builder.assign_zone(split_scope(owner).id, scope.id);
    add(builder, was_, row, put_on_hold);
  }

  void add(config_builder& builder, const config_snapshot& from, settings_index row, bool put_on_hold) {
    from.jobs.restore(row, job_);
    const auto settings = from.jobs.at(row);
    job_.dataset = from.datasets[settings.dataset].name;
    if (put_on_hold)
      job_.on_hold_since = static_cast<std::uint32_t>(std::max<std::int64_t>(
          1, std::chrono::duration_cast<std::chrono::seconds>(order_.now.time_since_epoch()).count()));
    builder.add(job_, settings.destination_fingerprint);
  }

  merge_order& order_;
  const config_snapshot& was_;
  const config_snapshot& is_;
  std::uint64_t candidate_on_hold_ = 0;
  std::unordered_map<job_id, fate> fates_;
  bool all_new_ = true;
  bool all_stay_ = true;
  job job_;
  merge_result result_;
};

} // namespace

config_snapshot_ptr restamped(config_snapshot_ptr of, snapshot_identity identity) {
  if (of.use_count() != 1) {
    config_builder builder(of->datasets, of->jobs.defaults());
    of->tenants.each_zone_of_accounts([&](std::string_view zone, std::string_view account) {
      builder.assign_zone(account.substr(account.find('/') + 1), zone);
    });
    job x;
    for (settings_index at = 0; at < of->jobs.size(); ++at) {
      const auto settings = of->jobs.at(at);
      of->jobs.restore(at, x);
      x.dataset = of->datasets[settings.dataset].name;
      builder.add(x, settings.destination_fingerprint);
    }
    return builder.finish(std::move(identity));
  }
  // Snapshots are made as plain objects and constant only to those who share them: here nobody does.
  auto& only = const_cast<config_snapshot&>(*of);
  only.version = identity.version;
  only.parent = identity.parent;
  only.parent_content = identity.parent_content;
  only.epoch = identity.epoch;
  only.cluster = std::move(identity.cluster);
  only.created = identity.created;
  return of;
}

merge_result merge(merge_order order) {
  if (order.in_force)
    return merger(order).run();
  merge_result result;
  result.on_hold = jobs_on_hold(*order.candidate);
  result.snapshot = restamped(std::move(order.candidate), std::move(order.identity));
  return result;
}

} // namespace weir
