#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "telemetry/line_rate.hpp"
#include "telemetry/log.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

struct diverted_log {
  std::vector<std::pair<log::level, std::string>> lines;

  explicit diverted_log(log::settings chosen) {
    log::configure(std::move(chosen));
    log::divert([this](log::level severity, std::string_view line) { lines.emplace_back(severity, line); });
  }
  ~diverted_log() {
    log::divert({});
    log::configure({});
  }
};

log::settings json_settings() {
  log::settings chosen;
  chosen.style = log::settings::format::json;
  chosen.node = "n1";
  return chosen;
}

} // namespace

TEST_CASE("a log line in JSON carries time, level, event, message and node") {
  const auto line = log::render_json(log::level::warn, "buffer-full", "job 7 refuses", "n1", 0,
                                     std::chrono::system_clock::time_point{1'700'000'000'042ms});
  CHECK_EQ(line, R"({"time":"2023-11-14T22:13:20.042Z","level":"warn","event":"buffer-full",)"
                 R"("message":"job 7 refuses","node":"n1"})");
}

TEST_CASE("outside bytes in a sentence cannot end a log line or leave its string") {
  const auto line = log::render_json(log::level::info, "e", "a\"b\\c\nd\x1b[2J\xff", "", 0, {});
  CHECK_EQ(line, R"({"time":"1970-01-01T00:00:00.000Z","level":"info","event":"e",)"
                 R"("message":"a\"b\\c\u000ad\u001b[2J\u00ff"})");
}

TEST_CASE("a flood of one event is cut off, counted, and hides no other event") {
  log::line_rate rate{2, 1s};
  const log::line_rate::time start{10s};
  std::uint64_t suppressed = 0;
  CHECK(rate.admit("a", start, suppressed));
  CHECK(rate.admit("a", start, suppressed));
  CHECK_FALSE(rate.admit("a", start + 999ms, suppressed));
  CHECK_FALSE(rate.admit("a", start + 999ms, suppressed));
  CHECK(rate.admit("b", start + 999ms, suppressed));
  CHECK_EQ(suppressed, 0u);
  CHECK(rate.admit("a", start + 1s, suppressed));
  CHECK_EQ(suppressed, 2u);
}

TEST_CASE("what was suppressed is told once its window has passed, even if the event never comes again") {
  log::line_rate rate{1, 1s};
  const log::line_rate::time start{10s};
  std::uint64_t suppressed = 0;
  CHECK(rate.admit("a", start, suppressed));
  CHECK_FALSE(rate.admit("a", start, suppressed));
  CHECK(rate.take_suppressed(start + 500ms).empty());
  const auto told = rate.take_suppressed(start + 1s);
  REQUIRE_EQ(told.size(), 1u);
  CHECK_EQ(told[0].first, "a");
  CHECK_EQ(told[0].second, 1u);
  CHECK(rate.take_suppressed(start + 2s).empty());
}

TEST_CASE("event names that are no literals cannot make the rate table grow without end") {
  log::line_rate rate{1, 1s};
  const log::line_rate::time start{10s};
  std::uint64_t suppressed = 0;
  for (int i = 0; i < 1'024; ++i)
    CHECK(rate.admit(std::to_string(i), start, suppressed));
  CHECK(rate.admit("1024", start, suppressed));
  CHECK_FALSE(rate.admit("1025", start, suppressed));
}

TEST_CASE("a suppressed line is not even formatted, and its number stands on a later one") {
  auto chosen = json_settings();
  chosen.lines_per_window = 1;
  diverted_log diverted{chosen};
  log::warn("flood", "number {}", 1);
  log::warn("flood", "number {}", 2);
  log::warn("flood", "number {}", 3);
  REQUIRE_EQ(diverted.lines.size(), 1u);
  CHECK_NE(diverted.lines[0].second.find("number 1"), std::string::npos);
  log::flush();
  REQUIRE_EQ(diverted.lines.size(), 2u);
  CHECK_NE(diverted.lines[1].second.find("2 lines of 'flood' were not shown"), std::string::npos);
}

TEST_CASE("levels below the least one are not written") {
  auto chosen = json_settings();
  chosen.least = log::level::warn;
  diverted_log diverted{chosen};
  log::info("quiet", "not shown");
  log::error("loud", "shown");
  REQUIRE_EQ(diverted.lines.size(), 1u);
  CHECK_EQ(diverted.lines[0].first, log::level::error);
}
