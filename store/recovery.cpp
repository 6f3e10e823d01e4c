#include "store/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/log_store.hpp"

namespace weir::store {
namespace {

constexpr std::uint64_t most_checkpoint_bytes = 4ull << 30;

caf::error disk_error(const std::string& what, std::error_code why) {
  return make_error(errc::store_failed, what, why.message());
}

} // namespace

recovery::recovery(const settings& how, const environment& world, bool look_only)
    : settings_(how),
      world_(world),
      look_only_(look_only),
      result_(segment_files(world.disk, how.directory, how.segment_bytes), how.window_batches) {}

caf::expected<recovered> recovery::run() {
  auto began = world_.clock->steady();
  for (auto step : {&recovery::take_lock, &recovery::look_around, &recovery::pick_checkpoint, &recovery::identify_files,
                    &recovery::follow_chain, &recovery::read_segments})
    if (auto error = (this->*step)())
      return error;
  settle_files();
  result_.report.took = std::chrono::duration_cast<std::chrono::milliseconds>(world_.clock->steady() - began);
  result_.report.segments = sources_.size();
  result_.report.blocks = result_.state.index.blocks();
  return std::move(result_);
}

caf::error recovery::take_lock() {
  if (look_only_)
    return {};
  auto& disk = *world_.disk;
  if (auto error = disk.make_directories(settings_.directory))
    return disk_error(settings_.directory, error);
  if (auto error = disk.open(result_.files.path(segment_files::lock_name), disk::open_mode::create, result_.lock))
    return disk_error("lock", error);
  auto error = result_.lock->lock();
  if (error == std::errc::function_not_supported)
    return {}; // A simulated disk; real ones lock.
  if (error)
    return make_error(errc::refused,
                      fmt::format("{} is in use by another process: {}", settings_.directory, error.message()));
  return {};
}

caf::error recovery::look_around() {
  std::vector<std::string> names;
  if (auto error = world_.disk->list(settings_.directory, names))
    return disk_error(settings_.directory, error);
  const std::string temporary = segment_files::temporary_suffix;
  for (const auto& name : names) {
    if (name.size() > temporary.size()
        && name.compare(name.size() - temporary.size(), std::string::npos, temporary) == 0) {
      world_.disk->remove(result_.files.path(name)); // Half-written; if it stays, the next start tries again.
    } else if (auto file = segment_files::number_in(name, "segment-", ".log")) {
      if (*file < segment_files::most_files)
        result_.files.found(static_cast<std::uint16_t>(*file));
    } else if (auto segment = segment_files::number_in(name, "index-", ".idx")) {
      sidecars_.push_back(*segment);
    } else if (auto number = segment_files::number_in(name, "checkpoint-", ".ckp")) {
      checkpoints_.push_back(*number);
    }
  }
  std::sort(checkpoints_.begin(), checkpoints_.end());
  result_.old_checkpoints = checkpoints_;
  return {};
}

// The latest good one. The one before it is kept for the day when the latest is damaged: no segment
// that it needs is reused before it goes.
caf::error recovery::pick_checkpoint() {
  if (checkpoints_.empty())
    return begin_new();
  result_.checkpoint_number = checkpoints_.back();
  for (auto number = checkpoints_.rbegin(); number != checkpoints_.rend(); ++number) {
    std::unique_ptr<disk_file> file;
    std::string bytes;
    auto error =
        world_.disk->open(result_.files.path(segment_files::checkpoint_name(*number)), disk::open_mode::read, file);
    if (!error)
      error = read_whole(*file, most_checkpoint_bytes, bytes);
    if (error)
      return disk_error(segment_files::checkpoint_name(*number), error);
    log_state state(settings_.window_batches);
    if (auto image = load_checkpoint(bytes, state)) {
      image_ = std::move(*image);
      result_.state = std::move(state);
      result_.loaded_checkpoint = *number;
      result_.identity = image_.identity;
      result_.checkpoint_covers = image_.covers;
      result_.checkpoint_bytes = image_.bytes;
      result_.group_number = image_.group_number;
      codec_.emplace(result_.identity);
      result_.damages_before = result_.state.damages.size();
      if (*number != checkpoints_.back()) {
        result_.checkpoint_now = true;
        ++result_.report.set_aside_records;
        result_.state.remember(
            {{}, {}, {}, fmt::format("{} is damaged", segment_files::checkpoint_name(checkpoints_.back()))});
      }
      return {};
    }
  }
  return make_error(errc::refused, fmt::format("no checkpoint in {} is readable: of a format this build does not know, "
                                               "or damaged",
                                               settings_.directory));
}

caf::error recovery::begin_new() {
  if (look_only_)
    return make_error(errc::refused, fmt::format("there is no store in {}", settings_.directory));
  for (std::size_t i = 0; i < result_.files.size(); ++i) {
    if (!result_.files.at(i).exists)
      continue;
    std::shared_ptr<disk_file> file;
    std::string bytes(segment_header_bytes, '\0');
    std::size_t got = 0;
    auto number = static_cast<std::uint16_t>(i);
    if (auto error = result_.files.open(number, file))
      return disk_error(segment_files::segment_name(number), error);
    if (auto error = file->read(0, bytes.data(), bytes.size(), got))
      return disk_error(segment_files::segment_name(number), error);
    if (got == bytes.size() && decode_segment(bytes))
      return make_error(errc::refused, fmt::format("{} holds segments and no checkpoint", settings_.directory));
  }
  result_.is_new = true;
  result_.checkpoint_now = true;
  result_.identity = world_.random->next();
  codec_.emplace(result_.identity);
  return {};
}

caf::error recovery::identify_files() {
  for (std::size_t i = 0; i < result_.files.size(); ++i)
    if (result_.files.at(i).exists)
      if (auto error = identify(static_cast<std::uint16_t>(i)))
        return error;
  take_table();
  return {};
}

caf::error recovery::identify(std::uint16_t number) {
  std::shared_ptr<disk_file> file;
  std::string bytes(segment_header_bytes + group_header_bytes, '\0');
  std::size_t got = 0;
  if (auto error = result_.files.open(number, file))
    return disk_error(segment_files::segment_name(number), error);
  if (auto error = file->read(0, bytes.data(), bytes.size(), got))
    return disk_error(segment_files::segment_name(number), error);
  bytes.resize(got);
  std::uint32_t segment = 0;
  if (auto header = decode_segment(bytes)) {
    if (!is_readable_format(header->version))
      return make_error(errc::refused,
                        fmt::format("{} has format {}; this build reads {}", segment_files::segment_name(number),
                                    header->version, format_version));
    if (header->store == result_.identity) {
      headers_.emplace(number, *header);
      segment = header->segment;
    }
  } else if (got == segment_header_bytes + group_header_bytes) {
    // The header is bad, but the first group names its segment too.
    auto claimed = load_le<std::uint32_t>(bytes.data() + segment_header_bytes + 8);
    if (codec_->decode_group(std::string_view(bytes).substr(segment_header_bytes), claimed))
      by_group_[number] = segment = claimed;
  }
  highest_ = std::max(highest_, segment);
  if (segment > image_.active_segment)
    newer_.emplace(segment, number);
  return {};
}

// The segments the checkpoint knew. One whose file holds a later segment now was recycled, which
// needs no second look: it held nothing that this checkpoint needs.
void recovery::take_table() {
  for (const auto& x : image_.segments) {
    auto exists = x.file < result_.files.size() && result_.files.at(x.file).exists;
    auto header = headers_.find(x.file);
    auto group = by_group_.find(x.file);
    auto holds = header != headers_.end() ? header->second.segment : group != by_group_.end() ? group->second : 0;
    if (!exists || (holds != 0 && holds != x.segment)) {
      if (x.live)
        lose_segment(x.segment);
      continue;
    }
    // Recycled when power failed, it may hold no header, or the old one and bytes of the next segment.
    if (holds == 0 && !x.needed)
      continue;
    segment_source source;
    source.file = x.file;
    source.segment = x.segment;
    source.header_damaged = header == headers_.end();
    source.needed = x.needed;
    if (x.sealed)
      source.end = x.end;
    if (!x.needed) {
      result_.files.at(x.file).end = x.end;
      result_.files.at(x.file).has_sidecar = true; // It may have; recycling removes it.
      result_.unread.push_back(x.segment);
    }
    sources_.push_back(source);
  }
  std::sort(sources_.begin(), sources_.end(),
            [](const segment_source& a, const segment_source& b) { return a.segment < b.segment; });
}

// Segments behind the checkpoint hang together by their fences: each names the one before it and
// where that ends. A file that no fence names held nothing durable.
caf::error recovery::follow_chain() {
  std::vector<segment_source> chain;
  bool known = false; // Which one comes next, from the fence of the one behind it.
  std::uint32_t wanted = 0, end = 0;
  for (auto x = newer_.rbegin(); x != newer_.rend(); ++x) {
    if (known && x->first > wanted)
      continue;
    if (known && x->first < wanted) {
      lose_segment(wanted);
      known = false;
    }
    if (!known) {
      bool durable = false;
      if (auto error = has_durable_group(x->second, x->first, durable))
        return error;
      if (!durable)
        continue;
    }
    segment_source source;
    source.file = x->second;
    source.segment = x->first;
    if (known)
      source.end = end;
    source.header_damaged = headers_.count(x->second) == 0;
    chain.push_back(source);
    if (auto error = fence_of(x->second, x->first, wanted, end))
      return error;
    known = true;
  }
  if (known && wanted > image_.active_segment)
    lose_segment(wanted);
  for (auto& x : sources_)
    if (known && x.segment == wanted && !x.end)
      x.end = end;
  sources_.insert(sources_.end(), chain.rbegin(), chain.rend());
  for (const auto& x : sources_)
    if (x.header_damaged) {
      ++result_.report.set_aside_records;
      result_.state.remember({{x.segment, 0}, {}, {}, "segment header fails its checksum"});
    }
  return {};
}

caf::error recovery::has_durable_group(std::uint16_t number, std::uint32_t segment, bool& yes) {
  std::shared_ptr<disk_file> file;
  std::string bytes;
  auto error = result_.files.open(number, file);
  if (!error)
    error = read_whole(*file, most_segment_bytes, bytes);
  if (error)
    return disk_error(segment_files::segment_name(number), error);
  auto found = segment_scan(*codec_, segment, bytes)
                   .run(
                       std::nullopt, [](const auto&) {}, [](const auto&) {});
  yes = found.groups > 0;
  return {};
}

caf::error recovery::fence_of(std::uint16_t number, std::uint32_t segment, std::uint32_t& previous,
                              std::uint32_t& end) {
  auto header = headers_.find(number);
  if (header != headers_.end()) {
    previous = header->second.previous;
    end = header->second.previous_end;
    return {};
  }
  std::shared_ptr<disk_file> file;
  std::string bytes;
  auto error = result_.files.open(number, file);
  if (!error)
    error = read_whole(*file, most_segment_bytes, bytes);
  if (error)
    return disk_error(segment_files::segment_name(number), error);
  segment_scan(*codec_, segment, bytes)
      .run(
          std::nullopt,
          [&](const scanned_record& x) {
            if (x.header.kind == record_kind::fence) {
              previous = static_cast<std::uint32_t>(weir::number(x.header.job));
              end = static_cast<std::uint32_t>(x.header.range.first);
            }
          },
          [](const auto&) {});
  return {};
}

void recovery::lose_segment(std::uint32_t segment) {
  lost_records_ = true;
  ++result_.report.set_aside_records;
  result_.state.remember({{segment, 0}, {}, {}, "the segment is missing"});
}

void recovery::settle_files() {
  auto& files = result_.files;
  for (const auto& x : sources_) {
    auto& file = files.at(x.file);
    file.segment = x.segment;
    file.sealed = true;
    result_.state.load[x.file].segment = x.segment;
    if (result_.last_segment < x.segment) {
      result_.last_segment = x.segment;
      result_.last_file = x.file;
      result_.last_end = file.end;
    }
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto& file = files.at(i);
    if (!file.exists || file.segment != 0)
      continue;
    // Free, and perhaps not preallocated in whole: then it is made anew when needed.
    std::shared_ptr<disk_file> handle;
    std::uint64_t size = 0;
    if (files.open(static_cast<std::uint16_t>(i), handle) || handle->size(size) || size < settings_.segment_bytes)
      file.exists = false;
  }
  for (auto segment : sidecars_)
    if (!files.find(segment))
      world_.disk->remove(files.path(segment_files::sidecar_name(segment))); // Else the next start does.
  // Ids that a torn first group may have used are left out, so that its bytes never look like new ones.
  highest_ = std::max({highest_, image_.active_segment, image_.next_segment - 1});
  result_.next_segment = highest_ + 1 + static_cast<std::uint32_t>(world_.random->below(64));
}

caf::expected<segmented_store::opened> segmented_store::open(settings how, const environment& world) {
  if (how.segment_bytes > most_segment_bytes || how.segment_bytes < 4096 || how.segment_bytes % 8 != 0)
    return make_error(errc::refused,
                      fmt::format("segments of {} bytes: from 4 KiB to 128 MiB, in steps of 8", how.segment_bytes));
  auto found = recovery(how, world).run();
  if (!found)
    return found.error();
  opened result;
  auto now = found->checkpoint_now;
  auto store = std::make_unique<log_store>(std::move(how), world, std::move(*found));
  result.report = store->report();
  if (auto error = store->start(now))
    return error;
  result.store = std::move(store);
  return result;
}

} // namespace weir::store
