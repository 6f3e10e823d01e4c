#include "actors/event_scanner.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

using namespace weir;

namespace {

/// A body with the room behind it that a scanner asks for, filled with what would do most harm.
struct padded_body {
  explicit padded_body(std::string_view text) : bytes(text) {
    size = bytes.size();
    bytes += "\"}]}]}\\\\,{\"ZoneID\":\"behind\"}\n{\"ZoneID\":\"behind\"}\n{\"ZoneID\":\"behind\"}\n:::::::::::::::::";
  }
  std::string_view view() const { return std::string_view{bytes}.substr(0, size); }

  std::string bytes;
  std::size_t size;
};

struct scanned {
  std::vector<std::string> events;
  std::vector<std::string> scopes;
  scan_report report;
};

scanned scan(std::string_view text, std::string_view scope_field = "ZoneID", scan_limits limits = {}) {
  const padded_body body{text};
  event_scanner scanner{limits};
  scanner.open(body.view(), scope_field);
  std::vector<scanned_event> events;
  while (scanner.next(events)) {
  }
  scanned result;
  for (const auto& event : events) {
    result.events.emplace_back(body.view().substr(event.offset, event.size));
    result.scopes.emplace_back(event.scope);
  }
  result.report = scanner.report();
  CHECK_EQ(result.report.events, events.size());
  std::uint64_t rejected = 0;
  for (const auto n : result.report.rejected)
    rejected += n;
  CHECK_EQ(result.report.total_rejected(), rejected);
  return result;
}

/// Why a single line is no event; nothing if it is one.
std::optional<reject_reason> verdict(std::string_view line, std::string_view scope_field = "ZoneID",
                                     scan_limits limits = {}) {
  const auto result = scan(line, scope_field, limits);
  REQUIRE_EQ(result.report.lines, 1u);
  if (result.report.events == 1)
    return std::nullopt;
  REQUIRE_EQ(result.report.first_rejected.size(), 1u);
  return result.report.first_rejected[0].reason;
}

bool is_event(std::string_view line) {
  return !verdict(line, "");
}

std::string nested(unsigned levels) {
  std::string text;
  for (unsigned i = 1; i < levels; ++i)
    text += i % 2 ? R"({"a":)" : "[";
  text += "{}";
  for (unsigned i = levels - 1; i > 0; --i)
    text += i % 2 ? "}" : "]";
  return text;
}

} // namespace

TEST_CASE("a body is split into its events, each with its scope") {
  const auto result = scan("{\"ZoneID\":\"a\",\"n\":1}\n{\"n\":2,\"ZoneID\":\"b.c_D-9\"}\n{\"ZoneID\":\"z\"}");
  CHECK_EQ(result.events,
           std::vector<std::string>{R"({"ZoneID":"a","n":1})", R"({"n":2,"ZoneID":"b.c_D-9"})", R"({"ZoneID":"z"})"});
  CHECK_EQ(result.scopes, std::vector<std::string>{"a", "b.c_D-9", "z"});
}

TEST_CASE("empty lines are no events, and white space around an event is no part of it") {
  const auto result = scan("\n\r\n  \t \n \t{\"ZoneID\":\"a\"} \r\n\n{\"ZoneID\":\"b\"}\r\nx\n\n");
  CHECK_EQ(result.events, std::vector<std::string>{R"({"ZoneID":"a"})", R"({"ZoneID":"b"})"});
  CHECK_EQ(result.report.lines, 3u);
  REQUIRE_EQ(result.report.first_rejected.size(), 1u);
  CHECK_EQ(result.report.first_rejected[0].line, 7u);
}

TEST_CASE("an empty body has no lines") {
  for (const auto* text : {"", "\n", "\r\n\r\n", "   "})
    CHECK_EQ(scan(text).report.lines, 0u);
}

TEST_CASE("what RFC 8259 allows in an object is an event") {
  for (const auto* text : {R"({})", R"({ })", R"({"":""})", R"({"a":[]})", R"({"a":[ ],"b":{ }})", R"({"a":[1,2 , 3]})",
                           R"({"a":-0,"b":0.5,"c":1e5,"d":1E+5,"e":1.25e-3,"f":-12})",
                           R"({"a":true,"b":false,"c":null})", R"({"a":[true,false,null,"x",{"b":[]},[[]]]})",
                           "{\"a\"\t:\r1 }", R"({"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"})", R"({"a":1,"a":2})",
                           R"({"a":123456789012345678901234567890,"b":1e999})", "{\"é\":\"日本\U0001F600\"}",
                           "{\"a\":\"\x7f\"}", R"({"a":"\\"})", R"({"\\":"\\\""})", R"({"a":"[{,:\"}"})"}) {
    CAPTURE(text);
    CHECK(is_event(text));
  }
}

