#include <algorithm>

#include <fmt/format.h>

#include "config/node_config_reading.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1ull << 10;
constexpr std::uint64_t mib = 1ull << 20;
constexpr std::uint64_t gib = 1ull << 30;

// Below it the process has no room for anything but itself: code, threads, one segment's buffers.
constexpr std::uint64_t least_memory = 128 * mib;
// What one job's settings, table entry and index cost with a long destination; measured, see
// docs/configuration.md.
constexpr std::uint64_t bytes_a_buffer = 512;
// A batch id with its answer in the deduplication window.
constexpr std::uint64_t bytes_a_window_batch = 128;
// The store's index has 24 bits for a position in steps of 8 bytes.
constexpr std::uint64_t most_segment = 128 * mib;
// An upload holds a window of the object at the network and the next one in the pusher.
constexpr std::uint64_t bytes_a_slot = 2 * 256 * kib;

void read_memory(const reading& in, toml_section& section) {
  auto& limits = in.config().limits;
  const auto machine = in.world.machine.memory_bytes / mib * mib; // whole MiB read better
  if (machine != 0 && limits.memory > machine * 3 / 4) {
    // The default must not refuse to start on a small machine; it says so instead.
    limits.memory = std::max(least_memory, machine * 3 / 4 / mib * mib);
    if (!section.has("memory"))
      in.result.notes.push_back(
          fmt::format("limits.memory is not set and 1GiB is more than three quarters of this "
                      "machine: {} is in force",
                      size_text(limits.memory)));
  }
  section.size("memory", limits.memory,
               {least_memory, machine == 0 ? 1024 * gib : std::max(machine, least_memory),
                machine == 0 ? std::string{} : fmt::format("the machine has {}", size_text(machine))});
}

void read_disk(const reading& in, toml_section& section) {
  auto& limits = in.config().limits;
  const auto disk = in.world.disk_bytes ? in.world.disk_bytes(in.config().data_dir) / mib * mib : 0;
  const auto most = disk == 0 ? 1024 * 1024 * gib : disk;
  const auto why = disk == 0 ? std::string{} : fmt::format("the disk has {}", size_text(disk));
  if (!section.has("store_max_bytes"))
    limits.store_max_bytes = most;
  section.size("store_max_bytes", limits.store_max_bytes, {std::min(64 * mib, most), most, why});
  const auto store = std::max(limits.store_max_bytes, mib);
  limits.job_bytes = std::min(limits.job_bytes, store);
  section.size("job_bytes", limits.job_bytes, {mib, store, "a job holds at most the whole store"});
  section.share("disk_alert_at", limits.disk_alert_at, {0.05, 0.97});
  section.share("disk_refuse_new_buffers_at", limits.disk_refuse_new_buffers_at, {0.05, 0.98});
  section.share("disk_refuse_appends_at", limits.disk_refuse_appends_at,
                {0.05, 0.99, "the rest is for trims, commits and relocation"});
  if (!(limits.disk_alert_at < limits.disk_refuse_new_buffers_at
        && limits.disk_refuse_new_buffers_at < limits.disk_refuse_appends_at))
    section.problem("disk_refuse_appends_at",
                    "must be above disk_refuse_new_buffers_at, and that above disk_alert_at; for example 0.95, 0.9, "
                    "0.8");
}

} // namespace

