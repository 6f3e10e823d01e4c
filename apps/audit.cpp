#include "apps/audit.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>
#include <simdjson.h>

#include "actors/event_scanner.hpp"
#include "apps/audit_books.hpp"
#include "drills/generate_events.hpp"
#include "drills/generate_receipts.hpp"
#include "store/gzip_member.hpp"

namespace weir::audit {

namespace {

constexpr std::size_t max_bad_files = 100;
/// Objects of others may hold one huge member; ours hold at most one event of a few MiB.
constexpr store::member_limits object_limits{256u << 20, 0};

struct close_file {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

/// What names an event, as far as its job kept those fields.
struct event_name {
  std::string_view ray, zone;
  std::optional<std::uint64_t> sender, counter;
};

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  if (text.empty() || text.size() > 16)
    return std::nullopt;
  std::uint64_t x = 0;
  for (const auto c : text) {
    const auto lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9')
      x = x << 4 | static_cast<std::uint64_t>(c - '0');
    else if (lower >= 'a' && lower <= 'f')
      x = x << 4 | static_cast<std::uint64_t>(lower - 'a' + 10);
    else
      return std::nullopt;
  }
  return x;
}

} // namespace

bool report::clean() const noexcept {
  return bad_file_count == 0 && gaps == 0 && doubled_sequences == 0 && doubled_events == 0 && unreadable == 0
         && missing == 0 && missing_unnamed == 0 && missing_zones == 0;
}

struct auditor::state {
  struct job_books {
    job_report report;
    std::map<generation, sequence_book> generations;
    std::string last_path; ///< Of the last object that held an event of it.
    std::string last_zone; ///< Most jobs have one zone only.
    std::size_t last_layer = 0;
  };

  report totals;
  std::map<job_id, job_books> jobs;
  zone_book zones;
  event_book events;
  std::vector<std::string> zones_without_job;
  store::member_reader reader{object_limits};
  event_scanner scanner{{64u << 20, 64}};
  std::vector<scanned_event> lines;
  simdjson::ondemand::parser parser;
  std::string ray, zone;

  job_books& books_of(job_id job) {
    auto& books = jobs[job];
    books.report.job = job;
    return books;
  }

  void note_bad(const std::string& path, std::string_view why) {
    ++totals.bad_file_count;
    if (totals.bad_files.size() < max_bad_files)
      totals.bad_files.push_back(fmt::format("{}: {}", path, why));
  }

