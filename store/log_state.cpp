#include "store/log_state.hpp"

#include <algorithm>
#include <limits>

namespace weir::store {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

std::uint32_t seconds_of(std::uint64_t ns) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ns / second_ns, std::numeric_limits<std::uint32_t>::max()));
}

bool parse(google::protobuf::MessageLite& into, std::string_view from) {
  return into.ParseFromArray(from.data(), static_cast<int>(from.size()));
}

} // namespace

void log_state::assign(std::uint16_t file, std::uint32_t segment) {
  if (file >= load.size())
    load.resize(file + std::size_t{1});
  load[file] = {};
  load[file].segment = segment;
}

void log_state::add_load(const block_place& x) {
  if (x.file >= load.size())
    load.resize(x.file + std::size_t{1});
  ++load[x.file].blocks;
  load[x.file].bytes += x.bytes();
}

void log_state::remove_load(const block_place& x, position at) {
  auto& of = load[x.file];
  --of.blocks;
  of.bytes -= x.bytes();
  if (of.changed < at)
    of.changed = at;
}

bool log_state::apply(const record_view& x) {
  arrival_seconds_ = 0;
  switch (x.header.kind) {
    case record_kind::block: {
      if (!parse(block_meta_, x.meta))
        return false;
      arrival_seconds_ = seconds_of(block_meta_.received_first_ns());
      apply_block(x, block_meta_);
      return true;
    }
    case record_kind::dead:
      apply_dead(x);
      return true;
    case record_kind::cut: {
      proto::Cut cut;
      if (!parse(cut, x.meta))
        return false;
      auto job = index.jobs().find_or_add(x.header.job);
      if (!concerns(job, x.at))
        return true;
      auto of = generation{cut.generation()};
      cuts[x.header.job] = std::move(cut);
      close_cut(job, x.header.job, of);
      return true;
    }
    case record_kind::commit: {
      auto job = index.jobs().find_or_add(x.header.job);
      if (!concerns(job, x.at))
        return true;
      auto before = accounts.buffered(job);
      end_events(job, x.header.job, x.header.range, event_end::delivered, x.at);
      if (accounts.buffered(job) != before)
        accounts.deliver_object(job);
      return true;
    }
    case record_kind::trim: {
      proto::Trim trim;
      if (!parse(trim, x.meta))
        return false;
      apply_trim(x, trim.reason());
      return true;
    }
    case record_kind::ledger:
    case record_kind::batch_done: {
      proto::BodyAccount account;
      if (!parse(account, x.meta))
        return false;
      apply_account(account, x.at);
      return true;
    }
    case record_kind::closing: {
      auto slot = index.jobs().find_or_add(x.header.job);
      auto& job = index.jobs().at(slot);
      if (concerns(slot, x.at) && job.generation == number(x.header.range.generation))
        job.set_next(job.next(), true);
      return true;
    }
    default:
      return true; // Fences speak to recovery; reserved kinds are not written by this build.
  }
}

void log_state::apply_block(const record_view& x, const proto::BlockMeta& meta) {
  const auto& range = x.header.range;
  auto slot = index.jobs().find_or_add(x.header.job);
  if (!x.header.relocated && (!only || only->window(x.at)))
    for (const auto& batch : meta.batches())
      window.learn({batch.high(), batch.low()}, x.header.job, seconds_of(meta.received_last_ns()));
  if (!concerns(slot, x.at))
    return;
  if (x.header.relocated) {
    if (auto was = index.move(slot, range, x.place())) {
      remove_load(*was, x.at);
      add_load(x.place());
    }
    return;
  }
  auto& job = index.jobs().at(slot);
  if (job.generation == number(range.generation) && range.first < job.next())
    return; // Twice in the log: `check` lets none through, but recovery trusts nobody.
  if (job.generation == 0)
    ++buffers;
  if (gaps_are_damage && job.generation == number(range.generation) && range.first > job.next()) {
    accounts.accept_damaged(slot, range.first - job.next());
    remember({x.at, x.header.job, {range.generation, job.next(), range.first - job.next()}, "gap behind damage"});
  }
  indexed_block block;
  block.range = range;
  block.place = x.place();
  block.arrival_seconds = seconds_of(meta.received_first_ns());
  block.raw_bytes_at_most = meta.raw_bytes();
  index.append(slot, block);
  job.generation = number(range.generation);
  job.set_next(range.end(), false);
  accounts.accept(slot, range.count);
  add_load(block.place);
}

