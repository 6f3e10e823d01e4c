#include "telemetry/role_metrics.hpp"

namespace weir {

namespace {

auto shed_counters(prometheus::Registry& r, const char* name, const char* help) {
  return make_counters<shed_reason, shed_reason_count>(r, name, help, "reason");
}

} // namespace

forwarder_metrics::forwarder_metrics(prometheus::Registry& r)
    : bodies(make_counter(r, "weir_forwarder_bodies_total", "Bodies taken from sources.")),
      received_events(make_counter(r, "weir_forwarder_received_events_total", "Lines of bodies, without empty ones.")),
      not_entitled_events(make_counter(r, "weir_forwarder_not_entitled_events_total",
                                       "Events of scopes without a job in the forwarding table.")),
      repeated_bodies(make_counter(r, "weir_forwarder_repeated_bodies_total",
                                   "Bodies answered from the stored answer of their idempotency key.")),
      key_reused_bodies(make_counter(r, "weir_forwarder_key_reused_bodies_total",
                                     "Bodies refused because their idempotency key named another body.")),
      no_credit_bodies(make_counter(r, "weir_forwarder_no_credit_bodies_total",
                                    "Bodies refused because the receivers took no more.")),
      rejected_events(make_counters<reject_reason, reject_reason_count>(
          r, "weir_forwarder_rejected_events_total", "Lines that were not events, by reason.", "reason")) {}

receiver_metrics::receiver_metrics(prometheus::Registry& r)
    : bodies(make_counter(r, "weir_receiver_bodies_total", "Routed bodies taken from forwarders.")),
      slices(make_counter(r, "weir_receiver_slices_total", "Pieces of bodies handed to shards, one per job.")),
      offered_events(make_counter(r, "weir_receiver_offered_events_total", "Events times the jobs that want them.")),
      not_entitled_events(make_counter(r, "weir_receiver_not_entitled_events_total",
                                       "Events that a forwarder let pass and the receiver refused.")),
      shed_events(
          shed_counters(r, "weir_receiver_shed_events_total", "Events turned away before a shard, by reason.")) {}

std::string_view name_of(seal_trigger trigger) noexcept {
  constexpr std::string_view names[seal_trigger_count] = {"size", "linger", "idle", "memory"};
  return names[static_cast<std::size_t>(trigger)];
}

std::string_view name_of(buffer_level level) noexcept {
  constexpr std::string_view names[buffer_level_count] = {"50", "80", "95"};
  return names[static_cast<std::size_t>(level)];
}

std::string_view name_of(destination_trouble trouble) noexcept {
  constexpr std::string_view names[destination_trouble_count] = {"failing", "slow", "open"};
  return names[static_cast<std::size_t>(trouble)];
}

shard_metrics::shard_metrics(prometheus::Registry& r)
    : sealed_blocks(make_counters<seal_trigger, seal_trigger_count>(
        r, "weir_shard_sealed_blocks_total", "Blocks sealed, by what made them end.", "trigger")),
      sealed_events(make_counter(r, "weir_shard_sealed_events_total", "Events in sealed blocks.")),
      sealed_raw_bytes(make_counter(r, "weir_shard_sealed_raw_bytes_total", "Bytes of blocks before compression.")),
      sealed_bytes(make_counter(r, "weir_shard_sealed_bytes_total", "Bytes of blocks after compression.")),
      repeated_events(make_counter(r, "weir_shard_repeated_events_total",
                                   "Events that were on disk already under the same batch id.")),
      shed_events(shed_counters(r, "weir_shard_shed_events_total", "Events turned away by a shard, by reason.")),
      open_bytes(make_gauge(r, "weir_shard_open_bytes", "Raw bytes in open blocks.")),
      open_blocks(make_gauge(r, "weir_shard_open_blocks", "Open blocks.")),
      jobs(make_gauge(r, "weir_shard_jobs", "Jobs with data or an index entry.")),
      durable_seconds(make_histogram(r, "weir_shard_durable_seconds",
                                     "From the arrival of a group's first slice at its shard until it is on disk.",
                                     duration_buckets())),
      created_buffers(
          make_counter(r, "weir_buffer_created_total", "Buffers that were opened for a job's first events.")),
      refused_buffers(shed_counters(r, "weir_buffers_refused_total",
                                    "Slices turned away because their job had no buffer and got none, by reason.")),
      filling_jobs(make_gauges<buffer_level, buffer_level_count>(
          r, "weir_job_buffer_full", "Jobs whose buffer is beyond this share of its quota, in percent.", "level")) {}

std::string_view name_of(write_purpose purpose) noexcept {
  constexpr std::string_view names[write_purpose_count] = {"append", "relocation"};
  return names[static_cast<std::size_t>(purpose)];
}

std::string_view name_of(segment_use use) noexcept {
  constexpr std::string_view names[segment_use_count] = {"free", "live"};
  return names[static_cast<std::size_t>(use)];
}

store_metrics::store_metrics(prometheus::Registry& r)
    : groups(make_counter(r, "weir_store_groups_total", "Groups made durable by one sync each.")),
      records(make_counter(r, "weir_store_records_total", "Records made durable.")),
      written_bytes(make_counters<write_purpose, write_purpose_count>(
          r, "weir_store_written_bytes_total",
          "Bytes written to the log, checkpoints included; and those moved to empty a segment.", "purpose")),
      group_bytes(make_histogram(r, "weir_store_group_bytes", "About what a group takes on disk.", size_buckets())),
      sync_seconds(
          make_histogram(r, "weir_store_sync_seconds", "Duration of a group's write and sync.", duration_buckets())),
      sync_errors(make_counter(r, "weir_store_sync_errors_total", "Groups that could not be made durable.")),
      refused_appends(make_counter(r, "weir_store_refused_appends_total", "Appends refused because the disk is full.")),
      set_aside_records(make_counter(r, "weir_store_set_aside_records_total",
                                     "Durable records that failed their checksum and were set aside.")),
      segments(make_gauges<segment_use, segment_use_count>(r, "weir_store_segments", "Segment files, by use.", "use")),
      buffered_bytes(make_gauge(r, "weir_store_buffered_bytes", "Record bytes that wait for delivery.")),
      disk_available_bytes(
          make_gauge(r, "weir_store_disk_available_bytes", "Free bytes of the data directory's disk.")),
      disk_total_bytes(make_gauge(r, "weir_store_disk_total_bytes", "Size of the data directory's disk.")),
      queued_bytes(make_gauge(r, "weir_store_queued_bytes", "Bytes that wait for the writer.")),
      recovery_seconds(make_gauge(r, "weir_store_recovery_seconds", "Duration of the last recovery.")),
      unbalanced_accounts(
          make_gauge(r, "weir_ledger_unbalanced", "Accounts of jobs and senders whose columns do not add up.")) {}

std::string_view name_of(upload_result result) noexcept {
  constexpr std::string_view names[upload_result_count] = {"stored", "exists", "refused", "failed"};
  return names[static_cast<std::size_t>(result)];
}

pusher_metrics::pusher_metrics(prometheus::Registry& r)
    : uploads(make_counters<upload_result, upload_result_count>(r, "weir_pusher_uploads_total",
                                                                "Uploads that ended, by result.", "result")),
      retries(make_counter(r, "weir_pusher_retries_total", "Uploads that were not the first try of their object.")),
      uploaded_bytes(make_counter(r, "weir_pusher_uploaded_bytes_total", "Bytes of stored objects.")),
      delivered_events(make_counter(r, "weir_pusher_delivered_events_total", "Events of committed objects.")),
      dead_lettered_events(make_counter(r, "weir_pusher_dead_lettered_events_total",
                                        "Events set aside because their destination refuses them.")),
      merged_members(make_counter(r, "weir_pusher_merged_members_total", "Small members re-encoded into larger ones.")),
      upload_seconds(make_histogram(r, "weir_pusher_upload_seconds", "Duration of uploads.", duration_buckets())),
      slots_in_use(make_gauge(r, "weir_pusher_slots_in_use", "Uploads under way.")),
      slots(make_gauge(r, "weir_pusher_slots", "Uploads allowed at a time.")),
      waiting_jobs(make_gauge(r, "weir_pusher_waiting_jobs", "Jobs that are due and wait for a slot.")),
      open_breakers(make_gauge(r, "weir_pusher_open_breakers", "Destinations that are only probed.")),
      troubled_destinations(make_gauges<destination_trouble, destination_trouble_count>(
          r, "weir_pusher_destinations", "Destinations in trouble, at most 1,000 in all, by health.", "health")),
      failing_jobs(make_gauge(r, "weir_jobs_failing",
                              "Jobs that wait for a destination in trouble, or whose buffer is parked.")) {}

buffer_metrics::buffer_metrics(prometheus::Registry& r)
    : known(make_gauge(r, "weir_buffer_known", "Buffers with anything in the store.")),
      active(make_gauge(r, "weir_buffer_active", "Buffers with an actor.")),
      parked(make_gauge(r, "weir_buffer_parked", "Buffers that crashed too often and wait for an operator.")),
      woken(make_counter(r, "weir_buffer_woken_total", "Idle buffers that became active.")),
      passivated(make_counter(r, "weir_buffer_passivated_total", "Active buffers that became idle.")),
      cuts(make_counter(r, "weir_buffer_cuts_total", "Durable decisions what one object holds.")),
      commits(make_counter(r, "weir_buffer_commits_total", "Objects whose events were trimmed after delivery.")),
      expired_events(make_counter(r, "weir_buffer_expired_events_total",
                                  "Events removed because of their age, or because their job's hold was over.")),
      deleted_events(make_counter(r, "weir_buffer_deleted_events_total",
                                  "Events removed because their job's owner deleted the job.")),
      expired_dead_letters(
          make_counter(r, "weir_buffer_expired_dead_letters_total", "Dead letters removed because of their age.")) {}

} // namespace weir
