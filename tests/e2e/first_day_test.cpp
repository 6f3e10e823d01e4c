#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/support/gzip_text.hpp"
#include "tests/support/running_node.hpp"

using weir::running_node;

namespace {

namespace fs = std::filesystem;

std::uint64_t number(const nlohmann::json& value) {
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<std::uint64_t>();
}

/// The first sequence of an object, out of the FEXTRA subfield of its first member: 10 bytes of gzip, 2 of
/// length, `WR` and its length, a version, job, generation, first sequence.
std::uint64_t first_sequence(const std::string& object) {
  constexpr std::size_t at = 10 + 2 + 4 + 1 + 8 + 8;
  REQUIRE_GT(object.size(), at + 8);
  REQUIRE_EQ(object.substr(12, 2), "WR");
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(object[at + static_cast<std::size_t>(i)]);
  return value;
}

/// What was delivered below a directory, objects in the order of their sequences.
std::string delivered(const std::string& directory) {
  std::map<std::uint64_t, std::string> objects;
  if (!fs::exists(directory))
    return {};
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const auto name = entry.path().filename().string();
    if (!entry.is_regular_file() || name.front() == '.')
      continue;
    const auto bytes = weir::read_file(entry.path().string());
    const auto text = weir::gunzip(bytes);
    REQUIRE(text);
    CHECK(objects.emplace(first_sequence(bytes), *text).second);
  }
  std::string all;
  for (const auto& [first, text] : objects)
    all += text;
  return all;
}

std::string zone_of(const std::string& line) {
  const std::string opening = "\"ZoneID\":\"";
  const auto at = line.find(opening);
  REQUIRE_NE(at, std::string::npos);
  const auto begin = at + opening.size();
  return line.substr(begin, line.find('"', begin) - begin);
}

struct day {
  std::string text;
  std::uint64_t lines = 0;
  std::map<std::string, std::string> by_zone;    ///< Its lines, in order.
  std::map<std::string, std::uint64_t> count_of; ///< How many.
  std::vector<std::string> busiest;              ///< Zones, the largest first.
};

/// Requests of 41 zones, or what `WEIR_EVENTS_FILE` (NDJSON with `ZoneID`) holds.
day make_day(const std::string& place) {
  day result;
  if (const auto* given = std::getenv("WEIR_EVENTS_FILE")) {
    result.text = weir::read_file(given);
    REQUIRE_FALSE(result.text.empty());
  } else {
    weir::command generate{weir::built_program("weir"),
                           {"generate", "--stdout", "--events", "10000", "--zones", "41", "--zipf", "1"}};
    generate.output_file = place + "/day.ndjson";
    REQUIRE_EQ(weir::run_program(generate), 0);
    result.text = weir::read_file(generate.output_file);
  }
  std::istringstream lines(result.text);
  for (std::string line; std::getline(lines, line); ++result.lines) {
    const auto zone = zone_of(line);
    result.by_zone[zone] += line + '\n';
    ++result.count_of[zone];
  }
  for (const auto& [zone, count] : result.count_of)
    result.busiest.push_back(zone);
  std::sort(result.busiest.begin(), result.busiest.end(),
            [&](auto& a, auto& b) { return result.count_of[a] > result.count_of[b]; });
  return result;
}

std::string job_line(unsigned id, const std::string& zone, const std::string& directory, const std::string& more = "") {
  return R"({"id":)" + std::to_string(id) + R"(,"dataset":"http_requests","scope":"zones/)" + zone
         + R"(","destination_conf":"file://)" + directory + '/' + std::to_string(id)
         + R"(","max_upload_interval_seconds":1)" + more + '}';
}

struct curl_answer {
  int status = 0;
  std::string body;
};

/// The program curl, as a reader of the manual would call it.
curl_answer post_by_curl(const running_node& node, const std::string& file,
                         const std::vector<std::string>& headers = {}, const std::string& query = "") {
  weir::command curl{"curl",
                     {"-sS", node.ingest_url() + query, "--data-binary", "@" + file, "-H",
                      "Authorization: Bearer " + node.token(), "-w", "\n%{http_code}"}};
  for (const auto& header : headers)
    curl.arguments.insert(curl.arguments.end(), {"-H", header});
  curl.output_file = node.directory() + "/curl.out";
  REQUIRE_EQ(weir::run_program(curl), 0);
  const auto text = weir::read_file(curl.output_file);
  const auto end = text.rfind('\n');
  return {std::stoi(text.substr(end + 1)), text.substr(0, end)};
}

