#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

/// Log lines: a stable event name to search and alert on, then a sentence with subject, numbers and what
/// follows. Never per event, never a payload or a secret. Thread-safe from the first line of `main` on.
namespace weir::log {

enum class level : std::uint8_t {
  info,  ///< An operator's action took effect.
  warn,  ///< Unexpected, nothing lost.
  error, ///< Data lost or help needed.
};

std::string_view name_of(level severity) noexcept;

struct settings {
  enum class format {
    automatic, ///< `human` if standard output is a terminal, else `json`.
    human,
    json, ///< One object a line: time (UTC), level, event, message, node; `suppressed` if not 0.
  };
  enum class destination {
    split,          ///< `info` and `warn` to standard output, `error` to standard error. For `weir run`.
    standard_error, ///< Everything; for commands whose standard output is data.
  };
  format style = format::automatic;
  destination where = destination::split;
  level least = level::info;
  std::string node; ///< Name of the node; stands in JSON lines.
  /// At most this many lines of one event name within `window`; further ones are counted, and the number
  /// stands on the next line that passes. A flood of one event hides no other.
  std::uint32_t lines_per_window = 10;
  std::chrono::milliseconds window{10'000};
};

void configure(settings chosen);

/// Takes the rendered lines in place of the standard streams, until called with an empty function. For tests.
using line_taker = std::function<void(level, std::string_view rendered)>;
void divert(line_taker taker);

/// Writes what was suppressed so far and flushes. Call before the process ends.
void flush();

/// One line in JSON form, without a line end.
std::string render_json(level severity, std::string_view event, std::string_view sentence, std::string_view node,
                        std::uint64_t suppressed, std::chrono::system_clock::time_point time);

/// Asks the rate limit; the sentence is formatted only if it passes. Not for direct use.
bool admit(level severity, std::string_view event, std::uint64_t& suppressed);
void write(level severity, std::string_view event, std::string_view sentence, std::uint64_t suppressed);

template <class... Ts>
void line(level severity, std::string_view event, fmt::format_string<Ts...> sentence, Ts&&... arguments) {
  std::uint64_t suppressed = 0;
  if (admit(severity, event, suppressed))
    write(severity, event, fmt::format(sentence, std::forward<Ts>(arguments)...), suppressed);
}

/// `event` is a literal such as "buffer-full": names never come from outside.
template <class... Ts>
void info(std::string_view event, fmt::format_string<Ts...> sentence, Ts&&... arguments) {
  line(level::info, event, sentence, std::forward<Ts>(arguments)...);
}

template <class... Ts>
void warn(std::string_view event, fmt::format_string<Ts...> sentence, Ts&&... arguments) {
  line(level::warn, event, sentence, std::forward<Ts>(arguments)...);
}

template <class... Ts>
void error(std::string_view event, fmt::format_string<Ts...> sentence, Ts&&... arguments) {
  line(level::error, event, sentence, std::forward<Ts>(arguments)...);
}

} // namespace weir::log