void read_limits(const reading& in, toml_section& root) {
  auto section = root.section("limits");
  auto& limits = in.config().limits;
  read_memory(in, section);
  const auto memory = std::max(limits.memory, least_memory);
  const auto of_memory = fmt::format("limits.memory is {}", size_text(memory));
  section.size("max_event_bytes", limits.max_event_bytes, {kib, std::min(64 * mib, memory / 64), of_memory});
  limits.buffers = static_cast<std::uint32_t>(std::min<std::uint64_t>(limits.buffers, memory / kib));
  section.count(
      "buffers", limits.buffers,
      {1, std::min<std::uint64_t>(memory / bytes_a_buffer, 1u << 30), of_memory + ", and a buffer takes 512B of it"});
  section.count("buffer_creation_rate", limits.buffer_creation_rate, {1, 1'000'000});
  limits.open_block_bytes = std::min(256 * mib, memory / 4);
  section.size("open_block_bytes", limits.open_block_bytes, {mib, memory / 2, of_memory});
  limits.in_flight_bytes = std::min(256 * mib, memory / 4);
  section.size("in_flight_bytes", limits.in_flight_bytes, {mib, memory / 2, of_memory});
  section.share("tenant_share", limits.tenant_share, {0.001, 1.0});
  section.share("tenant_buffers_share", limits.tenant_buffers_share, {0.001, 1.0});
  section.share("memory_seal_at", limits.memory_seal_at, {0.1, 0.97});
  section.share("memory_shrink_at", limits.memory_shrink_at, {0.1, 0.98});
  section.share("memory_refuse_at", limits.memory_refuse_at, {0.1, 0.99});
  if (!(limits.memory_seal_at < limits.memory_shrink_at && limits.memory_shrink_at < limits.memory_refuse_at))
    section.problem("memory_refuse_at",
                    "must be above memory_shrink_at, and that above memory_seal_at; for example 0.95, 0.85, 0.7");
  read_disk(in, section);
  limits.window_batches = std::min(limits.window_batches, memory / kib);
  section.count("window_batches", limits.window_batches,
                {1'000, memory / bytes_a_window_batch, of_memory + ", and a batch takes 128B of it"});
  section.duration("window_age", limits.window_age, {1h, 7 * 24h});
  section.finish();
}

void read_buffer(const reading& in, toml_section& root) {
  auto section = root.section("buffer");
  auto& buffer = in.config().buffer;
  section.duration("linger", buffer.linger, {1ms, 1s, "it delays every acknowledgement"});
  section.size("block_bytes", buffer.block_bytes, {4 * kib, 256 * kib, "a pusher reads 256KiB at a time"});
  section.duration("max_age", buffer.max_age, {1s, 90 * 24h});
  section.duration("passivate_after", buffer.passivate_after, {1s, 24h});
  section.finish();
}

void read_store(const reading& in, toml_section& root) {
  auto section = root.section("store");
  auto& store = in.config().store;
  const auto& limits = in.config().limits;
  const auto most = std::max(mib, std::min(most_segment, limits.store_max_bytes / 8));
  store.segment_bytes = std::min(store.segment_bytes, most);
  section.size("segment_bytes", store.segment_bytes,
               {mib, most, "the store takes no larger ones, and at least 8 must fit into it"});
  store.group_bytes = std::min(store.group_bytes, std::max(64 * kib, store.segment_bytes / 4));
  section.size("group_bytes", store.group_bytes,
               {64 * kib, std::max(64 * kib, store.segment_bytes / 4), "a group fits four times into a segment"});
  section.count("spare_segments", store.spare_segments, {2, 64});
  section.count("free_reserve", store.free_reserve, {1, 64});
  // One block holds at least one event, and a record does not span segments.
  if (limits.max_event_bytes > store.segment_bytes / 2)
    section.problem("segment_bytes", fmt::format("is {}; it must be at least twice limits.max_event_bytes ({})",
                                                 size_text(store.segment_bytes), size_text(limits.max_event_bytes)));
  if ((store.spare_segments + store.free_reserve + 2ull) * store.segment_bytes > limits.store_max_bytes)
    section.problem("spare_segments",
                    fmt::format("with free_reserve and two segments in use they need {}; limits.store_max_bytes is {}",
                                size_text((store.spare_segments + store.free_reserve + 2ull) * store.segment_bytes),
                                size_text(limits.store_max_bytes)));
  section.finish();
}

void read_pusher(const reading& in, toml_section& root) {
  auto section = root.section("pusher");
  auto& pusher = in.config().pusher;
  const auto& limits = in.config().limits;
  const auto files = in.world.machine.open_files;
  const auto most_slots = files == 0 ? 4096u : std::clamp<std::uint64_t>(files / 4, 1, 4096);
  pusher.slots = static_cast<std::uint32_t>(std::min(
      {std::uint64_t{pusher.slots}, std::max<std::uint64_t>(1, most_slots / 4), limits.memory / 4 / bytes_a_slot}));
  section.count("slots", pusher.slots,
                {1, most_slots, files == 0 ? std::string{} : fmt::format("a quarter of {} open files", files)});
  const std::uint64_t slots = std::max(1u, pusher.slots);
  pusher.slots_per_tenant = static_cast<std::uint32_t>(std::min<std::uint64_t>(pusher.slots_per_tenant, slots));
  section.count("slots_per_tenant", pusher.slots_per_tenant, {1, slots, fmt::format("pusher.slots is {}", slots)});
  pusher.slots_per_destination =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(pusher.slots_per_destination, slots));
  section.count("slots_per_destination", pusher.slots_per_destination,
                {1, slots, fmt::format("pusher.slots is {}", slots)});
  section.share("healthy_share", pusher.healthy_share, {0.01, 0.9});
  if (slots * bytes_a_slot > limits.memory / 4)
    section.problem("slots", fmt::format("{} slots with {} each are more than a quarter of limits.memory ({})", slots,
                                         size_text(bytes_a_slot), size_text(limits.memory)));
  section.duration("connect_timeout", pusher.connect_timeout, {100ms, 60s});
  section.duration("no_progress", pusher.no_progress, {100ms, 5min});
  section.duration("stall_timeout", pusher.stall_timeout, {100ms, 10min});
  section.duration("upload_timeout", pusher.upload_timeout, {1s, 1h});
  section.duration("retry_first", pusher.retry_first, {10ms, 1min});
  section.duration("retry_most", pusher.retry_most, {100ms, 1h});
  if (pusher.retry_first > pusher.retry_most)
    section.problem("retry_first", "must not be longer than retry_most; for example \"1s\" and \"5min\"");
  section.share("retry_budget", pusher.retry_budget, {0.001, 1.0});
  section.duration("probe_interval", pusher.probe_interval, {1s, 1h});
  section.count("breaker_failures", pusher.breaker_failures, {1, 1'000});
  section.duration("breaker_open", pusher.breaker_open, {100ms, 1h});
  auto& object = pusher.object;
  object.max_buffer_bytes = limits.job_bytes;
  section.size("object_bytes", object.max_upload_bytes, {1, 1'000'000'000, "as in the job API"});
  section.count("object_records", object.max_upload_records, {1, 1'000'000, "as in the job API"});
  section.duration("object_interval", object.max_upload_interval, {1s, 300s, "as in the job API"});
  section.duration("dead_letter_age", pusher.dead_letter_age, {1h, 90 * 24h});
  section.finish();
}

void read_threads(const reading& in, toml_section& root) {
  auto section = root.section("threads");
  auto& threads = in.config().threads;
  const std::uint64_t cores = std::max(1u, in.world.machine.cores);
  const bounds<std::uint64_t> in_bounds{1, std::max<std::uint64_t>(4, 4 * cores),
                                        fmt::format("four for each of {} cores", cores)};
  threads.data = threads.shards = static_cast<std::uint32_t>(cores);
  section.count("data", threads.data, in_bounds);
  section.count("shards", threads.shards, in_bounds);
  section.finish();

  auto shutdown = root.section("shutdown");
  shutdown.duration("drain", in.config().drain_deadline, {1s, 1h});
  shutdown.finish();
}

void read_log(const reading& in, toml_section& root) {
  auto section = root.section("log");
  std::string level = "info";
  std::string format = "auto";
  section.text("level", level);
  section.text("format", format);
  using levels = log_config::level_name;
  using formats = log_config::format_name;
  const std::pair<std::string_view, levels> known_levels[] = {
      {"debug", levels::debug}, {"info", levels::info}, {"warn", levels::warn}, {"error", levels::error}};
  const std::pair<std::string_view, formats> known_formats[] = {
      {"auto", formats::automatic}, {"human", formats::human}, {"json", formats::json}};
  const auto pick = [&](const auto& known, const std::string& text, auto& into, const char* key, const char* all) {
    const auto found = std::find_if(std::begin(known), std::end(known), [&](const auto& x) { return x.first == text; });
    if (found == std::end(known))
      section.problem(key, fmt::format("'{}' is not one of {}", shown_key(text), all));
    else
      into = found->second;
  };
  pick(known_levels, level, in.config().log.level, "level", "debug, info, warn, error");
  pick(known_formats, format, in.config().log.format, "format", "auto, human, json");
  section.finish();
}

} // namespace weir