nlohmann::json counts(const curl_answer& answer) {
  INFO(answer.body);
  REQUIRE_EQ(answer.status, 200);
  return nlohmann::json::parse(answer.body);
}

} // namespace

TEST_CASE("Ten thousand requests posted with curl leave exactly the lines of the three zones with jobs, in order") {
  weir::temporary_directory place;
  const auto events = make_day(place.path());
  const std::vector<std::string> zones(events.busiest.begin(), events.busiest.begin() + 3);
  weir::node_plan plan;
  plan.objects_dir = place / "objects";
  for (unsigned i = 0; i < 3; ++i)
    plan.job_lines.push_back(job_line(i + 1, zones[i], plan.objects_dir));
  running_node node(plan);
  const auto fine = node.run({"check", node.config_file()});
  INFO(fine.text);
  REQUIRE_EQ(fine.exit_code, 0);
  node.start();

  weir::write_file(place / "body", events.text);
  const auto said = counts(post_by_curl(node, place / "body"));
  std::uint64_t wanted = 0;
  for (const auto& zone : zones)
    wanted += events.count_of.at(zone);
  CHECK_EQ(said["accepted"], wanted);
  CHECK_EQ(said["not_entitled"], events.lines - wanted);
  CHECK_EQ(said["rejected"]["count"], 0);
  REQUIRE(node.drained());

  for (unsigned i = 0; i < 3; ++i) {
    CAPTURE(i);
    CHECK((delivered(plan.objects_dir + '/' + std::to_string(i + 1)) == events.by_zone.at(zones[i])));
  }
  const auto book = node.ledger();
  INFO(book.dump());
  const auto& totals = book["totals"];
  CHECK_EQ(book["balanced"], true);
  CHECK_EQ(number(totals["received"]), events.lines);
  CHECK_EQ(number(totals["not_entitled"]), events.lines - wanted);
  CHECK_EQ(number(totals["offered"]), wanted);
  CHECK_EQ(number(totals["delivered"]), wanted);
  CHECK_EQ(number(totals["rejected"]), 0);
  REQUIRE_EQ(book["jobs"].size(), 3);
  for (unsigned i = 0; i < 3; ++i)
    CHECK_EQ(number(book["jobs"][i]["delivered"]), events.count_of.at(zones[i]));
  std::printf("%llu events, %llu of three zones delivered byte for byte\n",
              static_cast<unsigned long long>(events.lines), static_cast<unsigned long long>(wanted));

  CHECK_EQ(node.stop(), 0);
  const auto verified = node.run({"store", "verify", node.data_dir() + "/store"});
  INFO(verified.text);
  CHECK_EQ(verified.exit_code, 0);
  const auto proven = node.audit();
  INFO(proven.text);
  CHECK_EQ(proven.exit_code, 0);
  CHECK_EQ(proven.number("events"), wanted);
}

TEST_CASE("A job with field_names gets these fields in their order, and null for what an event lacks") {
  const auto zone = running_node::zones(1).front();
  weir::temporary_directory place;
  weir::node_plan plan;
  plan.objects_dir = place / "objects";
  plan.job_lines = {job_line(1, zone, plan.objects_dir),
                    job_line(2, zone, plan.objects_dir,
                             R"(,"output_options":{"field_names":["Status","RayID","Nested","Missing"]})")};
  running_node node(plan);
  node.start();
  const std::string event = R"({"RayID":"a\"b\u00e9", "ZoneID":")" + zone
                            + R"(","Status":200, "Nested":{"b": [1,2]}})"
                              "\n";
  weir::write_file(place / "body", event);
  CHECK_EQ(counts(post_by_curl(node, place / "body"))["accepted"], 2);
  REQUIRE(node.drained());
  CHECK_EQ(delivered(plan.objects_dir + "/1"), event);
  const auto text = delivered(plan.objects_dir + "/2");
  INFO(text);
  const auto got = nlohmann::ordered_json::parse(text);
  std::vector<std::string> names;
  for (const auto& [name, value] : got.items())
    names.push_back(name);
  CHECK((names == std::vector<std::string>{"Status", "RayID", "Nested", "Missing"}));
  CHECK_EQ(got["Status"], 200);
  CHECK_EQ(got["RayID"], "a\"b\xc3\xa9");
  CHECK_EQ(got["Nested"]["b"][1], 2);
  CHECK(got["Missing"].is_null());
}