void log_state::apply_damaged(const record_view& x) {
  const auto& range = x.header.range;
  auto slot = index.jobs().find_or_add(x.header.job);
  if (!concerns(slot, x.at))
    return;
  auto& job = index.jobs().at(slot);
  remember({x.at, x.header.job, range, "record body fails its checksum"});
  switch (x.header.kind) {
    case record_kind::block: {
      // A damaged copy is no loss: the block it was made from is still where the index has it.
      if (x.header.relocated || (job.generation == number(range.generation) && range.first < job.next()))
        return;
      if (job.generation == 0)
        ++buffers;
      job.generation = number(range.generation);
      job.set_next(range.end(), false);
      accounts.accept_damaged(slot, range.count);
      return;
    }
    case record_kind::commit:
      apply(x);
      return; // Its header says it all.
    case record_kind::trim: {
      // The reason is lost. One that would skip events was about a single block and is left out.
      auto live = index.first_live(slot, range.generation);
      if (live && *live >= range.first)
        end_events(slot, x.header.job, range, event_end::set_aside, x.at);
      return;
    }
    case record_kind::closing:
      apply(x);
      return;
    default:
      return;
  }
}

void log_state::close_all() {
  auto& jobs = index.jobs();
  for (slot x = 0; x < jobs.size(); ++x)
    jobs.at(x).set_next(jobs.at(x).next(), true);
}

void log_state::apply_dead(const record_view& x) {
  if (!concerns(index.jobs().find_or_add(x.header.job), x.at))
    return;
  auto& letters = dead[x.header.job];
  if (x.header.relocated) {
    for (auto& letter : letters)
      if (letter.range == x.header.range) {
        remove_load(letter.place, x.at);
        letter.place = x.place();
        add_load(letter.place);
      }
    return;
  }
  if (find_dead(x.header.job, x.header.range))
    return;
  letters.push_back({x.header.range, x.place()});
  add_load(x.place());
}

void log_state::apply_account(const proto::BodyAccount& x, position at) {
  for (const auto& line : x.deltas()) {
    if (line.job() == 0) {
      if (!only || only->senders(at))
        accounts.apply(line, std::nullopt);
      continue;
    }
    auto job = index.jobs().find_or_add(job_id{line.job()});
    if (concerns(job, at))
      accounts.apply(line, job);
  }
  if (!only || only->window(at))
    window.finish({x.batch().high(), x.batch().low()}, x.body_digest(), x.status(), x.answer(), seconds_of(x.at_ns()));
}

void log_state::apply_trim(const record_view& x, proto::Trim::Reason reason) {
  auto job = index.jobs().find_or_add(x.header.job);
  if (!concerns(job, x.at))
    return;
  switch (reason) {
    case proto::Trim::DEAD_EXPIRED:
      expire_dead(x);
      return;
    case proto::Trim::SET_ASIDE:
      if (auto block = set_aside(x.header.job, x.header.range, "set aside"))
        remove_load(block->place, x.at);
      close_cut(job, x.header.job, x.header.range.generation);
      return;
    case proto::Trim::DELETED:
      end_events(job, x.header.job, x.header.range, event_end::deleted, x.at);
      return;
    case proto::Trim::DEAD_LETTERED:
      end_events(job, x.header.job, x.header.range, event_end::dead_lettered, x.at);
      return;
    case proto::Trim::LOST:
      end_events(job, x.header.job, x.header.range, event_end::lost, x.at);
      return;
    default:
      end_events(job, x.header.job, x.header.range, event_end::expired, x.at);
      return;
  }
}

void log_state::end_events(slot job, job_id id, const sequence_range& range, event_end how, position at) {
  removed_.clear();
  accounts.end(job, how, index.trim(job, range.generation, range.end(), removed_));
  for (const auto& block : removed_)
    remove_load(block.place, at);
  close_cut(job, id, range.generation);
}

