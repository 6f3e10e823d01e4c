#include "drills/arrivals.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <sys/stat.h>

#include "drills/generate_events.hpp"

namespace weir::drills {

namespace {

constexpr std::size_t window_bytes = 1 << 20;

/// Sender and counter of an event of `weir generate`, which stand at the end of its line.
struct signed_event {
  std::uint64_t seed = 0, counter = 0;
};

std::optional<signed_event> read_signature(std::string_view line) {
  if (line.empty() || line.back() != '}')
    return std::nullopt;
  const auto colon = line.rfind(':');
  const std::string_view middle = R"(","SenderCounter")", before = R"("Sender":")";
  constexpr std::size_t digits = 12;
  if (colon == std::string_view::npos || colon < middle.size() + digits + before.size()
      || line.substr(colon - middle.size(), middle.size()) != middle)
    return std::nullopt;
  const auto seed_at = colon - middle.size() - digits;
  if (line.substr(seed_at - before.size(), before.size()) != before)
    return std::nullopt;
  signed_event event;
  const auto number = line.substr(colon + 1, line.size() - colon - 2);
  const auto* const number_end = number.data() + number.size();
  const auto* const seed = line.data() + seed_at;
  if (std::from_chars(number.data(), number_end, event.counter).ptr != number_end
      || std::from_chars(seed, seed + digits, event.seed, 16).ptr != seed + digits)
    return std::nullopt;
  return event;
}

/// Calls `visit` with each line of an object of concatenated gzip members. False if it does not unpack.
class object_reader {
 public:
  template <class Visit>
  bool read(const std::string& bytes, Visit&& visit) {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    state_.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
    state_.avail_in = static_cast<std::uint32_t>(bytes.size());
    std::size_t kept = 0; // of a line that has not ended
    while (state_.avail_in > 0) {
      do {
        if (out_.size() < kept + window_bytes)
          out_.resize(kept + window_bytes);
        state_.next_out = reinterpret_cast<std::uint8_t*>(out_.data() + kept);
        state_.avail_out = static_cast<std::uint32_t>(out_.size() - kept);
        if (isal_inflate(&state_) != ISAL_DECOMP_OK)
          return false;
        kept = visit_lines(out_.size() - state_.avail_out, visit);
      } while (state_.block_state != ISAL_BLOCK_FINISH && (state_.avail_in > 0 || state_.avail_out == 0));
      if (state_.block_state != ISAL_BLOCK_FINISH)
        return false;
      const auto left = state_.avail_in;
      const auto* const next = state_.next_in;
      isal_inflate_reset(&state_);
      state_.crc_flag = ISAL_GZIP;
      state_.next_in = const_cast<std::uint8_t*>(next);
      state_.avail_in = left;
    }
    return kept == 0;
  }

 private:
  template <class Visit>
  std::size_t visit_lines(std::size_t end, Visit& visit) {
    std::size_t at = 0;
    while (const auto* newline = static_cast<const char*>(std::memchr(out_.data() + at, '\n', end - at))) {
      const auto stop = static_cast<std::size_t>(newline - out_.data());
      visit(std::string_view{out_.data() + at, stop - at});
      at = stop + 1;
    }
    std::memmove(out_.data(), out_.data() + at, end - at);
    return end - at;
  }

  inflate_state state_{};
  std::string out_;
};

std::vector<std::string> objects_below(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code none;
  for (fs::recursive_directory_iterator it{directory, none}, end; !none && it != end; it.increment(none)) {
    const auto& path = it->path().native();
    const std::string_view ending = ".log.gz";
    if (path.size() > ending.size() && path.compare(path.size() - ending.size(), ending.size(), ending) == 0)
      paths.push_back(path);
  }
  return paths;
}

} // namespace

arrivals read_arrivals(const std::string& directory, std::uint64_t seed, std::uint64_t counters, unsigned threads) {
  arrivals result;
  const auto paths = objects_below(directory);
  result.objects = paths.size();
  auto at = std::make_unique<std::atomic<std::int64_t>[]>(counters);
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> doubled{0}, foreign{0}, unknown{0}, damaged{0};
  std::mutex mutex;
  const auto work = [&] {
    object_reader reader;
    std::string bytes;
    for (std::size_t i; (i = next.fetch_add(1)) < paths.size();) {
      struct stat facts {};
      std::ifstream in{paths[i], std::ios::binary};
      bool whole = in && ::stat(paths[i].c_str(), &facts) == 0;
      if (whole) {
        bytes.resize(static_cast<std::size_t>(facts.st_size));
        whole = static_cast<bool>(in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())));
      }
      const auto when = std::int64_t{facts.st_ctim.tv_sec} * 1'000'000'000 + facts.st_ctim.tv_nsec;
      whole = whole && reader.read(bytes, [&](std::string_view line) {
        const auto event = read_signature(line);
        if (!event || (event->seed == seed && event->counter >= counters)) {
          ++unknown;
          return;
        }
        if (event->seed != seed) {
          ++foreign;
          return;
        }
        std::int64_t before = 0;
        if (!at[event->counter].compare_exchange_strong(before, when)) {
          ++doubled;
          while (when < before && !at[event->counter].compare_exchange_weak(before, when)) {
          }
        }
      });
      if (!whole) {
        ++damaged;
        std::lock_guard lock{mutex};
        if (result.first_damage.empty())
          result.first_damage = paths[i];
      }
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, threads); ++i)
    workers.emplace_back(work);
  for (auto& x : workers)
    x.join();
  result.at_ns.resize(counters);
  for (std::uint64_t i = 0; i < counters; ++i)
    if ((result.at_ns[i] = at[i].load()) != 0)
      ++result.arrived;
  result.doubled = doubled;
  result.foreign_events = foreign;
  result.unknown_events = unknown;
  result.damaged = damaged;
  return result;
}

} // namespace weir::drills
