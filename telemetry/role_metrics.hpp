#pragma once

#include <cstdint>
#include <string_view>

#include "messages/environment.hpp"
#include "messages/receipt.hpp"
#include "telemetry/metrics.hpp"

/// One struct per role, built once per node. Bumped once per body, slice batch, block, group or upload, never
/// per event.
namespace weir {

struct forwarder_metrics {
  prometheus::Counter& bodies;
  prometheus::Counter& received_events;
  prometheus::Counter& not_entitled_events;
  prometheus::Counter& repeated_bodies;   ///< Answered from the stored answer.
  prometheus::Counter& key_reused_bodies; ///< Same key, another body: 422.
  prometheus::Counter& no_credit_bodies;
  metrics_by<prometheus::Counter, reject_reason, reject_reason_count> rejected_events;

  explicit forwarder_metrics(prometheus::Registry& registry);
};

struct receiver_metrics {
  prometheus::Counter& bodies;
  prometheus::Counter& slices;
  prometheus::Counter& offered_events;
  prometheus::Counter& not_entitled_events; ///< Refused here although a forwarder let them pass.
  metrics_by<prometheus::Counter, shed_reason, shed_reason_count> shed_events;

  explicit receiver_metrics(prometheus::Registry& registry);
};

/// What made a block end.
enum class seal_trigger : std::uint8_t {
  size,   ///< It is full, or the next slice has to begin a block of its own.
  linger, ///< It has waited for as long as an event may.
  idle,   ///< Nothing else is on its way that it could wait for.
  memory, ///< Memory is short, or open blocks hold more than their share of it.
};
constexpr std::size_t seal_trigger_count = 4;
std::string_view name_of(seal_trigger trigger) noexcept;

/// How full a job's buffer is. Cumulative: a buffer at 96 % is beyond all three.
enum class buffer_level : std::uint8_t { half, most, nearly_all };
constexpr std::size_t buffer_level_count = 3;
constexpr double share_of(buffer_level level) noexcept {
  constexpr double shares[buffer_level_count] = {0.50, 0.80, 0.95};
  return shares[static_cast<std::size_t>(level)];
}
/// In percent: "50", "80", "95".
std::string_view name_of(buffer_level level) noexcept;

struct shard_metrics {
  metrics_by<prometheus::Counter, seal_trigger, seal_trigger_count> sealed_blocks;
  prometheus::Counter& sealed_events;
  prometheus::Counter& sealed_raw_bytes;
  prometheus::Counter& sealed_bytes;
  prometheus::Counter& repeated_events;
  metrics_by<prometheus::Counter, shed_reason, shed_reason_count> shed_events;
  prometheus::Gauge& open_bytes;
  prometheus::Gauge& open_blocks;
  prometheus::Gauge& jobs;
  prometheus::Histogram& durable_seconds; ///< Of each group, from its first slice's arrival until it is on disk.
  prometheus::Counter& created_buffers;   ///< First events of a job.
  metrics_by<prometheus::Counter, shed_reason, shed_reason_count> refused_buffers; ///< Not created, by reason.
  metrics_by<prometheus::Gauge, buffer_level, buffer_level_count> filling_jobs;    ///< Beyond that share of the quota.

  explicit shard_metrics(prometheus::Registry& registry);
};

/// What a written byte was for.
enum class write_purpose : std::uint8_t { append, relocation };
constexpr std::size_t write_purpose_count = 2;
std::string_view name_of(write_purpose purpose) noexcept;

enum class segment_use : std::uint8_t { free, live };
constexpr std::size_t segment_use_count = 2;
std::string_view name_of(segment_use use) noexcept;

struct store_metrics {
  prometheus::Counter& groups;
  prometheus::Counter& records;
  metrics_by<prometheus::Counter, write_purpose, write_purpose_count> written_bytes;
  prometheus::Histogram& group_bytes;
  prometheus::Histogram& sync_seconds;
  prometheus::Counter& sync_errors;
  prometheus::Counter& refused_appends;   ///< Disk full.
  prometheus::Counter& set_aside_records; ///< Failed their checksum although durable.
  metrics_by<prometheus::Gauge, segment_use, segment_use_count> segments;
  prometheus::Gauge& buffered_bytes;
  prometheus::Gauge& disk_available_bytes;
  prometheus::Gauge& disk_total_bytes;
  prometheus::Gauge& queued_bytes; ///< Waiting for the writer.
  prometheus::Gauge& recovery_seconds;
  prometheus::Gauge& unbalanced_accounts; ///< Of the ledger: a fault of Weir.

  explicit store_metrics(prometheus::Registry& registry);
};

/// Destinations that do not take what they should; the rest are healthy or were not tried yet.
enum class destination_trouble : std::uint8_t { failing, slow, open };
constexpr std::size_t destination_trouble_count = 3;
std::string_view name_of(destination_trouble trouble) noexcept;

constexpr std::size_t upload_result_count = 4;
std::string_view name_of(upload_result result) noexcept;

struct pusher_metrics {
  metrics_by<prometheus::Counter, upload_result, upload_result_count> uploads;
  prometheus::Counter& retries;
  prometheus::Counter& uploaded_bytes;
  prometheus::Counter& delivered_events;
  prometheus::Counter& dead_lettered_events;
  prometheus::Counter& merged_members; ///< Small members re-encoded into larger ones.
  prometheus::Histogram& upload_seconds;
  prometheus::Gauge& slots_in_use;
  prometheus::Gauge& slots;
  prometheus::Gauge& waiting_jobs;
  prometheus::Gauge& open_breakers; ///< Destinations that are only probed.
  metrics_by<prometheus::Gauge, destination_trouble, destination_trouble_count> troubled_destinations;
  prometheus::Gauge& failing_jobs; ///< That wait for a failing or open destination, or whose buffer is parked.

  explicit pusher_metrics(prometheus::Registry& registry);
};

struct buffer_metrics {
  prometheus::Gauge& known;  ///< Jobs with anything in the store's index.
  prometheus::Gauge& active; ///< Buffer actors.
  prometheus::Gauge& parked;
  prometheus::Counter& woken;
  prometheus::Counter& passivated;
  prometheus::Counter& cuts;
  prometheus::Counter& commits;
  prometheus::Counter& expired_events;
  prometheus::Counter& deleted_events;
  prometheus::Counter& expired_dead_letters;

  explicit buffer_metrics(prometheus::Registry& registry);
};

} // namespace weir
