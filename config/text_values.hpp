#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// `1GiB`, `64KiB`, `5MB`, `512B`: a whole number and its unit, binary or decimal, without a space.
/// Nothing for anything else, for a number without a unit, or beyond 2^63.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// `50ms`, `30s`, `5min`, `72h`, `7d`: a whole number and its unit. Nothing for anything else.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;

/// The shortest text that `parse_size` reads back as the same number.
std::string size_text(std::uint64_t bytes);
/// The shortest text that `parse_duration` reads back as the same time.
std::string duration_text(std::chrono::milliseconds time);

} // namespace weir
