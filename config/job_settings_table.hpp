#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/flat_index.hpp"
#include "config/forwarding_table.hpp"
#include "config/text_arena.hpp"
#include "messages/ids.hpp"

namespace weir {

struct job;

/// A destination as the customer wrote it, passwords included. Like `secret` it has no stream
/// operator and no formatter; logs get `redacted()`.
class destination_view {
 public:
  destination_view() = default;
  explicit destination_view(std::string_view text) noexcept : text_(text) {}

  /// The whole text, for `parse_destination` and the job API.
  std::string_view reveal() const noexcept { return text_; }
  /// Scheme, host and path; every parameter's value as `***`.
  std::string redacted() const;

 private:
  std::string_view text_;
};

/// The settings of one job. Views are valid as long as the snapshot they came from.
struct job_settings {
  job_id job{};
  weir::revision revision{};
  dataset_index dataset = no_dataset;
  tenant_index tenant = 0;
  bool enabled = false;
  std::string_view scope; ///< `zones/<id>` or `accounts/<id>`.
  std::string_view name;  ///< The customer's label; may be empty.
  destination_view destination;
  std::uint64_t destination_fingerprint = 0;
  /// Fields of the rendered events in this order. Empty: the event as it came.
  const std::vector<std::string>* field_names = nullptr;
  std::uint64_t max_upload_bytes = 0;         ///< Of one object, before compression; never 0 here.
  std::uint64_t max_upload_records = 0;       ///< Never 0 here.
  std::chrono::seconds max_upload_interval{}; ///< Never 0 here.
  std::uint64_t max_buffer_bytes = 0;         ///< Quota in the store, record bytes; never 0 here.
  /// When the job vanished from the config without its owner's doing, to the second; the epoch: it is
  /// there. While on hold it is buffered (up to `config.hold_bytes`), and not pushed.
  std::chrono::system_clock::time_point on_hold_since{};

  bool on_hold() const noexcept { return on_hold_since != std::chrono::system_clock::time_point{}; }
  /// Counts in the guards: enabled and not on hold.
  bool entitled() const noexcept { return enabled && !on_hold(); }
};

/// What a job gets that says nothing, or 0, about a limit. Sources: `[pusher]` and `limits.job_bytes`.
struct job_defaults {
  std::uint64_t max_upload_bytes = 256ull << 20; ///< No cap in the job API; this bounds one object.
  std::uint64_t max_upload_records = 100'000;    ///< The job API's default.
  std::chrono::seconds max_upload_interval{30};  ///< The job API's default.
  std::uint64_t max_buffer_bytes = 10ull << 30;  ///< `limits.job_bytes`.
};

/// Settings of all jobs of this node, by dense index and by id: about 200 bytes a job with typical
/// destinations. Grows without copying; immutable once it is in a snapshot.
class job_settings_table {
 public:
  explicit job_settings_table(job_defaults defaults = {}) : defaults_(defaults) {}

  std::size_t size() const noexcept { return rows_.size(); }
  job_settings at(settings_index at) const noexcept;
  /// Index of the job, or nothing.
  std::optional<settings_index> find(job_id job) const noexcept;

  /// Adds a checked job. `scope` is its scope's text in the snapshot's tenant table, which outlives this
  /// one. False if the id is there already. Throws `std::length_error` when the texts of all jobs
  /// exceed 4 GiB.
  bool add(const job& x, dataset_index dataset, tenant_index tenant, std::string_view scope,
           std::uint64_t destination_fingerprint);

  /// For walks over all jobs, which need nothing else.
  std::string_view scope(settings_index at) const noexcept { return {rows_[at].scope, rows_[at].scope_size}; }
  bool enabled(settings_index at) const noexcept { return rows_[at].enabled; }
  bool on_hold(settings_index at) const noexcept { return rows_[at].on_hold_since != 0; }
  job_id id(settings_index at) const noexcept { return job_id{rows_[at].job}; }

  /// The settings as they were given: 0 where the default applies. For serialisation and the job API.
  void restore(settings_index at, job& into) const;

  /// True if the settings say the same, on hold or not: all but the id, scope, tenant and dataset.
  bool same_settings(settings_index at, const job_settings_table& other, settings_index other_at) const noexcept;

  const job_defaults& defaults() const noexcept { return defaults_; }
  std::size_t memory_bytes() const noexcept;

 private:
  struct row {
    const char* scope;
    std::uint64_t job;
    std::uint64_t fingerprint;
    std::uint64_t revision;
    std::uint64_t max_buffer_bytes;
    std::uint32_t text; // destination and name, one behind the other in the arena
    std::uint32_t tenant;
    std::uint32_t field_list;
    std::uint32_t max_upload_bytes;
    std::uint32_t max_upload_records;
    std::uint32_t max_upload_seconds;
    std::uint32_t on_hold_since; // seconds since 1970, until 2106; 0: not on hold
    std::uint16_t destination_size;
    std::uint16_t name_size;
    dataset_index dataset;
    std::uint8_t scope_size;
    bool enabled;
  };

  job_defaults defaults_;
  chunked_rows<row> rows_;
  text_arena arena_;
  flat_index by_id_;
  // Most jobs share a few lists. A map's nodes stay where they are, so rows may point to them.
  std::map<std::vector<std::string>, std::uint32_t> lists_;
  std::vector<const std::vector<std::string>*> list_of_;
};

} // namespace weir