void log_state::expire_dead(const record_view& x) {
  auto at = dead.find(x.header.job);
  if (at == dead.end())
    return;
  const auto& range = x.header.range;
  auto& letters = at->second;
  letters.erase(std::remove_if(letters.begin(), letters.end(),
                               [&](const dead_letter& letter) {
                                 auto covered = letter.range.generation == range.generation
                                                && letter.range.first >= range.first
                                                && letter.range.end() <= range.end();
                                 if (covered)
                                   remove_load(letter.place, x.at);
                                 return covered;
                               }),
                letters.end());
  if (letters.empty())
    dead.erase(at);
}

// The open cut ends with its last event, and a part of a replaced cut with its own: whether they were
// delivered, dead-lettered or expired.
void log_state::close_cut(slot job, job_id id, generation of) {
  auto at = cuts.find(id);
  if (at == cuts.end() || at->second.generation() != number(of))
    return;
  auto& cut = at->second;
  const auto& entry = index.jobs().at(job);
  auto live = index.first_live(job, of);
  auto mark = live ? *live : entry.generation == number(of) ? entry.next() : std::numeric_limits<sequence>::max();
  if (cut.first() + cut.count() <= mark) {
    cuts.erase(at);
    return;
  }
  auto& parts = *cut.mutable_replaced_by();
  auto replaced = !parts.empty();
  while (!parts.empty() && parts.Get(0).first() + parts.Get(0).count() <= mark)
    parts.DeleteSubrange(0, 1);
  if (replaced && parts.empty())
    cuts.erase(at);
}

std::optional<indexed_block> log_state::set_aside(job_id job, const sequence_range& range, std::string reason) {
  auto slot = index.jobs().find(job);
  if (!slot)
    return std::nullopt;
  auto block = index.set_aside(*slot, range);
  if (!block)
    return std::nullopt;
  accounts.end(*slot, event_end::set_aside, block->live_events());
  remember({{load[block->place.file].segment, block->place.offset}, job, range, std::move(reason)});
  return block;
}

void log_state::remember(damage x) {
  ++damaged;
  damages.push_back(std::move(x));
  if (damages.size() > most_damages)
    damages.pop_front();
}

const dead_letter* log_state::find_dead(job_id job, const sequence_range& range) const {
  auto at = dead.find(job);
  if (at == dead.end())
    return nullptr;
  for (const auto& letter : at->second)
    if (letter.range == range)
      return &letter;
  return nullptr;
}

std::optional<job_glance> log_state::glance_at(slot job) const {
  job_glance x;
  x.job = job_id{index.jobs().at(job).job};
  x.buffered_events = accounts.buffered(job);
  x.has_cut = cuts.find(x.job) != cuts.end();
  x.has_dead_letters = dead.find(x.job) != dead.end();
  if (x.buffered_events == 0 && !x.has_cut && !x.has_dead_letters)
    return std::nullopt;
  index.visit(job, [&](const indexed_block& block) {
    if (!block.set_aside)
      x.oldest_ns = block.arrival_seconds * second_ns;
    return block.set_aside;
  });
  return x;
}

job_state log_state::state_of(slot job) const {
  const auto& entry = index.jobs().at(job);
  job_state x;
  x.job = job_id{entry.job};
  x.current = generation{entry.generation};
  x.next = entry.next();
  x.closed = entry.closed();
  x.front = x.current;
  x.mark = x.next;
  bool front = true;
  index.visit(job, [&](const indexed_block& block) {
    if (block.set_aside)
      return true;
    if (front) {
      x.front = block.range.generation;
      x.mark = block.range.first + block.gone;
      x.oldest_ns = block.arrival_seconds * second_ns;
    }
    front = false;
    x.buffered_events += block.live_events();
    x.buffered_bytes += block.place.bytes();
    return true;
  });
  auto letters = dead.find(x.job);
  if (letters != dead.end())
    for (const auto& letter : letters->second)
      x.buffered_bytes += letter.place.bytes();
  auto cut = cuts.find(x.job);
  if (cut != cuts.end())
    x.open_cut = cut->second;
  return x;
}

} // namespace weir::store