TEST_CASE("what is not one complete object is no event") {
  using namespace std::string_view_literals;
  for (const auto text : {"x"sv,
                          "1"sv,
                          "\"a\""sv,
                          "null"sv,
                          "[]"sv,
                          "[{}]"sv,
                          "{"sv,
                          "}"sv,
                          "{}}"sv,
                          "{{}"sv,
                          "{}{}"sv,
                          "{},{}"sv,
                          "{} x"sv,
                          R"({"a"})"sv,
                          R"({"a":})"sv,
                          R"({"a":1,})"sv,
                          R"({,"a":1})"sv,
                          R"({"a":1 "b":2})"sv,
                          R"({"a":1,,"b":2})"sv,
                          R"({"a"::1})"sv,
                          R"({a:1})"sv,
                          R"({'a':1})"sv,
                          R"({1:1})"sv,
                          R"({"a":[1,]})"sv,
                          R"({"a":[,1]})"sv,
                          R"({"a":[1 2]})"sv,
                          R"({"a":[1})"sv,
                          R"({"a":{]})"sv,
                          R"({"a":[}})"sv,
                          R"({"a":"b)"sv,
                          R"({"a":"b"c})"sv,
                          R"({"a":"b""c"})"sv,
                          R"({"a":01})"sv,
                          R"({"a":+1})"sv,
                          R"({"a":1.})"sv,
                          R"({"a":.5})"sv,
                          R"({"a":-})"sv,
                          R"({"a":1e})"sv,
                          R"({"a":1e+})"sv,
                          R"({"a":0x1})"sv,
                          R"({"a":1a})"sv,
                          R"({"a":1"b"})"sv,
                          R"({"a":NaN})"sv,
                          R"({"a":Infinity})"sv,
                          R"({"a":tru})"sv,
                          R"({"a":truex})"sv,
                          R"({"a":true"x"})"sv,
                          R"({"a":nul})"sv,
                          R"({"a":True})"sv,
                          R"({"a":"\x"})"sv,
                          R"({"a":"\u12g4"})"sv,
                          R"({"a":"\u12"})"sv,
                          R"({"a":"\uD800"})"sv,
                          R"({"a":"\uDC00"})"sv,
                          R"({"a":"\uD800\u0041"})"sv,
                          R"({"a":\"b"})"sv,
                          R"({"a":1\})"sv,
                          R"({\})"sv,
                          "{\"a\":\"\t\"}"sv,
                          "{\"a\":\"\x01\"}"sv,
                          "{\"a\":\"\xff\"}"sv,
                          "{\"a\":\"\xc0\x80\"}"sv,
                          "{\"a\":\"\xed\xa0\x80\"}"sv,
                          "{\"a\":\"\xe6\x97\"}"sv,
                          "{\"a\":1,\x0c\"b\":2}"sv,
                          "{\"a\"\x1a 1}"sv,
                          "\xef\xbb\xbf{}"sv,
                          "{}\0"sv,
                          "{\"a\":\0}"sv,
                          "{/*x*/}"sv,
                          "{\"a\":1}//x"sv}) {
    CAPTURE(text);
    CHECK_EQ(verdict(text, ""), reject_reason::not_json);
    // Nor does its neighbour suffer, before it or behind it.
    const auto among = scan(fmt::format("{{\"n\":1}}\n{}\n{{\"n\":2}}\n", text), "");
    CHECK_EQ(among.events, std::vector<std::string>{R"({"n":1})", R"({"n":2})"});
    REQUIRE_EQ(among.report.first_rejected.size(), 1u);
    CHECK_EQ(among.report.first_rejected[0].line, 2u);
  }
}

TEST_CASE("an object over two lines is two lines that are no events") {
  const auto result = scan("{\"a\":1,\n\"b\":2}\n{\"c\":[\n]}\n{\"ok\":1}\n{\"a\":\"x\ny\"}\n", "");
  CHECK_EQ(result.events, std::vector<std::string>{R"({"ok":1})"});
  CHECK_EQ(result.report.rejected[static_cast<int>(reject_reason::not_json)], 6u);
}

