#include "store/checkpoint.hpp"

#include <algorithm>
#include <cstring>

#include "store/checkpoint_format.hpp"
#include "store/checksum.hpp"

namespace weir::store {
namespace {

constexpr std::uint64_t jobs_a_part = 2048;
constexpr std::uint64_t bodies_a_part = 4096;

void save_ranges(const std::vector<sequence_range>& ranges, byte_writer& to) {
  to.varint(ranges.size());
  for (const auto& x : ranges) {
    to.u64(number(x.generation));
    to.varint(x.first);
    to.varint(x.count);
  }
}

void save_dead(const std::vector<dead_letter>& letters, byte_writer& to) {
  to.varint(letters.size());
  for (const auto& x : letters) {
    to.u64(number(x.range.generation));
    to.varint(x.range.first);
    to.varint(x.range.count);
    to.varint(x.place.file);
    to.varint(x.place.offset);
    to.varint(x.place.meta_bytes);
    to.varint(x.place.payload_bytes);
  }
}

void save_job(const log_state& state, job_table::slot job, byte_writer& to) {
  const auto& entry = state.index.jobs().at(job);
  std::vector<checkpoint_image::mark> marks;
  std::vector<sequence_range> holes;
  state.index.visit(job, [&](const indexed_block& x) {
    if (x.set_aside) {
      holes.push_back(x.range);
    } else if (marks.empty() || marks.back().of != x.range.generation) {
      marks.push_back({x.range.generation, x.range.first + x.gone});
    }
    return true;
  });
  auto cut = state.cuts.find(job_id{entry.job});
  auto dead = state.dead.find(job_id{entry.job});
  std::uint8_t flags = 0;
  flags |= entry.closed() ? checkpoint_format::job_closed : 0;
  flags |= marks.empty() ? 0 : checkpoint_format::job_has_blocks;
  flags |= cut == state.cuts.end() ? 0 : checkpoint_format::job_has_cut;
  flags |= dead == state.dead.end() ? 0 : checkpoint_format::job_has_dead;
  to.varint(entry.job);
  to.u64(entry.generation);
#ifdef WEIR_PLANTED_BUG_NEXT_SEQUENCE_NOT_IN_CHECKPOINT
  to.varint(1);
#else
  to.varint(entry.next());
#endif
  to.u8(flags);
  state.accounts.save_job(job, to);
  if (!marks.empty()) {
    to.varint(marks.size());
    for (const auto& x : marks) {
      to.u64(number(x.of));
      to.varint(x.first);
    }
    save_ranges(holes, to);
  }
  if (cut != state.cuts.end())
    to.text(cut->second.SerializeAsString());
  if (dead != state.dead.end())
    save_dead(dead->second, to);
}

} // namespace

checkpoint_writer::checkpoint_writer(const segment_files& files, std::uint64_t identity, std::uint32_t number,
                                     position from, std::size_t step_bytes)
    : file_(files.where(), files.directory(), segment_files::checkpoint_name(number)),
      number_(number),
      covers_(from),
      step_bytes_(step_bytes) {
  buffer_.assign(checkpoint_format::magic, sizeof(checkpoint_format::magic));
  std::string rest;
  byte_writer to(rest);
  to.u32(format_version);
  to.u64(identity);
  to.u32(number);
  to.u64(from.packed());
  byte_writer(buffer_).u32(crc32c(rest));
  buffer_ += rest;
}

void checkpoint_writer::add_part(std::uint32_t kind, position at, const std::string& body) {
  std::string head;
  byte_writer to(head);
  to.u32(kind);
  to.u32(static_cast<std::uint32_t>(body.size()));
  to.u64(at.packed());
  byte_writer(buffer_).u32(crc32c(body, crc32c(head)));
  buffer_ += head;
  buffer_ += body;
  ++parts_;
}

void checkpoint_writer::add_jobs(const log_state& state, position here) {
  auto end = std::min<std::uint64_t>(state.index.jobs().size(), next_ + jobs_a_part);
  body_.clear();
  byte_writer to(body_);
  for (; next_ < end && body_.size() < step_bytes_; ++next_)
    save_job(state, static_cast<job_table::slot>(next_), to);
  add_part(checkpoint_format::part_jobs, here, body_);
  if (next_ == state.index.jobs().size()) {
    stage_ = stage::senders;
    next_ = 0;
  }
}

void checkpoint_writer::add_senders(const log_state& state, position here) {
  // All of them at one moment: they are few, and one record may touch several.
  body_.clear();
  byte_writer to(body_);
  for (std::size_t i = 0; i < state.accounts.senders(); ++i)
    state.accounts.save_sender(i, to);
  add_part(checkpoint_format::part_senders, here, body_);
  // What came later has a part of its own: a build that does not know it reads on.
  body_.clear();
  for (std::size_t i = 0; i < state.accounts.senders(); ++i)
    state.accounts.save_sender_more(i, to);
  add_part(checkpoint_format::part_senders_more, here, body_);
  stage_ = stage::done_bodies;
  next_ = state.window.first_done();
}

void checkpoint_writer::add_done(const log_state& state, position here) {
  next_ = std::max(next_, state.window.first_done());
  auto end = std::min(state.window.end_done(), next_ + bodies_a_part);
  body_.clear();
  byte_writer to(body_);
  for (; next_ < end && body_.size() < step_bytes_; ++next_)
    state.window.save_done(next_, to);
  add_part(checkpoint_format::part_done, here, body_);
  if (next_ < state.window.end_done())
    return;
  // The slices of bodies that are not done belong to the same moment as the last body that is.
  body_.clear();
  state.window.save_known(to);
  add_part(checkpoint_format::part_known, here, body_);
  stage_ = stage::damages;
}

void checkpoint_writer::add_damages(const log_state& state, position here) {
  body_.clear();
  byte_writer to(body_);
  to.varint(state.damaged);
  for (const auto& x : state.damages) {
    to.u64(x.at.packed());
    to.varint(weir::number(x.job));
    to.u64(weir::number(x.range.generation));
    to.varint(x.range.first);
    to.varint(x.range.count);
    to.text(x.reason);
  }
  add_part(checkpoint_format::part_damages, here, body_);
  stage_ = stage::end;
}

void checkpoint_writer::add_end(const log_state& state, const segment_files& files, position here,
                                std::uint32_t next_segment, std::uint64_t group_number) {
  body_.clear();
  byte_writer to(body_);
  to.u32(parts_);
  to.u32(here.segment);
  to.u32(next_segment);
  to.u64(group_number);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& x = files.at(i);
    if (!x.exists || x.segment == 0 || x.end == 0)
      continue;
    to.u32(x.segment);
    to.u32(static_cast<std::uint32_t>(i));
    to.u32(x.end);
    const auto& load = state.load[i];
    auto unneeded = x.sealed && load.blocks == 0 && load.changed <= covers_ && position{x.segment, x.end} <= covers_;
    to.u8(static_cast<std::uint8_t>((x.sealed ? 1 : 0) | (load.blocks > 0 ? 2 : 0) | (unneeded ? 4 : 0)));
  }
  add_part(checkpoint_format::part_end, here, body_);
  stage_ = stage::finished;
}

caf::expected<checkpoint_writer::progress> checkpoint_writer::step(const log_state& state, std::mutex& guard,
                                                                   const segment_files& files, position here,
                                                                   std::uint32_t next_segment,
                                                                   std::uint64_t group_number) {
  while (stage_ != stage::finished && buffer_.size() < step_bytes_) {
    std::lock_guard lock(guard);
    switch (stage_) {
      case stage::jobs:
        add_jobs(state, here);
        break;
      case stage::senders:
        add_senders(state, here);
        break;
      case stage::done_bodies:
        add_done(state, here);
        break;
      case stage::damages:
        add_damages(state, here);
        break;
      case stage::end:
        add_end(state, files, here, next_segment, group_number);
        break;
      case stage::finished:
        break;
    }
  }
  if (auto error = file_.write(buffer_))
    return make_error(errc::store_failed, error.message());
  buffer_.clear();
  if (stage_ != stage::finished)
    return progress::more;
  if (auto error = file_.finish())
    return make_error(errc::store_failed, error.message());
  return progress::done;
}

} // namespace weir::store
