// The forwarding config of another program, as it is found at its place.

#include "actors/config_source.hpp"

#include <map>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace weir;

namespace {

std::string document(std::uint64_t version, unsigned jobs = 1) {
  std::string text = fmt::format(R"({{"format":1,"cluster":"weir","version":{},"entries":{},"jobs":[)", version, jobs);
  for (unsigned i = 1; i <= jobs; ++i)
    text += fmt::format(
        R"({}{{"id":{},"dataset":"http_requests","scope":"zones/zone{}","destination_conf":"file:///out/{}"}})",
        i > 1 ? "," : "", i, i, i);
  return text + "]}";
}

/// A source that says what a test wants.
struct told_reader final : source_reader {
  source_look next;
  std::string asked_with;
  int looks = 0;

  source_look look(const std::string& seen, std::uint64_t) override {
    ++looks;
    asked_with = seen;
    return std::move(next);
  }
  void says(std::string text, std::string tag = "") {
    next = {};
    next.what = source_look::result::document;
    next.document = std::make_unique<std::istringstream>(std::move(text));
    next.tag = std::move(tag);
  }
  void says_unchanged() {
    next = {};
    next.what = source_look::result::unchanged;
  }
  void fails(std::string reason) {
    next = {};
    next.reason = std::move(reason);
    next.text = "says the test";
  }
};

external_expectations expectations() {
  external_expectations expected;
  expected.config.cluster = "weir";
  dataset_config requests;
  requests.name = "http_requests";
  requests.scope_field = "ZoneID";
  expected.config.datasets = {requests};
  return expected;
}

struct reading_source {
  told_reader* reader = new told_reader; // of `source`
  config_source source{{std::unique_ptr<source_reader>{reader}, expectations(), "https://generator.example/config"}};

  bool poll(std::string text, std::string tag = "") {
    reader->says(std::move(text), std::move(tag));
    return source.poll();
  }
  std::string reason() const { return source.last().reason; }
  std::uint64_t version() const {
    const auto snapshot = source.last().snapshot;
    return snapshot ? number(snapshot->version) : 0;
  }
};

} // namespace

TEST_CASE("before the first look a source says nothing, and says so") {
  reading_source x;
  CHECK_EQ(x.source.last().snapshot, nullptr);
  CHECK_EQ(x.reason(), "not_read_yet");
}

TEST_CASE("a document that another program made becomes a config, read once as long as it is the same") {
  reading_source x;
  CHECK(x.poll(document(1)));
  REQUIRE_EQ(x.version(), 1);
  CHECK_EQ(x.source.last().who, "https://generator.example/config");
  const auto first = x.source.last().snapshot;
  CHECK_FALSE(x.poll(document(1)));
  CHECK_EQ(x.source.last().snapshot, first);
  CHECK(x.poll(document(2, 2)));
  CHECK_EQ(x.version(), 2);
}

TEST_CASE("CFG-01: an answer without content is a failure with a name, and never a config") {
  reading_source x;
  const std::pair<std::string, std::string> cases[] = {
      {"", "blank"},
      {" \n\t\r\n", "blank"},
      {std::string(100, '\0'), "blank"},
      {R"({"format":1,"cluster":"weir","version":5,"entries":0,"jobs":[]})", "zero_entries"},
      {"null", "unparsable"},
      {"[]", "unparsable"},
      {"{}", "incomplete"},
      {"<html>502 Bad Gateway</html>", "unparsable"},
  };
  for (const auto& [text, reason] : cases) {
    CAPTURE(text);
    REQUIRE(x.poll(document(1)));
    CHECK(x.poll(text));
    CHECK_EQ(x.source.last().snapshot, nullptr);
    CHECK_EQ(x.reason(), reason);
    CHECK_NE(x.source.last().text, "");
  }
}

TEST_CASE("CFG-02: half a document is refused, wherever it ends") {
  reading_source x;
  const auto whole = document(7, 5);
  for (std::size_t size = 1; size < whole.size(); ++size) {
    x.poll(whole.substr(0, size));
    REQUIRE_EQ(x.source.last().snapshot, nullptr);
    REQUIRE_NE(x.reason(), "");
  }
  CHECK(x.poll(whole));
  CHECK_EQ(x.version(), 7);
}