TEST_CASE("the scope field counts at the top level only, as a key only, and with escapes too") {
  CHECK_EQ(verdict(R"({"a":{"ZoneID":"x"}})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({"a":"ZoneID","b":"x"})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({"a":["ZoneID"]})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({"ZoneIDs":"x"})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({"ZoneI":"x"})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({"zoneid":"x"})"), reject_reason::no_scope);
  CHECK_EQ(verdict(R"({})"), reject_reason::no_scope);
  CHECK_EQ(scan(R"({"Zone\u0049D":"x"})").scopes, std::vector<std::string>{"x"});
  CHECK_EQ(verdict(R"({"Zone\u0049\u0044\u0044":"x"})"), reject_reason::no_scope);
  CHECK_EQ(scan(R"({"a":{"ZoneID":"y"},"ZoneID" : "x"})").scopes, std::vector<std::string>{"x"});
}

TEST_CASE("an event with two scope fields is refused, however they are spelt") {
  CHECK_EQ(verdict(R"({"ZoneID":"a","ZoneID":"b"})"), reject_reason::scope_twice);
  CHECK_EQ(verdict(R"({"ZoneID":"a","ZoneID":"a"})"), reject_reason::scope_twice);
  CHECK_EQ(verdict(R"({"ZoneID":"a","\u005aoneID":"b"})"), reject_reason::scope_twice);
  CHECK_EQ(verdict(R"({"ZoneID":1,"ZoneID":"b"})"), reject_reason::scope_twice);
}

TEST_CASE("a scope is a string of 1 to 32 safe characters") {
  const std::string longest(32, 'f');
  CHECK_EQ(scan(fmt::format(R"({{"ZoneID":"{}"}})", longest)).scopes, std::vector<std::string>{longest});
  for (const auto* value : {R"("")", R"("fffffffffffffffffffffffffffffffff")", R"("a/b")", R"("a b")", R"("a\u0062")",
                            R"("é")", "1", "null", "true", R"(["a"])", R"({"a":"b"})"}) {
    CAPTURE(value);
    CHECK_EQ(verdict(fmt::format(R"({{"ZoneID":{}}})", value)), reject_reason::no_scope);
  }
}

TEST_CASE("without a scope field to look for, none is needed and none is found") {
  const auto result = scan("{\"a\":1}\n{\"ZoneID\":\"a\",\"ZoneID\":\"b\"}\n", "");
  CHECK_EQ(result.events.size(), 2u);
  CHECK_EQ(result.scopes, std::vector<std::string>{"", ""});
}

TEST_CASE("short and long names of scope fields are found alike") {
  for (const std::string name : {"z", "zone", "ZoneIDs", "ZoneName", "AVeryLongNameOfAScopeField"}) {
    CAPTURE(name);
    CHECK_EQ(scan(fmt::format(R"({{"a":1,"{}":"x","{}s":"y"}})", name, name), name).scopes,
             std::vector<std::string>{"x"});
  }
}

