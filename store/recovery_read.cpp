#include <fmt/format.h>

#include <algorithm>

#include "store/recovery.hpp"

namespace weir::store {
namespace {

/// Lets a record change only what the checkpoint does not hold yet.
class since_checkpoint final : public log_state::filter {
 public:
  explicit since_checkpoint(const checkpoint_image& image) : image_(image) {}
  bool job(log_state::slot job, position at) const override { return image_.job_at(job) <= at; }
  bool senders(position at) const override { return image_.senders_at <= at; }
  bool window(position at) const override { return image_.window_at <= at; }

 private:
  const checkpoint_image& image_;
};

} // namespace

// First the blocks the checkpoint speaks of, from the segments it knew; then everything behind it, in
// order. Only sidecars are read, but for segments that have none.
caf::error recovery::read_segments() {
  auto& state = result_.state;
  for (const auto& x : sources_)
    state.assign(x.file, x.segment);
  for (auto& x : sources_)
    if (x.needed && x.segment <= image_.active_segment)
      if (auto error = read_segment(x, pass::load))
        return error;
  merge_late_blocks();
  count_load();
  if (lost_records_ || damaged_blocks_)
    account_for_lost();
  since_checkpoint filter(image_);
  state.only = &filter;
  state.gaps_are_damage = lost_records_;
  for (auto& x : sources_)
    if (x.needed && x.segment >= image_.covers.segment)
      if (auto error = read_segment(x, pass::apply))
        return error;
  state.only = nullptr;
  state.gaps_are_damage = false;
  if (lost_records_)
    state.close_all();
  if (lost_records_ || result_.report.set_aside_records > 0)
    result_.checkpoint_now = true;
  return {};
}

caf::error recovery::read_segment(segment_source& x, pass what) {
  if (read_by_sidecar(x, what))
    return {};
  return read_by_scan(x, what);
}

bool recovery::read_by_sidecar(segment_source& x, pass what) {
  if (std::find(sidecars_.begin(), sidecars_.end(), x.segment) == sidecars_.end())
    return false;
  std::unique_ptr<disk_file> file;
  std::string bytes;
  auto name = result_.files.path(segment_files::sidecar_name(x.segment));
  if (world_.disk->open(name, disk::open_mode::read, file) || read_whole(*file, most_segment_bytes * 2, bytes))
    return false;
  auto reader = sidecar_reader::open(bytes, result_.identity, x.segment);
  if (!reader || reader->file() != x.file || (x.end && *x.end != reader->end()))
    return false;
  x.end = reader->end();
  result_.files.at(x.file).end = reader->end();
  result_.files.at(x.file).has_sidecar = true;
  while (auto record = reader->next())
    take({record->header, record->meta, {x.segment, record->offset}, x.file}, what, record->arrival_seconds);
  return true;
}

caf::error recovery::read_by_scan(segment_source& x, pass what) {
  std::shared_ptr<disk_file> file;
  std::string bytes;
  auto error = result_.files.open(x.file, file);
  if (!error)
    error = read_whole(*file, most_segment_bytes, bytes);
  if (error)
    return make_error(errc::store_failed, segment_files::segment_name(x.file), error.message());
  recovered::sidecar sidecar{x.file, x.segment, 0, {}};
  proto::BlockMeta meta;
  auto first_look = what == pass::apply || x.segment < image_.covers.segment;
  auto scanned = segment_scan(*codec_, x.segment, bytes)
                     .run(
                         x.end,
                         [&](const scanned_record& r) {
                           std::uint32_t arrival = 0;
                           if (r.header.kind == record_kind::block
                               && meta.ParseFromArray(r.meta.data(), static_cast<int>(r.meta.size())))
                             arrival = static_cast<std::uint32_t>(meta.received_first_ns() / 1'000'000'000);
                           sidecar.content.add(r.offset, r.header, r.meta, arrival);
                           take({r.header, r.meta, {x.segment, r.offset}, x.file}, what, arrival);
                         },
                         [&](const scanned_damage& d) { take_damage(d, x, what, first_look); });
  result_.files.at(x.file).end = scanned.end;
  result_.group_number = std::max(result_.group_number, scanned.last_group);
  if (first_look) {
    if (!x.end)
      result_.report.torn_bytes += scanned.torn_bytes;
    sidecar.end = scanned.end;
    result_.sidecars.push_back(std::move(sidecar));
  }
  x.end = scanned.end;
  return {};
}

void recovery::take(const record_view& x, pass what, std::uint32_t arrival_seconds) {
  auto& state = result_.state;
  if (what == pass::load) {
    if (x.header.kind == record_kind::block)
      load_block(x, arrival_seconds);
    return;
  }
  if (x.at < image_.covers)
    return;
  if (!state.apply(x)) {
    ++result_.report.set_aside_records;
    state.apply_damaged(x);
  }
}

void recovery::take_damage(const scanned_damage& x, const segment_source& from, pass what, bool first_look) {
  auto& state = result_.state;
  position at{from.segment, x.offset};
  if (first_look)
    ++result_.report.set_aside_records;
  if (!x.header) {
    if (x.holds_records)
      lost_records_ = true;
    state.gaps_are_damage = lost_records_ && what == pass::apply;
    if (first_look)
      state.remember({at, {}, {}, x.reason});
    return;
  }
  record_view view{*x.header, {}, at, from.file};
  if (what == pass::apply) {
    if (image_.covers <= at)
      state.apply_damaged(view);
  } else if (x.header->kind == record_kind::block) {
    damaged_blocks_ = true; // If the checkpoint counts it as buffered, its account tells so.
  }
}

bool recovery::is_behind_all(block_index::slot job, const sequence_range& range) const {
  auto tail = result_.state.index.behind_all(job);
  if (!tail)
    return true;
  if (tail->generation == range.generation)
    return range.first >= tail->first;
  auto order = [&](generation of) {
    const auto& marks = image_.marks[job]->marks;
    return std::find_if(marks.begin(), marks.end(), [&](const auto& x) { return x.of == of; }) - marks.begin();
  };
  return order(tail->generation) < order(range.generation);
}

void recovery::load_block(const record_view& x, std::uint32_t arrival_seconds) {
  auto& state = result_.state;
  auto slot = state.index.jobs().find(x.header.job);
  if (!slot || image_.job_at(*slot) <= x.at || *slot >= image_.marks.size() || !image_.marks[*slot])
    return;
  const auto& known = *image_.marks[*slot];
  const auto& range = x.header.range;
  auto mark =
      std::find_if(known.marks.begin(), known.marks.end(), [&](const auto& y) { return y.of == range.generation; });
  if (mark == known.marks.end() || range.end() <= mark->first
      || std::find(known.holes.begin(), known.holes.end(), range) != known.holes.end())
    return;
  indexed_block block;
  block.range = range;
  block.place = x.place();
  block.arrival_seconds = arrival_seconds;
  proto::BlockMeta meta;
  block.raw_bytes_at_most = meta.ParseFromArray(x.meta.data(), static_cast<int>(x.meta.size())) ? meta.raw_bytes() : 0;
  block.gone = mark->first > range.first ? static_cast<std::uint32_t>(mark->first - range.first) : 0;
  if (is_behind_all(*slot, range))
    state.index.append(*slot, block);
  else
    late_[*slot].push_back(block);
}

// Relocated blocks come later in the log than their neighbours. A block that is there twice is where
// it was put last.
void recovery::merge_late_blocks() {
  auto& index = result_.state.index;
  for (auto& [slot, late] : late_) {
    std::vector<indexed_block> all;
    index.visit(slot, [&](const indexed_block& x) {
      all.push_back(x);
      return true;
    });
    all.insert(all.end(), late.begin(), late.end());
    const auto& marks = image_.marks[slot]->marks;
    auto order = [&](const indexed_block& x) {
      auto mark = std::find_if(marks.begin(), marks.end(), [&](const auto& y) { return y.of == x.range.generation; });
      return std::make_pair(mark - marks.begin(), x.range.first);
    };
    std::stable_sort(all.begin(), all.end(),
                     [&](const indexed_block& a, const indexed_block& b) { return order(a) < order(b); });
    std::vector<indexed_block> once;
    for (const auto& x : all) {
      if (!once.empty() && once.back().range == x.range)
        once.back() = x;
      else
        once.push_back(x);
    }
    index.rebuild(slot, once);
  }
  late_.clear();
}

void recovery::count_load() {
  auto& state = result_.state;
  for (job_table::slot x = 0; x < state.index.jobs().size(); ++x)
    state.index.visit(x, [&](const indexed_block& block) {
      state.add_load(block.place);
      return true;
    });
  for (const auto& [job, letters] : state.dead)
    for (const auto& letter : letters)
      state.add_load(letter.place);
}

// Blocks that the checkpoint counted as buffered and that no segment has any more.
void recovery::account_for_lost() {
  auto& state = result_.state;
  for (job_table::slot x = 0; x < state.index.jobs().size(); ++x) {
    std::uint64_t there = 0;
    state.index.visit(x, [&](const indexed_block& block) {
      there += block.live_events();
      return true;
    });
    auto counted = state.accounts.buffered(x);
    if (counted > there)
      state.accounts.end(x, event_end::set_aside, counted - there);
  }
}

} // namespace weir::store