TEST_CASE("a failure lasts while the source still holds what was refused, and ends with it") {
  reading_source x;
  REQUIRE(x.poll(document(1), "\"a\""));
  REQUIRE(x.poll("", "\"b\""));
  x.reader->says_unchanged();
  CHECK_FALSE(x.source.poll());
  CHECK_EQ(x.reader->asked_with, "\"b\"");
  CHECK_EQ(x.reason(), "blank");
  x.reader->fails("unreachable");
  CHECK(x.source.poll());
  CHECK_EQ(x.reason(), "unreachable");
  x.reader->says_unchanged();
  CHECK(x.source.poll());
  CHECK_EQ(x.reason(), "blank");
  REQUIRE(x.poll(document(1), "\"a\""));
  CHECK_EQ(x.version(), 1);
}

TEST_CASE("a source that was out of reach and says that nothing changed is what it was before") {
  reading_source x;
  REQUIRE(x.poll(document(3), "W/\"3\""));
  const auto before = x.source.last().snapshot;
  x.reader->fails("unreachable");
  CHECK(x.source.poll());
  CHECK_EQ(x.source.last().snapshot, nullptr);
  x.reader->says_unchanged();
  CHECK(x.source.poll());
  CHECK_EQ(x.reader->asked_with, "W/\"3\"");
  CHECK_EQ(x.source.last().snapshot, before);
}

TEST_CASE("\"unchanged\" from a source that was not asked for changes is a failure") {
  reading_source x;
  REQUIRE(x.poll(document(1))); // without a tag
  x.reader->says_unchanged();
  CHECK(x.source.poll());
  CHECK_EQ(x.source.last().snapshot, nullptr);
  CHECK_EQ(x.reason(), "refused_by_source");
}

TEST_CASE("a generator that goes back to an older version is refused, and the same one with new content is not") {
  reading_source x;
  REQUIRE(x.poll(document(5, 2)));
  CHECK(x.poll(document(4, 3)));
  CHECK_EQ(x.reason(), "older_version");
  CHECK(x.poll(document(5, 3)));
  CHECK_EQ(x.version(), 5);
}

TEST_CASE("a document is not read beyond forwarding.max_bytes, whatever was announced") {
  auto* reader = new told_reader;
  auto expected = expectations();
  expected.max_bytes = document(1).size();
  config_source source{{std::unique_ptr<source_reader>{reader}, expected, "here"}};
  reader->says(document(1));
  CHECK(source.poll());
  CHECK(source.last().snapshot);
  reader->says(document(1) + " ");
  CHECK(source.poll());
  CHECK_EQ(source.last().snapshot, nullptr);
  CHECK_EQ(source.last().reason, "too_large");
}

TEST_CASE("a file that is gone, too long or not readable is a failure, and the next one that is fine ends it") {
  std::map<std::string, std::string> files;
  config_world world;
  world.open = [&](const std::string& path, file_facts& facts, std::string& error) -> std::unique_ptr<std::istream> {
    const auto found = files.find(path);
    if (found == files.end()) {
      error = "No such file or directory";
      return nullptr;
    }
    facts = {found->second.size(), 0644, found->second != "directory"};
    if (!facts.regular) {
      error = "not a regular file";
      return nullptr;
    }
    return std::make_unique<std::istringstream>(found->second);
  };
  auto expected = expectations();
  expected.max_bytes = 500;
  config_source source{{make_file_reader(world, "/generator/config"), expected, "file:/generator/config"}};
  CHECK(source.poll());
  CHECK_EQ(source.last().reason, "missing");
  files["/generator/config"] = document(1);
  CHECK(source.poll());
  CHECK(source.last().snapshot);
  files["/generator/config"] = document(2, 20);
  CHECK(source.poll());
  CHECK_EQ(source.last().reason, "too_large");
  files["/generator/config"] = "directory";
  CHECK(source.poll());
  CHECK_EQ(source.last().reason, "unreadable");
  files.clear();
  CHECK(source.poll());
  CHECK_EQ(source.last().reason, "missing");
  files["/generator/config"] = document(1);
  CHECK(source.poll());
  CHECK(source.last().snapshot);
}
