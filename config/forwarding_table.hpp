#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/flat_index.hpp"
#include "config/scope.hpp"
#include "messages/ids.hpp"

namespace weir {

/// Position of a dataset in `config_snapshot::datasets`.
using dataset_index = std::uint16_t;
/// Position of a tenant in `config_snapshot::tenants`. Dense; of one snapshot only.
using tenant_index = std::uint32_t;
/// Position of a job in `config_snapshot::jobs`. Dense; of one snapshot only.
using settings_index = std::uint32_t;
/// Position of an entitled (dataset, scope) in `config_snapshot::table`. Dense from 0, so that a
/// forwarder can group the lines of a body by it in a plain array; of one snapshot only.
using entry_index = std::uint32_t;

/// What `forwarding_table::find` answers for a scope without an enabled job: drop and count.
constexpr entry_index not_entitled = 0xffff'ffff;
/// Of a table without settings, as on a node that only forwards.
constexpr settings_index no_settings = 0xffff'ffff;
constexpr dataset_index no_dataset = 0xffff;

/// One enabled job of a scope.
struct forwarding_entry {
  job_id job{};
  std::uint64_t destination_fingerprint = 0;
  tenant_index tenant = 0;
  settings_index settings = no_settings;
  /// Vanished from the config without its owner's doing: its events are still taken and kept, but not
  /// pushed, and it does not count as entitled in the guards.
  bool on_hold = false;
};

/// A run of entries that lie one behind the other.
struct entry_span {
  const forwarding_entry* first = nullptr;
  std::size_t count = 0;

  const forwarding_entry* begin() const noexcept { return first; }
  const forwarding_entry* end() const noexcept { return first + count; }
  std::size_t size() const noexcept { return count; }
};

/// Who is entitled: which jobs want the events of a scope in a dataset. Holds no secret.
///
/// Immutable once built. Lookups compare the whole key, allocate nothing and touch one cache line of
/// the hash and one of the row; an unknown scope usually costs the hash only.
class forwarding_table {
 public:
  /// By the bare id as events carry it in their scope field; the kind is the dataset's.
  entry_index find(dataset_index dataset, std::string_view id) const noexcept;
  /// By the full name, `zones/<id>` or `accounts/<id>`.
  entry_index find_scope(dataset_index dataset, std::string_view scope) const noexcept;

  /// All enabled jobs of the scope, at least one, by ascending job id.
  entry_span entries(entry_index at) const noexcept { return {entries_.data() + groups_[at].first, groups_[at].count}; }
  dataset_index dataset(entry_index at) const noexcept { return groups_[at].dataset; }
  scope_kind kind(entry_index at) const noexcept { return groups_[at].kind; }
  std::string_view id(entry_index at) const noexcept { return {groups_[at].id, groups_[at].id_size}; }
  /// `zones/<id>`; makes a string, so not for the hot path.
  std::string scope(entry_index at) const;

  std::size_t size() const noexcept { return groups_.size(); } ///< Entitled (dataset, scope) pairs.
  std::size_t entry_count() const noexcept { return entries_.size(); }
  std::size_t memory_bytes() const noexcept;

 private:
  friend class forwarding_table_builder;

  // Id padded with zeros and inlined: one comparison, no second place to look.
  struct group {
    char id[max_scope_id_bytes];
    std::uint32_t first;
    std::uint32_t count;
    dataset_index dataset;
    std::uint8_t id_size;
    scope_kind kind;
  };

  std::vector<scope_kind> kinds_; // of the datasets
  std::vector<group> groups_;
  std::vector<forwarding_entry> entries_;
  flat_index index_;
};

/// Makes a table from entries that come grouped by (dataset, scope).
class forwarding_table_builder {
 public:
  /// `kinds` of the datasets by their index; the counts are exact and bound the memory.
  forwarding_table_builder(std::vector<scope_kind> kinds, std::size_t entries);

  /// Adds an entry to the scope of the one before, or begins the next scope. False if the scope was
  /// begun before and left since, or its kind is not the dataset's: the input is not what it claims.
  bool add(dataset_index dataset, scope_kind kind, std::string_view id, const forwarding_entry& entry);

  forwarding_table finish() &&;

 private:
  forwarding_table table_;
};

} // namespace weir
