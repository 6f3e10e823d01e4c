#include "actors/buffer_records.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>

#include <fmt/format.h>

#include "actors/cut_planner.hpp"
#include "actors/object_assembly.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

constexpr std::size_t max_expired_blocks = 10'000;
constexpr std::size_t max_blocks_of_cut = 100'001; // an open cut goes whole; one more, to be seen whole
constexpr std::size_t max_expired_letters = 64;

/// The events of `range` as they go into an object. Where even that fails, the blocks as they are stored, with
/// whatever else is in them: somebody may make sense of the bytes.
std::string events_of(const std::vector<store::block_bytes>& blocks, job_id job, const sequence_range& range) {
  std::string payload;
  try {
    auto tools = std::make_unique<assembly_tools>(); // half a megabyte, and dead letters are rare
    object_assembly assembly{job, range};
    for (const auto& block : blocks) {
      const auto result = assembly.push(*tools, block.range, block.meta.raw_bytes(), block.payload);
      if (result != assembly_result::ok)
        throw std::runtime_error(std::string{name_of(result)});
      payload += assembly.pull();
    }
    assembly.finish(*tools);
    while (!assembly.done())
      payload += assembly.pull();
  } catch (const std::bad_alloc&) {
    throw; // not the events' fault
  } catch (const std::exception& why) {
    log::warn("dead-letter-not-encoded", "job {}: events {}-{}: {}; their blocks are kept as they are", number(job),
              range.first, range.end() - 1, why.what());
    payload.clear();
    for (const auto& block : blocks)
      payload += block.payload;
  }
  return payload;
}

} // namespace

std::uint64_t wall_ns(const environment& world) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(world.clock->wall().time_since_epoch()).count());
}

both_clocks look_at(const clock_source& clock) {
  return {clock.steady(), clock.wall()};
}

std::uint64_t careful_wall_ns(const environment& world, const both_clocks& began) {
  using std::chrono::duration_cast;
  using std::chrono::nanoseconds;
  const auto now = look_at(*world.clock);
  const auto passed = duration_cast<nanoseconds>(now.steady - began.steady);
  const auto at_most = duration_cast<nanoseconds>(began.wall.time_since_epoch()) + passed;
  return std::min(wall_ns(world), static_cast<std::uint64_t>(std::max(at_most, nanoseconds{0}).count()));
}

store::append_record cut_record(job_id job, const proto::Cut& cut) {
  store::append_record record;
  record.kind = store::record_kind::cut;
  record.job = job;
  record.range = range_of(cut);
  cut.SerializeToString(&record.meta);
  return record;
}

store::append_record commit_record(job_id job, const proto::Cut& part, std::uint64_t at_ns) {
  proto::Commit commit;
  commit.set_generation(part.generation());
  commit.set_first(part.first());
  commit.set_count(part.count());
  commit.set_object_name(part.object_name());
  commit.set_at_ns(at_ns);
  store::append_record record;
  record.kind = store::record_kind::commit;
  record.job = job;
  record.range = range_of(part);
  commit.SerializeToString(&record.meta);
  return record;
}

store::append_record trim_record(job_id job, const sequence_range& range, proto::Trim::Reason reason) {
  proto::Trim trim;
  trim.set_generation(number(range.generation));
  trim.set_first(range.first);
  trim.set_count(range.count);
  trim.set_reason(reason);
  store::append_record record;
  record.kind = store::record_kind::trim;
  record.job = job;
  record.range = range;
  trim.SerializeToString(&record.meta);
  return record;
}

caf::expected<std::vector<store::append_record>> dead_letter_records(const store::segmented_store& store, job_id job,
                                                                     const proto::Cut& part, int status,
                                                                     const std::string& reason, std::uint64_t at_ns) {
  const auto range = range_of(part);
  std::vector<store::block_bytes> blocks;
  for (const auto& info : store.blocks(job, max_expired_blocks, range)) {
    auto block = store.read(job, info.range);
    if (!block)
      return std::move(block.error());
    blocks.push_back(std::move(*block));
  }
  proto::BlockMeta meta;
  if (!blocks.empty())
    meta = blocks.front().meta;
  auto payload = events_of(blocks, job, range);
  meta.clear_batches();
  meta.set_dead_reason(fmt::format("{} {}", status, reason));
  meta.set_dead_at_ns(at_ns);
  store::append_record dead;
  dead.kind = store::record_kind::dead;
  dead.job = job;
  dead.range = range;
  meta.SerializeToString(&dead.meta);
  dead.payload = std::make_shared<const std::string>(std::move(payload));
  std::vector<store::append_record> records;
  records.push_back(std::move(dead));
  records.push_back(trim_record(job, range, proto::Trim::DEAD_LETTERED));
  return records;
}

std::optional<sequence_range> expired_range(const store::segmented_store& store, job_id job,
                                            const std::optional<proto::Cut>& open, std::uint64_t before_seconds) {
  std::optional<sequence_range> result;
  const auto open_end = open ? open->first() + open->count() : 0;
  for (const auto& x : store.blocks(job, open ? max_blocks_of_cut : max_expired_blocks)) {
    // The first event of the next block came after the last of this one: a block is old when its
    // own first event and with it, to within a linger, its last one is.
    if (x.arrival_seconds >= before_seconds)
      break;
    if (result && (result->generation != x.range.generation || result->end() != x.range.first))
      break;
    if (!result)
      result = sequence_range{x.range.generation, x.range.first, 0};
    result->count = x.range.end() - result->first;
  }
  if (result && open && number(result->generation) == open->generation() && result->end() < open_end)
    return std::nullopt;
  return result;
}

std::optional<std::uint64_t> oldest_dead_letter_ns(const store::segmented_store& store, job_id job) {
  const auto oldest = store.dead_letters(job, 1);
  if (oldest.empty())
    return std::nullopt;
  const auto letter = store.read(job, oldest.front().range, true);
  return letter ? std::optional{letter->meta.dead_at_ns()} : std::nullopt;
}

expired_letters all_dead_letters(const store::segmented_store& store, job_id job) {
  expired_letters result;
  for (const auto& x : store.dead_letters(job, max_expired_letters)) {
    result.records.push_back(trim_record(job, x.range, proto::Trim::DEAD_EXPIRED));
    result.bytes += x.record_bytes;
  }
  return result;
}

expired_letters expired_dead_letters(const store::segmented_store& store, job_id job, std::uint64_t before_ns) {
  expired_letters result;
  for (const auto& x : store.dead_letters(job, max_expired_letters)) {
    const auto letter = store.read(job, x.range, true);
    if (!letter)
      continue; // the store sets aside what is damaged; anything else is looked at again
    if (letter->meta.dead_at_ns() >= before_ns)
      break;
    result.records.push_back(trim_record(job, x.range, proto::Trim::DEAD_EXPIRED));
    result.bytes += x.record_bytes;
  }
  return result;
}

} // namespace weir
