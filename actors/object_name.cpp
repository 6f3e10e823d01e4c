#include "actors/object_name.hpp"

#include <ctime>

#include <fmt/format.h>

namespace weir {

namespace {

/// Calendar time in UTC. Years beyond 9999 do not fit into 64 bits of nanoseconds.
std::tm calendar(std::uint64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm result{};
  gmtime_r(&seconds, &result);
  return result;
}

std::string timestamp(std::uint64_t ns) {
  const auto t = calendar(ns);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
                     t.tm_sec);
}

/// The finalizer of SplitMix64: every bit of the input changes about half of the output.
std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

} // namespace

std::string object_file_name(job_id job, const sequence_range& cut, std::uint64_t first_ns, std::uint64_t last_ns,
                             bool long_hash) {
  const auto hash = mix(mix(mix(mix(number(job)) ^ number(cut.generation)) ^ cut.first) ^ cut.count);
  const auto hex = fmt::format("{:016x}", hash);
  return fmt::format("{}_{}_{}.log.gz", timestamp(first_ns), timestamp(last_ns), hex.substr(0, long_hash ? 16 : 8));
}

std::string expand_date(std::string_view path, std::uint64_t first_ns) {
  constexpr std::string_view placeholder = "{DATE}";
  std::string result;
  for (;;) {
    const auto at = path.find(placeholder);
    result += path.substr(0, at);
    if (at == path.npos)
      return result;
    const auto t = calendar(first_ns);
    result += fmt::format("{:04}{:02}{:02}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday);
    path.remove_prefix(at + placeholder.size());
  }
}

} // namespace weir