  event_name name_event(std::string_view event);
  void read_event(job_books& books, std::string_view event);
  std::string read_member(const std::string& path, const store::decoded_member& member);
  void check_body(const generate::event_generator& sender, const std::vector<const std::vector<job_id>*>& wanted,
                  const generate::acknowledged_body& body, const std::function<void(const missing_event&)>& on_missing);
};

event_name auditor::state::name_event(std::string_view event) {
  event_name name;
  // The scanner has checked the object, and a member's text is followed by 64 readable bytes.
  auto document = parser.iterate(
      simdjson::padded_string_view{event.data(), event.size(), event.size() + simdjson::SIMDJSON_PADDING});
  simdjson::ondemand::object object;
  if (document.get_object().get(object))
    return name;
  std::string_view text;
  if (!object.find_field_unordered(generate::ray_field).get_string().get(text))
    name.ray = ray.assign(text);
  if (!object.find_field_unordered(generate::zone_field).get_string().get(text))
    name.zone = zone.assign(text);
  if (!object.find_field_unordered(generate::sender_field).get_string().get(text))
    name.sender = parse_hex(text);
  std::uint64_t counter = 0;
  if (!object.find_field_unordered(generate::counter_field).get_uint64().get(counter))
    name.counter = counter;
  return name;
}

void auditor::state::read_event(job_books& books, std::string_view event) {
  const auto name = name_event(event);
  auto layer = books.last_layer;
  if (!name.zone.empty() && name.zone != books.last_zone) {
    layer = books.last_layer = zones.layer(books.report.job, name.zone);
    books.last_zone = name.zone;
  }
  if (name.sender && name.counter && *name.counter < number_set::limit && !name.zone.empty()) {
    if (!events.add(*name.sender, *name.counter, layer))
      ++books.report.doubled_events;
  } else if (!name.ray.empty()) {
    events.add_named(books.report.job, name.ray);
  }
}

/// Returns what is wrong with it, if anything is.
std::string auditor::state::read_member(const std::string& path, const store::decoded_member& member) {
  ++totals.members;
  totals.raw_bytes += member.raw.size();
  totals.packed_bytes += member.packed_bytes;
  const auto count = static_cast<std::uint64_t>(std::count(member.raw.begin(), member.raw.end(), '\n'));
  totals.events += count;
  if (!member.identity) {
    ++totals.foreign_members;
    return {};
  }
  const auto& [job, range] = *member.identity;
  auto& books = books_of(job);
  auto& report = books.report;
  if (books.last_path != path) {
    books.last_path = path;
    ++report.objects;
  }
  ++report.members;
  report.events += count;
  report.raw_bytes += member.raw.size();
  report.packed_bytes += member.packed_bytes;
  books.generations[range.generation].add(range);
  scanner.open(member.raw, {});
  lines.clear();
  while (scanner.next(lines)) {
    for (const auto& line : lines)
      read_event(books, member.raw.substr(line.offset, line.size));
    lines.clear();
  }
  report.unreadable += scanner.report().total_rejected();
  if (count != range.count)
    return fmt::format("a member of job {} says that it holds {} events and holds {}", number(job), range.count, count);
  return {};
}

std::uint64_t auditor::read_object(const std::string& path) {
  auto& s = *state_;
  const std::unique_ptr<std::FILE, close_file> file{std::fopen(path.c_str(), "rb")};
  if (!file) {
    s.note_bad(path, std::strerror(errno));
    return 0;
  }
  ++s.totals.files;
  s.reader.open([&](char* into, std::size_t size) { return std::fread(into, 1, size, file.get()); });
  store::decoded_member member;
  std::uint64_t bytes = 0;
  std::string problem;
  for (;;) {
    const auto status = s.reader.next(member);
    if (status != store::member_status::ok) {
      if (status != store::member_status::end)
        problem = fmt::format("{} at byte {}", name_of(status), member.offset);
      else if (std::ferror(file.get()))
        problem = "cannot be read to its end";
      break;
    }
    bytes += member.packed_bytes;
    if (auto wrong = s.read_member(path, member); !wrong.empty())
      problem = std::move(wrong);
  }
  if (!problem.empty())
    s.note_bad(path, problem);
  return bytes;
}

auditor::auditor() : state_(std::make_unique<state>()) {}
auditor::~auditor() = default;

void auditor::expect(job_id job, std::string_view zone) {
  state_->books_of(job);
  state_->zones.layer(job, zone);
}

void auditor::expect_zone(std::string_view zone) {
  state_->zones_without_job.emplace_back(zone);
}

void auditor::state::check_body(const generate::event_generator& sender,
                                const std::vector<const std::vector<job_id>*>& wanted,
                                const generate::acknowledged_body& body,
                                const std::function<void(const missing_event&)>& on_missing) {
  ++totals.acknowledged_bodies;
  totals.acknowledged_events += body.count;
  const auto seed = sender.what().seed;
  std::uint64_t unwanted = 0, expected = 0;
  std::vector<std::pair<std::uint64_t, job_id>> missing;
  for (auto counter = body.first; counter < body.first + body.count; ++counter) {
    const auto* jobs_of_zone = wanted[sender.zone_rank(counter)];
    if (!jobs_of_zone) {
      ++unwanted;
      continue;
    }
    for (std::size_t layer = 0; layer < jobs_of_zone->size(); ++layer) {
      ++expected;
      if (!events.contains(seed, counter, layer))
        missing.emplace_back(counter, (*jobs_of_zone)[layer]);
    }
  }
  const bool whole = body.filtered == 0 && body.shed == 0 && body.rejected == 0 && body.not_entitled <= unwanted;
  if (!whole) {
    const auto arrived = expected - missing.size();
    totals.expected += body.accepted;
    totals.missing_unnamed += body.accepted > arrived ? body.accepted - arrived : 0;
    return;
  }
  totals.expected += expected;
  totals.missing_zones += unwanted - body.not_entitled;
  totals.missing += missing.size();
  for (const auto& [counter, job] : missing) {
    ++books_of(job).report.receipts_missing;
    on_missing({job, seed, counter, sender.ray_id(counter), generate::zone_id(sender.zone_rank(counter)), body.key});
  }
}

void auditor::read_receipts(const std::string& path, const std::function<void(const missing_event&)>& on_missing) {
  auto& s = *state_;
  s.totals.with_receipts = true;
  for (const auto& zone : s.zones_without_job)
    if (!s.zones.jobs_of(zone))
      s.zones.layer(job_id{}, zone);
  s.zones_without_job.clear();
  std::optional<generate::event_generator> sender;
  std::vector<const std::vector<job_id>*> wanted; // by rank of zone
  generate::read_receipts(path, [&](const generate::traffic& what, const generate::acknowledged_body& body) {
    if (!sender || !(sender->what() == what)) {
      sender.emplace(what);
      wanted.assign(what.zones, nullptr);
      for (std::uint64_t rank = 0; rank < what.zones; ++rank)
        wanted[rank] = s.zones.jobs_of(generate::zone_id(rank));
    }
    s.check_body(*sender, wanted, body, on_missing);
  });
}

report auditor::finish() {
  auto& s = *state_;
  for (const auto& [job, doubled] : s.events.doubled_named())
    s.books_of(job).report.doubled_events += doubled;
  for (auto& [job, books] : s.jobs) {
    auto& report = books.report;
    for (auto& [generation, book] : books.generations) {
      const auto verdict = book.judge();
      report.generations.push_back(
          {generation, verdict.last, verdict.missing, verdict.doubled, verdict.first_missing, verdict.first_doubled});
      s.totals.gaps += verdict.missing;
      s.totals.doubled_sequences += verdict.doubled;
    }
    s.totals.doubled_events += report.doubled_events;
    s.totals.unreadable += report.unreadable;
    s.totals.jobs.push_back(std::move(report));
  }
  return std::move(s.totals);
}

} // namespace weir::audit
