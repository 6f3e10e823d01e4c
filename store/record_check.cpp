#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "store/log_state.hpp"

namespace weir::store {
namespace {

template <class Message>
bool parses(const std::string& meta) {
  Message message;
  return message.ParseFromString(meta);
}

bool meta_parses(const append_record& x) {
  switch (x.kind) {
    case record_kind::block:
    case record_kind::dead:
      return parses<proto::BlockMeta>(x.meta);
    case record_kind::cut:
      return parses<proto::Cut>(x.meta);
    case record_kind::commit:
      return parses<proto::Commit>(x.meta);
    case record_kind::trim:
      return parses<proto::Trim>(x.meta);
    case record_kind::ledger:
    case record_kind::batch_done:
      return parses<proto::BodyAccount>(x.meta);
    default:
      return true;
  }
}

std::string check_shape(const append_record& x) {
  auto payload = x.payload ? x.payload->size() : 0;
  auto events = x.kind == record_kind::block || x.kind == record_kind::dead;
  switch (x.kind) {
    case record_kind::block:
    case record_kind::dead:
    case record_kind::cut:
    case record_kind::commit:
    case record_kind::trim:
    case record_kind::ledger:
    case record_kind::closing:
    case record_kind::batch_done:
      break;
    default:
      return fmt::format("records of kind {} are not appended by callers", static_cast<int>(x.kind));
  }
  if (x.meta.size() > most_record_part_bytes || payload > most_record_part_bytes)
    return fmt::format("meta of {} or payload of {} bytes is beyond {}", x.meta.size(), payload,
                       most_record_part_bytes);
  if (events && (x.meta.size() > most_block_meta_bytes || x.meta.size() + payload > most_record_part_bytes - 64))
    return fmt::format("meta of {} and payload of {} bytes are too long for one block", x.meta.size(), payload);
  if (x.range.count > (events ? most_block_events : std::numeric_limits<std::uint32_t>::max()))
    return fmt::format("{} events are too many for one record", x.range.count);
  if (events && x.range.count == 0)
    return "a block holds at least one event";
  if (x.range.first > job_table::most_sequence - x.range.count)
    return "the sequence is beyond 2^47";
  auto of_job = x.kind != record_kind::ledger && x.kind != record_kind::batch_done;
  if (of_job
      && (number(x.job) == 0 || number(x.range.generation) == 0
          || (x.range.first == 0 && x.kind != record_kind::closing)))
    return "job, generation and first sequence must not be 0";
  if (!meta_parses(x))
    return "the meta is not the kind's message";
  return {};
}

} // namespace

log_state::group_effects::entry* log_state::group_effects::find(job_id job) {
  auto at = last.find(job);
  return at == last.end() ? nullptr : &entries[at->second];
}

log_state::group_effects::entry& log_state::group_effects::change(job_id job, generation of) {
  auto* known = find(job);
  if (known && known->of == of)
    return *known;
  last[job] = entries.size();
  entries.push_back({job, of, std::nullopt, std::nullopt, false});
  return entries.back();
}

// What is refused here would contradict the log: sequences given twice, or events skipped by a trim
// that does not begin where the last one ended, which would lose them without a trace.
std::string log_state::check(const append_record& x, group_effects& seen) const {
  if (auto why = check_shape(x); !why.empty())
    return why;
  auto slot = index.jobs().find(x.job);
  auto of = x.range.generation;
  auto* before = seen.find(x.job);
  if (x.kind == record_kind::block) {
    std::optional<sequence> next;
    bool ended = false;
    if (before && before->of == of && (before->next || before->closed)) {
      next = before->next;
      ended = before->closed;
    } else if (slot && index.jobs().at(*slot).generation == number(of)) {
      next = index.jobs().at(*slot).next();
      ended = index.jobs().at(*slot).closed();
    }
    if (ended)
      return fmt::format("generation {} of job {} has ended", number(of), number(x.job));
    if (next && x.range.first < *next)
      return fmt::format("job {} is at sequence {}; a block from {} on would give numbers twice", number(x.job), *next,
                         x.range.first);
    seen.change(x.job, of).next = x.range.end();
  } else if (x.kind == record_kind::closing) {
    seen.change(x.job, of).closed = true;
  } else if (x.kind == record_kind::commit || x.kind == record_kind::trim) {
    proto::Trim trim;
    if (x.kind == record_kind::trim && trim.ParseFromString(x.meta)
        && (trim.reason() == proto::Trim::DEAD_EXPIRED || trim.reason() == proto::Trim::SET_ASIDE))
      return {};
    auto live = slot ? index.first_live(*slot, of).value_or(x.range.first) : x.range.first;
    if (before && before->of == of && before->trimmed)
      live = std::max(live, *before->trimmed);
    if (live < x.range.first)
      return fmt::format("job {} still holds events from {} on; ending those from {} on would skip some", number(x.job),
                         live, x.range.first);
    seen.change(x.job, of).trimmed = x.range.end();
  }
  return {};
}

} // namespace weir::store
