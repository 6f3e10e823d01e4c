#include "supervisors/ledger_marks.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

#include "config/text_values.hpp"
#include "store/atomic_file.hpp"
#include "store/byte_codec.hpp"
#include "store/checksum.hpp"

namespace weir {

namespace {

using store::byte_reader;
using store::byte_writer;

constexpr char magic[8] = {'W', 'E', 'I', 'R', 'L', 'D', 'G', '\n'};
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = sizeof magic + 4;
constexpr std::string_view prefix = "mark-", suffix = ".ledger", half_written = ".new";

std::int64_t seconds_of(ledger_marks::time_point at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

ledger_marks::time_point moment_of(std::int64_t seconds) {
  return ledger_marks::time_point{std::chrono::seconds{seconds}};
}

template <class Array>
void save_counts(const Array& counts, byte_writer& to) {
  to.u8(static_cast<std::uint8_t>(counts.size()));
  for (auto x : counts)
    to.varint(x);
}

// Arrays carry their length, so that a build with fewer or more reasons still reads them.
template <class Array>
void load_counts(Array& counts, byte_reader& from) {
  const auto size = from.u8();
  for (std::size_t i = 0; i < size; ++i) {
    const auto x = from.varint();
    if (i < counts.size())
      counts[i] = x;
  }
}

bool is_plain(const store::job_account& x) {
  auto rest = x.repeated | x.filtered | x.sampled_out | x.dead_lettered | x.expired | x.deleted | x.set_aside | x.lost;
  for (auto shed : x.shed)
    rest |= shed;
  return rest == 0;
}

template <class Account, class Visit>
void each_rare_column(Account& x, Visit&& visit) {
  for (auto* column :
       {&x.repeated, &x.filtered, &x.sampled_out, &x.dead_lettered, &x.expired, &x.deleted, &x.set_aside, &x.lost})
    visit(*column);
}

void save_job(const store::job_account& x, byte_writer& to) {
  const bool plain = is_plain(x);
  to.u8(plain ? 0 : 1);
  for (auto n : {x.accepted, x.buffered, x.delivered, x.delivered_objects})
    to.varint(n);
  if (plain)
    return;
  each_rare_column(x, [&](std::uint64_t n) { to.varint(n); });
  save_counts(x.shed, to);
}

void load_job(store::job_account& x, byte_reader& from) {
  const bool plain = from.u8() == 0;
  for (auto* n : {&x.accepted, &x.buffered, &x.delivered, &x.delivered_objects})
    *n = from.varint();
  if (plain)
    return;
  each_rare_column(x, [&](std::uint64_t& n) { n = from.varint(); });
  load_counts(x.shed, from);
}

} // namespace

std::string encode_mark(ledger_marks::time_point at, const store::ledger_totals& totals) {
  std::string bytes(magic, sizeof magic);
  bytes.append(4, '\0'); // the checksum
  byte_writer to(bytes);
  to.u32(version);
  to.u64(static_cast<std::uint64_t>(seconds_of(at)));
  to.varint(totals.senders.size());
  for (const auto& [name, x] : totals.senders) {
    to.text(name);
    for (auto n : {x.received, x.not_entitled, x.offered, x.turned_back})
      to.varint(n);
    save_counts(x.rejected, to);
  }
  to.varint(totals.jobs.size());
  std::uint64_t last = 0;
  for (const auto& [job, x] : totals.jobs) {
    to.varint(number(job) - last);
    last = number(job);
    save_job(x, to);
  }
  store::store_le(bytes.data() + sizeof magic, store::crc32c(std::string_view{bytes}.substr(header_bytes)));
  return bytes;
}

std::optional<ledger_marks::mark> decode_mark(std::string_view bytes) {
  if (bytes.size() < header_bytes || std::memcmp(bytes.data(), magic, sizeof magic) != 0)
    return std::nullopt;
  const auto rest = bytes.substr(header_bytes);
  if (store::load_le<std::uint32_t>(bytes.data() + sizeof magic) != store::crc32c(rest))
    return std::nullopt;
  byte_reader from(rest);
  if (from.u32() != version)
    return std::nullopt;
  ledger_marks::mark result;
  result.at = moment_of(static_cast<std::int64_t>(from.u64()));
  for (auto left = from.varint(); left > 0 && from.ok(); --left) {
    auto& x = result.totals.senders[std::string{from.text()}];
    for (auto* n : {&x.received, &x.not_entitled, &x.offered, &x.turned_back})
      *n = from.varint();
    load_counts(x.rejected, from);
  }
  std::uint64_t last = 0;
  for (auto left = from.varint(); left > 0 && from.ok(); --left) {
    last += from.varint();
    load_job(result.totals.jobs.emplace_hint(result.totals.jobs.end(), job_id{last}, store::job_account{})->second,
             from);
  }
  if (!from.ok() || !from.at_end())
    return std::nullopt;
  return result;
}

ledger_marks::ledger_marks(std::shared_ptr<disk> where, std::string directory)
    : disk_(std::move(where)), directory_(std::move(directory)) {}

std::string ledger_marks::path(time_point at) const {
  return fmt::format("{}/{}{}{}", directory_, prefix, seconds_of(at), suffix);
}

/// Finds out what is there, once. A mark that a crash left half-written goes.
std::string ledger_marks::look() {
  if (looked_)
    return {};
  if (auto why = disk_->make_directories(directory_))
    return fmt::format("{}: {}", directory_, why.message());
  std::vector<std::string> names;
  if (auto why = disk_->list(directory_, names))
    return fmt::format("{}: {}", directory_, why.message());
  for (const std::string_view name : names) {
    if (name.size() > half_written.size() && name.substr(name.size() - half_written.size()) == half_written) {
      disk_->remove(directory_ + '/' + std::string{name}); // If it stays, the next start tries again.
      continue;
    }
    if (name.size() <= prefix.size() + suffix.size() || name.substr(0, prefix.size()) != prefix
        || name.substr(name.size() - suffix.size()) != suffix)
      continue;
    const auto text = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    std::int64_t seconds = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (bad != std::errc{} || end != text.data() + text.size())
      continue;
    std::unique_ptr<disk_file> file;
    std::uint64_t bytes = 0;
    if (!disk_->open(directory_ + '/' + std::string{name}, disk::open_mode::read, file) && !file->size(bytes))
      marks_.push_back({moment_of(seconds), bytes});
  }
  std::sort(marks_.begin(), marks_.end(), [](const entry& a, const entry& b) { return a.at < b.at; });
  looked_ = true;
  return {};
}

bool ledger_marks::due(time_point now) {
  std::lock_guard lock{mutex_};
  if (!look().empty())
    return true; // `make` says why it cannot
  // Marks of a clock that ran ahead do not count.
  const auto next = std::upper_bound(marks_.begin(), marks_.end(), now,
                                     [](time_point moment, const entry& x) { return moment < x.at; });
  constexpr std::int64_t hour = 3'600;
  return next == marks_.begin() || seconds_of(std::prev(next)->at) / hour < seconds_of(now) / hour;
}

std::string ledger_marks::make(time_point now, const store::ledger_totals& totals) {
  const auto at = moment_of(seconds_of(now));
  const auto bytes = encode_mark(at, totals);
  std::lock_guard lock{mutex_};
  if (auto wrong = look(); !wrong.empty())
    return wrong;
  const auto full = path(at);
  store::atomic_file file(*disk_, directory_, full.substr(directory_.size() + 1));
  auto why = file.write(bytes);
  if (!why)
    why = file.finish();
  if (why)
    return fmt::format("{}: {}", full, why.message());
  const auto place =
      std::lower_bound(marks_.begin(), marks_.end(), at, [](const entry& x, time_point y) { return x.at < y; });
  if (place != marks_.end() && place->at == at)
    place->bytes = bytes.size();
  else
    marks_.insert(place, {at, bytes.size()});
  prune(at);
  return {};
}

void ledger_marks::prune(time_point now) {
  constexpr std::int64_t day = 86'400;
  const auto drop = [this](std::size_t i) {
    disk_->remove(path(marks_[i].at)); // If it stays, the next start finds it and tries again.
    marks_.erase(marks_.begin() + static_cast<std::ptrdiff_t>(i));
  };
  std::optional<std::int64_t> kept_day;
  for (std::size_t i = 0; i < marks_.size();) {
    const auto age = now - marks_[i].at;
    const auto of = seconds_of(marks_[i].at) / day;
    if (age <= keep_all || (age <= keep_daily && kept_day != of)) {
      kept_day = of;
      ++i;
    } else {
      drop(i);
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& x : marks_)
    bytes += x.bytes;
  while (marks_.size() > 1 && (marks_.size() > most_marks || bytes > most_bytes)) {
    bytes -= marks_.front().bytes;
    drop(0);
  }
}

std::vector<ledger_marks::entry> ledger_marks::list() {
  std::lock_guard lock{mutex_};
  look();
  return marks_;
}

std::variant<ledger_marks::mark, ledger_marks::problem> ledger_marks::at(time_point moment) {
  std::lock_guard lock{mutex_};
  if (auto wrong = look(); !wrong.empty())
    return problem{false, std::move(wrong)};
  const auto next =
      std::upper_bound(marks_.begin(), marks_.end(), moment, [](time_point x, const entry& y) { return x < y.at; });
  if (next == marks_.begin())
    return problem{true, marks_.empty() ? std::string{"there is no mark yet"}
                                        : fmt::format("the oldest mark is of {}", render_moment(marks_.front().at))};
  const auto& found = *std::prev(next);
  const auto name = path(found.at);
  std::unique_ptr<disk_file> file;
  std::uint64_t size = 0;
  if (auto why = disk_->open(name, disk::open_mode::read, file))
    return problem{false, fmt::format("{}: {}", name, why.message())};
  if (auto why = file->size(size))
    return problem{false, fmt::format("{}: {}", name, why.message())};
  if (size > most_bytes)
    return problem{false, fmt::format("{} is larger than any mark", name)};
  std::string bytes(size, '\0');
  std::size_t got = 0;
  if (auto why = file->read(0, bytes.data(), bytes.size(), got))
    return problem{false, fmt::format("{}: {}", name, why.message())};
  bytes.resize(got);
  auto decoded = decode_mark(bytes);
  if (!decoded)
    return problem{false, fmt::format("{} is damaged, or of a version that this build does not know", name)};
  return std::move(*decoded);
}

std::string render_moment(std::chrono::system_clock::time_point at) {
  const auto seconds = static_cast<std::time_t>(seconds_of(at));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::optional<std::chrono::system_clock::time_point> read_moment(std::string_view text,
                                                                 std::chrono::system_clock::time_point now) {
  constexpr std::int64_t furthest = 253'402'300'799; // the end of year 9999
  std::int64_t value = 0;
  const auto* last = text.data() + text.size();
  const auto [end, bad] = std::from_chars(text.data(), last, value);
  if (bad == std::errc{} && value >= 0 && value <= furthest && end == last)
    return moment_of(value);
  if (const auto age = parse_duration(text); age && *age <= std::chrono::hours{24 * 36'500})
    return now - *age;
  std::tm parts{};
  const std::string whole{text};
  const auto* rest = strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (!rest || *rest != '\0')
    return std::nullopt;
  return moment_of(timegm(&parts));
}

} // namespace weir