TEST_CASE("nesting is bounded at 64 levels") {
  CHECK_FALSE(verdict(nested(64), ""));
  CHECK_EQ(verdict(nested(65), ""), reject_reason::too_deep);
  CHECK_EQ(verdict(nested(10'000), ""), reject_reason::too_deep);
  CHECK_FALSE(verdict(nested(3), "", {1'000, 3}));
  CHECK_EQ(verdict(nested(4), "", {1'000, 3}), reject_reason::too_deep);
  CHECK_EQ(verdict(std::string(100'000, '['), ""), reject_reason::not_json);
}

TEST_CASE("a line beyond the size limit is refused, one at the limit is not") {
  const auto sized = [](std::size_t size) {
    return fmt::format(R"({{"ZoneID":"a","b":"{}"}})", std::string(size - 21, 'x'));
  };
  for (const std::size_t limit : {100u, 64u << 10, 100'000u, 1u << 20}) {
    CAPTURE(limit);
    REQUIRE_EQ(sized(limit).size(), limit);
    CHECK_FALSE(verdict(sized(limit), "ZoneID", {limit, 64}));
    CHECK_EQ(verdict(sized(limit + 1), "ZoneID", {limit, 64}), reject_reason::too_large);
    const auto among =
        scan(fmt::format("{}\n{}\n{}\n{}\n", sized(40), sized(limit + 1), sized(limit), sized(5 * limit)), "ZoneID",
             {limit, 64});
    CHECK_EQ(among.events, std::vector<std::string>{sized(40), sized(limit)});
    CHECK_EQ(among.report.rejected[static_cast<int>(reject_reason::too_large)], 2u);
    REQUIRE_EQ(among.report.first_rejected.size(), 2u);
    CHECK_EQ(among.report.first_rejected[1].line, 4u);
  }
}

TEST_CASE("only the first bad lines are named, but all are counted") {
  std::string body;
  for (int i = 0; i < 1'000; ++i)
    body += "no\n";
  const auto result = scan(body);
  CHECK_EQ(result.report.rejected[static_cast<int>(reject_reason::not_json)], 1'000u);
  CHECK_EQ(result.report.first_rejected.size(), scan_report::max_named_lines);
}

TEST_CASE("lines are numbered over chunks, and a call returns a bounded number of events") {
  std::string body;
  for (int i = 0; i < 50'000; ++i)
    body += i == 43'210 ? "{\"a\":}\n" : "{}\n";
  const padded_body padded{body};
  event_scanner scanner;
  scanner.open(padded.view(), "");
  std::vector<scanned_event> events;
  std::size_t most = 0, total = 0;
  while (scanner.next(events)) {
    most = std::max(most, events.size());
    total += events.size();
    events.clear();
  }
  CHECK_EQ(total, 49'999u);
  CHECK_LE(most, 64u * 1024 / 3 + 1);
  REQUIRE_EQ(scanner.report().first_rejected.size(), 1u);
  CHECK_EQ(scanner.report().first_rejected[0].line, 43'211u);
}

namespace {

std::string random_event(std::mt19937_64& random) {
  const auto text = [&] {
    static const std::vector<std::string> bits{"a",       "Z",    "0",    " ", "é", "日", "😀", "\\n",
                                               "\\u0041", "\\\"", "\\\\", "{", "]", ",",  ":"};
    std::string s;
    for (std::size_t i = 0, n = random() % 12; i < n; ++i)
      s += bits[random() % bits.size()];
    return s;
  };
  std::function<std::string(int)> value = [&](int depth) -> std::string {
    switch (random() % (depth > 3 ? 6 : 8)) {
      case 0:
        return fmt::format("{}", static_cast<std::int64_t>(random()) >> (random() % 60));
      case 1:
        return fmt::format("{}.{}e-{}", random() % 100, random() % 1000, random() % 30);
      case 2:
        return "true";
      case 3:
        return "null";
      case 4:
      case 5:
        return '"' + text() + '"';
      case 6: {
        std::string s = "[";
        for (std::size_t i = 0, n = random() % 4; i < n; ++i)
          s += (i ? "," : "") + value(depth + 1);
        return s + "]";
      }
      default: {
        std::string s = "{";
        for (std::size_t i = 0, n = random() % 4; i < n; ++i)
          s += (i ? ",\"" : "\"") + text() + "\":" + value(depth + 1);
        return s + "}";
      }
    }
  };
  std::string s = "{";
  for (std::size_t i = 0, n = 1 + random() % 6; i < n; ++i)
    s += fmt::format("{}\"{}{}\":{}", i ? "," : "", text(), i, value(1));
  return s + "}";
}

/// Changes a few bytes or tokens. `gently` keeps quotes, backslashes and high bytes as they are, so
/// that the line stays lexically sound and only its grammar breaks.
std::string mutate(std::string s, std::mt19937_64& random, bool gently) {
  static constexpr std::string_view harsh_bytes = "{}[]:,\"\\ \t\r01.eE+-tfnu/\x01\x0c\x1a\x7f\x80\xc3\xed\xff";
  static constexpr std::string_view gentle_bytes = "{}[]:, 01.eE+-tfnu";
  const auto bytes = gently ? gentle_bytes : harsh_bytes;
  const auto touchable = [&](char c) {
    return !gently || (c != '"' && c != '\\' && static_cast<unsigned char>(c) < 0x80);
  };
  for (std::size_t i = 0, n = random() % 4; i < n && !s.empty(); ++i) {
    const auto at = random() % s.size();
    switch (random() % 4) {
      case 0:
        if (touchable(s[at]))
          s[at] = bytes[random() % bytes.size()];
        break;
      case 1:
        if (touchable(s[at]))
          s.erase(at, 1);
        break;
      case 2:
        s.insert(at, 1, bytes[random() % bytes.size()]);
        break;
      default:
        if (!gently)
          s.erase(at, random() % 8);
        break;
    }
  }
  return s;
}

enum class reference { accepts, refuses, cannot_tell };

/// nlohmann's verdict; it cannot tell where a number overflows its types.
reference ask_nlohmann(const std::string& text) {
  try {
    return nlohmann::json::parse(text).is_object() ? reference::accepts : reference::refuses;
  } catch (const nlohmann::json::out_of_range&) {
    return reference::cannot_tell;
  } catch (const nlohmann::json::exception&) {
    return reference::refuses;
  }
}

reference ask_simdjson(const std::string& text) {
  simdjson::dom::parser parser;
  auto result = parser.parse(text);
  if (result.error() == simdjson::NUMBER_ERROR)
    return reference::cannot_tell;
  return !result.error() && result.value().is_object() ? reference::accepts : reference::refuses;
}

} // namespace

TEST_CASE("the scanner accepts what two other parsers accept and refuses what they refuse") {
  const std::uint64_t seed = 20'241'114;
  INFO("seed ", seed);
  std::mt19937_64 random{seed};
  std::size_t accepted = 0, refused = 0, untold = 0;
  for (int round = 0; round < 300; ++round) {
    const bool gently = round % 2 == 0;
    std::string body;
    std::vector<std::string> lines;
    while (lines.size() < 40) {
      auto line = mutate(random_event(random), random, gently);
      line.erase(std::remove(line.begin(), line.end(), '\n'), line.end());
      if (line.find_first_not_of(" \t\r") == line.npos)
        continue;
      body += line + "\n";
      lines.push_back(line);
    }
    const auto together = scan(body, "");
    CHECK_EQ(together.report.lines, lines.size());
    std::size_t next = 0;
    for (const auto& line : lines) {
      CAPTURE(line);
      const bool ours = is_event(line);
      if (ours) { // alone or among others, a line gets the same verdict
        REQUIRE_LT(next, together.events.size());
        const auto first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
        CHECK_EQ(together.events[next], line.substr(first, last + 1 - first));
        ++next;
      }
      const auto theirs = ask_nlohmann(line);
      const auto others = ask_simdjson(line);
      if (theirs != reference::cannot_tell)
        CHECK_EQ(ours, theirs == reference::accepts);
      else
        ++untold;
      if (others != reference::cannot_tell)
        CHECK_EQ(ours, others == reference::accepts);
      (ours ? accepted : refused)++;
    }
    CHECK_EQ(next, together.events.size());
  }
  // Both verdicts must have been put to the test.
  CHECK_GT(accepted, 3'000u);
  CHECK_GT(refused, 3'000u);
  CHECK_LT(untold, 200u);
}

TEST_CASE("chosen fields are rendered in the order asked for, and absent ones as null") {
  field_renderer renderer{{"b", "missing", "a"}};
  std::string out = "before\n";
  renderer.render(R"({"a":1,"c":{"b":5},"b":"x\"y"})", out);
  CHECK_EQ(out, "before\n{\"b\":\"x\\\"y\",\"missing\":null,\"a\":1}\n");
}

TEST_CASE("rendered values are the bytes that were sent") {
  field_renderer renderer{{"n", "o", "s", "l"}};
  std::string out;
  renderer.render("{ \"s\" : \"\\u00e9 é\" ,\t\"n\" :1.50E+02 , \"o\" : { \"x\" : [ 1 , 2 ] } , \"l\": [ ]  }", out);
  CHECK_EQ(out, "{\"n\":1.50E+02,\"o\":{ \"x\" : [ 1 , 2 ] },\"s\":\"\\u00e9 é\",\"l\":[ ]}\n");
}

TEST_CASE("of a field that an event has twice the last counts, also under an escaped key") {
  field_renderer renderer{{"a"}};
  std::string out;
  renderer.render(R"({"a":1,"b":2,"a":3})", out);
  renderer.render(R"({"\u0061":4})", out);
  renderer.render("{}", out);
  CHECK_EQ(out, "{\"a\":3}\n{\"a\":4}\n{\"a\":null}\n");
}

TEST_CASE("a renderer finds each of many fields") {
  std::vector<std::string> names;
  std::string event = "{", expected = "{";
  for (int i = 0; i < 300; ++i) {
    names.push_back(fmt::format("Field{}", i));
    event += fmt::format("{}\"Field{}\":{}", i ? "," : "", 299 - i, 299 - i);
    expected += fmt::format("{}\"Field{}\":{}", i ? "," : "", i, i);
  }
  field_renderer renderer{names};
  std::string out;
  renderer.render(event + "}", out);
  CHECK_EQ(out, expected + "}\n");
}

TEST_CASE("a renderer refuses names it could not keep apart and events that are none") {
  CHECK_THROWS_AS((field_renderer{{}}), std::invalid_argument);
  CHECK_THROWS_AS((field_renderer{{"a", "a"}}), std::invalid_argument);
  CHECK_THROWS_AS((field_renderer{{"a\n"}}), std::invalid_argument);
  field_renderer renderer{{"a"}};
  std::string out;
  for (const auto* text : {"", "{", "[1]", R"({"a":})", "{\"a\":\"\n\"}"})
    CHECK_THROWS_AS(renderer.render(text, out), std::invalid_argument);
  CHECK(out.empty());
}