TEST_CASE("Bodies packed with gzip or zstd arrive as the same events, and a truncated one is refused whole") {
  const auto zone = running_node::zones(1).front();
  weir::temporary_directory place;
  weir::node_plan plan;
  plan.jobs = 1;
  plan.objects_dir = place / "objects";
  running_node node(plan);
  node.start();
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += R"({"ZoneID":")" + zone + R"(","n":)" + std::to_string(i) + R"(,"pad":")" + std::string(100, 'x') + "\"}\n";
  weir::write_file(place / "body", text);
  weir::write_file(place / "body.gz", weir::gzip(text));
  REQUIRE_EQ(weir::run_program({"zstd", {"-q", place / "body"}}), 0);
  CHECK_EQ(counts(post_by_curl(node, place / "body.gz", {"Content-Encoding: gzip"}))["accepted"], 2000);
  CHECK_EQ(counts(post_by_curl(node, place / "body.zst", {"Content-Encoding: zstd"}))["accepted"], 2000);
  const auto packed = weir::read_file(place / "body.gz");
  weir::write_file(place / "half.gz", packed.substr(0, packed.size() / 2));
  CHECK_EQ(post_by_curl(node, place / "half.gz", {"Content-Encoding: gzip"}).status, 400);
  CHECK_EQ(post_by_curl(node, place / "body", {"Content-Encoding: br"}).status, 415);
  REQUIRE(node.drained());
  CHECK((delivered(plan.objects_dir) == text + text));
}

TEST_CASE(
    "A body repeated under its Idempotency-Key is stored once, also over a restart, and another body is refused") {
  const auto zone = running_node::zones(1).front();
  weir::temporary_directory place;
  weir::node_plan plan;
  plan.jobs = 1;
  plan.objects_dir = place / "objects";
  running_node node(plan);
  node.start();
  const auto event = R"({"ZoneID":")" + zone + "\",\"n\":1}\n";
  const std::string other = R"({"ZoneID":")" + zone + "\",\"n\":2}\n";
  weir::write_file(place / "body", event);
  weir::write_file(place / "other", other);
  const std::vector<std::string> key{"Idempotency-Key: first-day-1"};
  const auto first = post_by_curl(node, place / "body", key);
  const auto again = post_by_curl(node, place / "body", key);
  CHECK_EQ(counts(first)["accepted"], 1);
  CHECK_EQ(again.status, 200);
  CHECK_EQ(again.body, first.body);
  node.kill();
  node.start();
  const auto later = post_by_curl(node, place / "body", key);
  CHECK_EQ(later.status, 200);
  CHECK_EQ(later.body, first.body);
  const auto misused = post_by_curl(node, place / "other", key);
  CHECK_EQ(misused.status, 422);
  CHECK_NE(misused.body.find("key_reused"), std::string::npos);
  CHECK_EQ(counts(post_by_curl(node, place / "other", {"Idempotency-Key: first-day-2"}))["accepted"], 1);
  REQUIRE(node.drained());
  CHECK_EQ(delivered(plan.objects_dir), event + other);
  CHECK_EQ(number(node.ledger()["totals"]["accepted"]), 2);
}

