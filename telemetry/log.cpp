#include "telemetry/log.hpp"

#include <unistd.h>

#include <memory>
#include <mutex>

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "telemetry/line_rate.hpp"

namespace weir::log {

namespace {

void append_quoted(fmt::memory_buffer& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Other people's bytes may stand in a sentence (a path, say); they must not end the line, move a
      // terminal's cursor or break the JSON, so everything outside printable ASCII is shown by its number.
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result;
}

spdlog::level::level_enum spdlog_level(level severity) {
  switch (severity) {
    case level::info:
      return spdlog::level::info;
    case level::warn:
      return spdlog::level::warn;
    case level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// The process's one writer of log lines. Lines are rare (never per event, limited per name), so one lock does.
class writer {
 public:
  writer() { apply({}); }

  void configure(settings chosen) {
    std::lock_guard lock{mutex_};
    apply(std::move(chosen));
  }

  void divert(line_taker taker) {
    std::lock_guard lock{mutex_};
    taker_ = std::move(taker);
  }

  bool admit(level severity, std::string_view event, std::uint64_t& suppressed) {
    std::lock_guard lock{mutex_};
    if (severity < settings_.least)
      return false;
    return rate_->admit(event, std::chrono::steady_clock::now(), suppressed);
  }

  void write(level severity, std::string_view event, std::string_view sentence, std::uint64_t suppressed) {
    std::lock_guard lock{mutex_};
    emit(severity, event, sentence, suppressed);
    report(rate_->take_suppressed(std::chrono::steady_clock::now()));
  }

  void flush() {
    std::lock_guard lock{mutex_};
    report(rate_->take_all_suppressed());
    for (auto& logger : {out_, err_})
      logger->flush();
  }

 private:
  void apply(settings chosen) {
    settings_ = std::move(chosen);
    if (rate_)
      report(rate_->take_all_suppressed());
    rate_ = std::make_unique<line_rate>(settings_.lines_per_window, settings_.window);
    const bool terminal = isatty(settings_.where == settings::destination::split ? STDOUT_FILENO : STDERR_FILENO);
    human_ = settings_.style == settings::format::human || (settings_.style == settings::format::automatic && terminal);
    const auto make = [&](const char* name, auto sink) {
      auto logger = std::make_shared<spdlog::logger>(name, std::move(sink));
      logger->set_level(spdlog::level::info);
      logger->set_pattern(human_ ? "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v" : "%v");
      logger->flush_on(spdlog::level::info);
      return logger;
    };
    err_ = make("stderr", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    out_ = settings_.where == settings::destination::split
               ? make("stdout", std::make_shared<spdlog::sinks::stdout_color_sink_mt>())
               : err_;
  }

  void emit(level severity, std::string_view event, std::string_view sentence, std::uint64_t suppressed) {
    std::string rendered;
    if (human_) {
      rendered = fmt::format("{}: {}", event, printable(sentence));
      if (suppressed > 0)
        rendered += fmt::format(" ({} alike were not shown)", suppressed);
    } else {
      rendered = render_json(severity, event, sentence, settings_.node, suppressed, std::chrono::system_clock::now());
    }
    if (taker_)
      taker_(severity, rendered);
    else
      (severity == level::error ? err_ : out_)->log(spdlog_level(severity), rendered);
  }

  void report(const std::vector<std::pair<std::string, std::uint64_t>>& suppressed) {
    for (const auto& [event, count] : suppressed)
      emit(level::warn, "log-suppressed", fmt::format("{} lines of '{}' were not shown", count, event), 0);
  }

  std::mutex mutex_;
  settings settings_;
  bool human_ = false;
  std::unique_ptr<line_rate> rate_;
  std::shared_ptr<spdlog::logger> out_;
  std::shared_ptr<spdlog::logger> err_;
  line_taker taker_;
};

writer& the_writer() {
  // Never destroyed: threads may log while static objects go away.
  static auto* instance = new writer;
  return *instance;
}

} // namespace

std::string_view name_of(level severity) noexcept {
  switch (severity) {
    case level::info:
      return "info";
    case level::warn:
      return "warn";
    case level::error:
      return "error";
  }
  return "error";
}

void configure(settings chosen) {
  the_writer().configure(std::move(chosen));
}
void divert(line_taker taker) {
  the_writer().divert(std::move(taker));
}
void flush() {
  the_writer().flush();
}

bool admit(level severity, std::string_view event, std::uint64_t& suppressed) {
  return the_writer().admit(severity, event, suppressed);
}

void write(level severity, std::string_view event, std::string_view sentence, std::uint64_t suppressed) {
  the_writer().write(severity, event, sentence, suppressed);
}

std::string render_json(level severity, std::string_view event, std::string_view sentence, std::string_view node,
                        std::uint64_t suppressed, std::chrono::system_clock::time_point time) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  fmt::memory_buffer out;
  fmt::format_to(std::back_inserter(out), R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","event":)",
                 fmt::gmtime(std::chrono::system_clock::to_time_t(time)), since_epoch.count() % 1'000,
                 name_of(severity));
  append_quoted(out, event);
  fmt::format_to(std::back_inserter(out), R"(,"message":)");
  append_quoted(out, sentence);
  if (!node.empty()) {
    fmt::format_to(std::back_inserter(out), R"(,"node":)");
    append_quoted(out, node);
  }
  if (suppressed > 0)
    fmt::format_to(std::back_inserter(out), R"(,"suppressed":{})", suppressed);
  out.push_back('}');
  return fmt::to_string(out);
}

} // namespace weir::log
