#include "store/relocation.hpp"

#include <algorithm>
#include <deque>

#include "store/checkpoint.hpp"
#include "store/log_store.hpp"
#include "store/segment_scan.hpp"

namespace weir::store {
namespace {

constexpr std::uint64_t most_budget = 16ull << 20;
constexpr std::uint32_t young = 4; ///< Segments written since; a younger one may still empty by itself.

} // namespace

bool relocation::allowed() {
  // A fifth of all bytes is a quarter of the others.
  auto written = store_.written_foreground_ - seen_foreground_;
  seen_foreground_ = store_.written_foreground_;
  budget_ = std::min(most_budget, budget_ + written / 4);
  return written == 0 || budget_ >= store_.settings_.group_bytes || store_.is_short();
}

std::optional<std::uint16_t> relocation::pick() const {
  auto in_need = store_.is_short();
  std::optional<std::uint16_t> best;
  std::uint64_t best_bytes = ~0ull;
  for (std::size_t i = 0; i < store_.files_.size(); ++i) {
    const auto& x = store_.files_.at(i);
    if (!x.exists || x.segment == 0 || !x.sealed)
      continue;
    const auto& load = store_.state_.load[i];
    auto size = store_.settings_.segment_bytes;
    auto sparse = load.bytes < size / 4 && store_.next_segment_ - x.segment > young;
    // In need a gain of a sixteenth is worth it; less would only move the same bytes round and round.
    auto worth = in_need && load.bytes + size / 16 < size;
    if (load.blocks > 0 && (sparse || worth) && load.bytes < best_bytes) {
      best = static_cast<std::uint16_t>(i);
      best_bytes = load.bytes;
    }
  }
  return best;
}

bool relocation::begin(std::uint16_t file) {
  file_ = file;
  segment_ = store_.files_.at(file).segment;
  candidates_.clear();
  next_ = 0;
  if (list_by_sidecar() || list_by_scan())
    return true;
  file_.reset();
  return false;
}

bool relocation::list_by_sidecar() {
  if (!store_.files_.at(*file_).has_sidecar)
    return false;
  std::unique_ptr<disk_file> file;
  std::string bytes;
  auto name = store_.files_.path(segment_files::sidecar_name(segment_));
  if (store_.files_.where().open(name, disk::open_mode::read, file) || read_whole(*file, most_segment_bytes * 2, bytes))
    return false;
  auto reader = sidecar_reader::open(bytes, store_.identity_, segment_);
  if (!reader)
    return false;
  while (auto x = reader->next())
    if (x->header.kind == record_kind::block || x->header.kind == record_kind::dead)
      candidates_.push_back({x->header.kind, x->header.job, x->header.range, x->offset});
  return true;
}

bool relocation::list_by_scan() {
  std::shared_ptr<disk_file> file;
  {
    std::lock_guard guard(store_.mutex_);
    if (store_.files_.open(*file_, file))
      return false;
  }
  std::string bytes;
  if (read_whole(*file, most_segment_bytes, bytes))
    return false;
  auto note = [&](const record_header& header, std::uint32_t offset) {
    if (header.kind == record_kind::block || header.kind == record_kind::dead)
      candidates_.push_back({header.kind, header.job, header.range, offset});
  };
  segment_scan(store_.codec_, segment_, bytes)
      .run(
          store_.files_.at(*file_).end, [&](const scanned_record& x) { note(x.header, x.offset); },
          [&](const scanned_damage& x) {
            if (x.header)
              note(*x.header, x.offset); // Reading it sets it aside.
          });
  return true;
}

std::optional<block_place> relocation::live_place(const candidate& x) const {
  std::lock_guard guard(store_.mutex_);
  std::optional<block_place> place;
  if (x.kind == record_kind::dead) {
    if (auto* letter = store_.state_.find_dead(x.job, x.range))
      place = letter->place;
  } else if (auto slot = store_.state_.index.jobs().find(x.job)) {
    auto block = store_.state_.index.find(*slot, x.range);
    if (block && !block->set_aside)
      place = block->place;
  }
  if (place && (place->file != *file_ || place->offset != x.offset))
    return std::nullopt;
  return place;
}

bool relocation::read(const candidate& x, const block_place& place, std::string& into) {
  std::shared_ptr<disk_file> file;
  {
    std::lock_guard guard(store_.mutex_);
    if (store_.files_.open(*file_, file))
      return false;
  }
  into.resize(place.bytes());
  std::size_t got = 0;
  if (file->read(place.offset, into.data(), into.size(), got))
    return false;
  auto header = got == into.size() ? store_.codec_.decode_record(into, segment_) : std::nullopt;
  auto view = std::string_view(into);
  if (!header || record_bytes(*header) != into.size()
      || store_.codec_.body_checksum(view.substr(record_header_bytes, header->meta_bytes),
                                     view.substr(payload_offset(header->meta_bytes), header->payload_bytes))
             != header->body_checksum) {
    store_.found_bad(x.job, x.range, x.kind == record_kind::dead, place, "record fails its checksum");
    into.clear();
  }
  return true;
}

bool relocation::step() {
  if (!allowed())
    return false;
  if (file_ && store_.files_.at(*file_).segment != segment_)
    file_.reset();
  if (!file_) {
    auto victim = pick();
    if (!victim || !begin(*victim))
      return false;
  }
  std::deque<std::string> copies;
  std::vector<log_store::outgoing> records;
  std::uint64_t bytes = 0;
  auto most = std::min(store_.settings_.group_bytes, store_.settings_.segment_bytes / 4);
  for (; next_ < candidates_.size() && (bytes < most || records.empty()); ++next_) {
    const auto& x = candidates_[next_];
    auto place = live_place(x);
    if (!place)
      continue;
    copies.emplace_back();
    if (!read(x, *place, copies.back()))
      return false;
    if (copies.back().empty())
      continue;
    auto header = *store_.codec_.decode_record(copies.back(), segment_);
    auto view = std::string_view(copies.back());
    header.relocated = true;
    records.push_back({header, view.substr(record_header_bytes, header.meta_bytes),
                       view.substr(payload_offset(header.meta_bytes), header.payload_bytes)});
    bytes += copies.back().size();
  }
  auto done = next_ == candidates_.size();
  if (!records.empty() && store_.write_group(records, log_store::urgency::upkeep)) {
    file_.reset(); // Begins again when there is room.
    return false;
  }
  {
    std::lock_guard guard(store_.mutex_);
    store_.totals_.relocated_bytes += bytes;
  }
  budget_ -= std::min(budget_, bytes);
  if (done)
    file_.reset();
  return true;
}

} // namespace weir::store