TEST_CASE("A body with bad lines is taken without them, and the answer and the ledger name each reason") {
  const auto zone = running_node::zones(1).front();
  weir::temporary_directory place;
  weir::node_plan plan;
  plan.jobs = 1;
  plan.objects_dir = place / "objects";
  running_node node(plan);
  node.start();
  const auto event = R"({"ZoneID":")" + zone + "\"}\n";
  weir::write_file(place / "body", event + "not json\n{\"n\":1}\n" + event);
  const auto said = counts(post_by_curl(node, place / "body"));
  CHECK_EQ(said["accepted"], 2);
  CHECK_EQ(said["rejected"]["count"], 2);
  CHECK_EQ(said["rejected"]["first"][0]["line"], 2);
  CHECK_EQ(said["rejected"]["first"][0]["reason"], "not_json");
  CHECK_EQ(said["rejected"]["first"][1]["reason"], "no_scope");
  CHECK_EQ(post_by_curl(node, place / "body", {}, "?strict=1").status, 400);
  REQUIRE(node.drained());
  CHECK_EQ(delivered(plan.objects_dir), event + event);
  const auto book = node.ledger();
  INFO(book.dump());
  CHECK_EQ(book["balanced"], true);
  CHECK_EQ(number(book["totals"]["received"]), 8);
  CHECK_EQ(number(book["senders"][0]["rejected"]["not_json"]), 2);
  CHECK_EQ(number(book["senders"][0]["rejected"]["refused_with_body"]), 2);
}

TEST_CASE("check and audit end with 1 where something is wrong and with 2 on a wrong command line") {
  weir::node_plan plan;
  plan.jobs = 1;
  running_node node(plan);
  weir::write_file(node.directory() + "/bad.toml", "[node]\nname = \"n\"\n[limits]\nmemory = 0\nmisspelt = 1\n");
  const auto bad = node.run({"check", node.directory() + "/bad.toml"});
  CHECK_EQ(bad.exit_code, 1);
  CHECK_NE(bad.text.find("limits.memory"), std::string::npos);
  CHECK_NE(bad.text.find("misspelt"), std::string::npos);
  CHECK_EQ(node.run({"check"}).exit_code, 2);
  CHECK_EQ(node.run({"audit"}).exit_code, 2);
  CHECK_EQ(node.run({"store", "verify"}).exit_code, 2);
  CHECK_EQ(node.run({"store", "verify", node.directory() + "/nowhere"}).exit_code, 1);

  node.start();
  weir::load_plan load;
  load.zones = 1;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  CHECK_EQ(node.stop(), 0);
  CHECK_EQ(node.audit().exit_code, 0);
  // One object less, and the audit names the events it held.
  for (const auto& entry : fs::recursive_directory_iterator(node.objects_dir()))
    if (entry.is_regular_file()) {
      fs::remove(entry.path());
      break;
    }
  const auto missing = node.audit();
  INFO(missing.text);
  CHECK_EQ(missing.exit_code, 1);
  CHECK_GT(missing.number("receipts.missing"), 0);
}

TEST_CASE("store verify ends with 0 on what a killed node leaves behind, and with 1 when one bit of it is flipped") {
  weir::node_plan plan;
  plan.jobs = 1;
  plan.destination = "http://127.0.0.1:" + std::to_string(weir::free_port()) + "/nobody";
  running_node node(plan);
  node.start();
  weir::load_plan load;
  load.zones = 1;
  REQUIRE_EQ(node.send_all(load), 0);
  node.kill();
  const auto store = node.data_dir() + "/store";
  const auto sound = node.run({"store", "verify", store});
  INFO(sound.text);
  REQUIRE_EQ(sound.exit_code, 0);
  bool flipped = false;
  for (const auto& entry : fs::directory_iterator(store)) {
    const auto path = entry.path().string();
    const auto bytes = weir::read_file(path);
    // The subfield in front of a sealed member: `WR` and its length, 33.
    const auto member = bytes.find(std::string("WR!\0", 4));
    if (flipped || member == std::string::npos)
      continue;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(member + 60));
    file.put(static_cast<char>(bytes[member + 60] ^ 1));
    REQUIRE(file.good());
    flipped = true;
  }
  REQUIRE(flipped);
  const auto damaged = node.run({"store", "verify", store});
  INFO(damaged.text);
  CHECK_EQ(damaged.exit_code, 1);
  CHECK_NE(damaged.text.find("DAMAGE"), std::string::npos);
}
