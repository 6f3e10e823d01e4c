#include "store/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/recovery.hpp"
#include "store/segment_scan.hpp"

namespace weir::store {
namespace {

std::error_code refuse() {
  return std::make_error_code(std::errc::read_only_file_system);
}

/// A disk that is looked at and not changed.
class read_only_disk final : public disk {
 public:
  explicit read_only_disk(disk& of) : of_(of) {}

  std::error_code open(const std::string& path, open_mode mode, std::unique_ptr<disk_file>& file) override {
    if (mode == open_mode::create || mode == open_mode::create_exclusive)
      return refuse();
    return of_.open(path, open_mode::read, file);
  }
  std::error_code rename(const std::string&, const std::string&) override { return refuse(); }
  std::error_code remove(const std::string&) override { return refuse(); }
  std::error_code make_directories(const std::string&) override { return refuse(); }
  std::error_code list(const std::string& directory, std::vector<std::string>& names) override {
    return of_.list(directory, names);
  }
  std::error_code sync_directory(const std::string&) override { return refuse(); }
  std::error_code free_space(const std::string& directory, space& result) override {
    return of_.free_space(directory, result);
  }

 private:
  disk& of_;
};

/// Recovery asks for the time to say how long it took, and for a random number to leave a gap in the
/// segment ids to come. Neither matters to somebody who only looks.
class no_clock final : public clock_source {
 public:
  std::chrono::steady_clock::time_point steady() const override { return {}; }
  std::chrono::system_clock::time_point wall() const override { return {}; }
};
class no_random final : public random_source {
 public:
  std::uint64_t next() override { return 0; }
};

using severity = store_problem::severity;

class inspector {
 public:
  inspector(recovered& from, const inspect_options& how) : from_(from), how_(how) {}

  caf::expected<inspection> run() {
    result_.identity = from_.identity;
    result_.format = format_version;
    result_.checkpoint = from_.loaded_checkpoint;
    result_.checkpoint_bytes = from_.checkpoint_bytes;
    count_state();
    list_segments();
    note_recovery();
    if (how_.verify)
      for (auto& x : result_.segments)
        if (x.in_use && !stopped_)
          if (auto error = verify(x))
            return error;
    return std::move(result_);
  }

 private:
  void count_state() {
    const auto& state = from_.state;
    result_.jobs = state.buffers;
    result_.blocks = state.index.blocks();
    for (job_table::slot x = 0; x < state.index.jobs().size(); ++x)
      result_.buffered_events += state.accounts.buffered(x);
    for (const auto& [job, letters] : state.dead)
      result_.dead_letters += letters.size();
  }

  void list_segments() {
    for (std::size_t i = 0; i < from_.files.size(); ++i) {
      const auto& file = from_.files.at(i);
      if (!file.exists)
        continue;
      inspected_segment x;
      x.file = segment_files::segment_name(static_cast<std::uint16_t>(i));
      x.segment = file.segment;
      x.in_use =
          file.segment != 0 && std::find(from_.unread.begin(), from_.unread.end(), file.segment) == from_.unread.end();
      x.end = file.end;
      x.has_sidecar = file.has_sidecar;
      result_.segments.push_back(std::move(x));
    }
    auto order = [](const inspected_segment& x) { return x.in_use ? x.segment : ~0u; };
    std::stable_sort(result_.segments.begin(), result_.segments.end(),
                     [&](const auto& a, const auto& b) { return order(a) < order(b); });
  }

  std::string file_of(std::uint32_t segment) const {
    auto file = segment == 0 ? std::nullopt : from_.files.find(segment);
    return file ? segment_files::segment_name(*file) : std::string();
  }

  void note_recovery() {
    const auto& damages = from_.state.damages;
    for (std::size_t i = 0; i < damages.size(); ++i) {
      const auto& x = damages[i];
      auto before = i < from_.damages_before;
      // What a scan finds is reported by the scan that verifies, once.
      if (!before && how_.verify && x.at.segment != 0 && x.at.offset != 0)
        continue;
      auto file = file_of(x.at.segment);
      auto what = before ? x.reason + "; set aside and accounted for earlier" : x.reason;
      result_.problems.push_back(
          {before ? severity::note : severity::damage, file, x.at.offset, std::move(what), x.job, x.range});
    }
    for (const auto& x : result_.segments)
      if (x.in_use && !x.has_sidecar && x.segment != from_.last_segment)
        result_.problems.push_back({severity::note, x.file, 0, "no good sidecar; a start scans the segment", {}, {}});
    if (from_.report.torn_bytes > 0)
      result_.problems.push_back({severity::note,
                                  file_of(from_.last_segment),
                                  from_.last_end,
                                  fmt::format("a torn group of {} bytes, never acknowledged", from_.report.torn_bytes),
                                  {},
                                  {}});
  }

  caf::error verify(inspected_segment& x) {
    auto number = from_.files.find(x.segment);
    std::shared_ptr<disk_file> file;
    std::string bytes;
    auto error = from_.files.open(*number, file);
    if (!error)
      error = read_whole(*file, most_segment_bytes, bytes);
    if (error)
      return make_error(errc::store_failed, x.file, error.message());
    record_codec codec(from_.identity);
    auto found = segment_scan(codec, x.segment, bytes)
                     .run(
                         x.end, [&](const scanned_record& r) { count(x, r); },
                         [&](const scanned_damage& d) {
                           store_problem problem{severity::damage, x.file, d.offset, d.reason, {}, {}};
                           if (d.header) {
                             problem.job = d.header->job;
                             problem.range = d.header->range;
                           }
                           result_.problems.push_back(std::move(problem));
                         });
    x.groups = found.groups;
    return {};
  }

  void count(inspected_segment& x, const scanned_record& r) {
    ++x.records;
    ++x.by_kind[r.header.kind];
    x.payload_bytes += r.payload.size();
    if (how_.on_record && !stopped_)
      stopped_ = !how_.on_record({x.segment, r.offset, record_bytes(r.header), r.header.kind, r.header.relocated,
                                  r.header.job, r.header.range, std::string(r.meta), r.header.payload_bytes});
  }

  recovered& from_;
  const inspect_options& how_;
  inspection result_;
  bool stopped_ = false;
};

} // namespace

caf::expected<inspection> inspect_store(const std::string& directory, disk& where, const inspect_options& how) {
  settings look;
  look.directory = directory;
  look.segment_bytes = 0;
  environment world;
  world.disk = std::make_shared<read_only_disk>(where);
  world.clock = std::make_shared<no_clock>();
  world.random = std::make_shared<no_random>();
  auto found = recovery(look, world, true).run();
  if (!found)
    return found.error();
  return inspector(*found, how).run();
}

} // namespace weir::store
