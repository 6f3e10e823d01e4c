#include "config/text_values.hpp"

#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace weir {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first, so that a text is as short as it can be.
constexpr unit size_units[] = {
    {"TiB", 1ull << 40},
    {"TB", 1'000'000'000'000},
    {"GiB", 1ull << 30},
    {"GB", 1'000'000'000},
    {"MiB", 1ull << 20},
    {"MB", 1'000'000},
    {"KiB", 1ull << 10},
    {"KB", 1'000},
    {"B", 1},
};

constexpr unit time_units[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1},
};

template <std::size_t N>
std::optional<std::uint64_t> parse_with(const unit (&units)[N], std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{})
    return std::nullopt;
  const auto name = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& x : units) {
    if (x.name != name)
      continue;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / x.factor)
      return std::nullopt;
    return value * x.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string text_with(const unit (&units)[N], std::uint64_t value) {
  for (const auto& x : units)
    if (value != 0 && value % x.factor == 0)
      return fmt::format("{}{}", value / x.factor, x.name);
  return fmt::format("0{}", units[N - 1].name);
}

} // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  return parse_with(size_units, text);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept {
  const auto value = parse_with(time_units, text);
  if (!value)
    return std::nullopt;
  return std::chrono::milliseconds{static_cast<std::int64_t>(*value)};
}

std::string size_text(std::uint64_t bytes) {
  return text_with(size_units, bytes);
}

std::string duration_text(std::chrono::milliseconds time) {
  return time.count() < 0 ? fmt::format("-{}ms", -time.count())
                          : text_with(time_units, static_cast<std::uint64_t>(time.count()));
}

} // namespace weir
