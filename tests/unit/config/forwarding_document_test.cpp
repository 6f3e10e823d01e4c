#include "config/forwarding_document.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include "config/forwarding_diff.hpp"
#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;

namespace {

external_expectations expecting() {
  external_expectations result;
  result.config.cluster = "weir";
  result.config.datasets = listed_datasets();
  result.config.max_jobs = 10'000;
  return result;
}

std::string job_text(std::uint64_t id, const std::string& more = "") {
  return fmt::format(R"({{"id":{0},"dataset":"http_requests","scope":"zones/z{0}",)"
                     R"("destination_conf":"file:///var/tmp/weir/{0}"{1}}})",
                     id, more);
}

std::string jobs_text(std::uint64_t count) {
  std::string result;
  for (std::uint64_t id = 1; id <= count; ++id)
    result += (id == 1 ? "" : ",\n") + job_text(id);
  return result;
}

std::string document(const std::string& jobs, std::uint64_t entries, const std::string& more = "") {
  return fmt::format(R"({{ "format": 1, "cluster": "weir", "version": 7, "entries": {}{},
 "jobs": [{}] }}
)",
                     entries, more, jobs);
}

forwarding_config_result load(const std::string& text, const external_expectations& expected = expecting()) {
  std::istringstream from(text);
  auto result = load_external_config(from, expected);
  CHECK_EQ(result.snapshot == nullptr, result.reason != config_refusal::none);
  CHECK_EQ(result.text.empty(), result.snapshot != nullptr);
  return result;
}

std::string reason_of(const std::string& text, const external_expectations& expected = expecting()) {
  return std::string{name_of(load(text, expected).reason)};
}

class failing_buffer final : public std::streambuf {
  int_type underflow() override { throw std::system_error(std::make_error_code(std::errc::io_error)); }
};

} // namespace

TEST_CASE("a document of another program becomes the same config as the jobs it lists") {
  const auto loaded = load(document(
      jobs_text(40), 40, R"(, "parent": 6, "created": 1700000000, "accounts": [{"id":"acc","zones":["z1","z2"]}])"));
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  CHECK_EQ(number(loaded.snapshot->version), 7u);
  CHECK_EQ(number(loaded.snapshot->parent), 6u);
  CHECK_EQ(loaded.snapshot->created.time_since_epoch(), std::chrono::seconds{1'700'000'000});
  CHECK_EQ(loaded.snapshot->table.entry_count(), 40u);
  CHECK_EQ(loaded.snapshot->tenants.name(*loaded.snapshot->tenants.owner_of(scope_kind::zones, "z2")), "accounts/acc");
  CHECK(listed(*loaded.snapshot) == plain_jobs(40));
}

TEST_CASE("settings of a job in a document are those of the job API") {
  const auto loaded = load(document(
      job_text(
          1,
          R"(,"name":"a \"b\" ] } ü","enabled":true,"max_upload_records":5000,"output_options":{"field_names":["RayID"]})")
          + "," + job_text(2'000'000, R"(,"enabled":false)"),
      1));
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  const auto x = *loaded.snapshot->find_job(job_id{1});
  CHECK_EQ(x.name, "a \"b\" ] } ü");
  CHECK_EQ(x.max_upload_records, 5'000u);
  CHECK_EQ(x.field_names->size(), 1u);
  CHECK_FALSE(loaded.snapshot->find_job(job_id{2'000'000})->enabled);
}

TEST_CASE("CFG-01 (a), (b), (e): nothing, or nothing but white space, is refused as blank") {
  for (const std::string& blank : {std::string{}, std::string(" "), std::string("\n\t \r\n"), std::string(100'000, ' '),
                                   std::string(4'096, '\0')}) {
    const auto result = load(blank);
    CHECK_EQ(name_of(result.reason), "blank");
    CHECK_EQ(result.text, "the forwarding config is blank");
  }
}

TEST_CASE("CFG-01 (c): a well-formed document without customers is refused") {
  CHECK_EQ(reason_of(document("", 0)), "zero_entries");
  CHECK_EQ(reason_of(document(job_text(1, R"(,"enabled":false)"), 0)), "zero_entries");
  CHECK_EQ(reason_of("{}"), "incomplete");
  CHECK_EQ(reason_of(R"({"format":1,"cluster":"weir","version":7,"entries":0})"), "incomplete");
  CHECK_EQ(reason_of(R"({"format":1,"cluster":"weir","version":7,"entries":0,"jobs":null})"), "unparsable");
  for (const char* text : {"null", "[]", "0", "\"\"", "<html><body>502</body></html>", "jobs:\n", "WEIRFC02........"})
    CHECK_EQ(reason_of(text), "unparsable");
}

TEST_CASE("CFG-01 (d): a source that cannot be read is no blank config") {
  failing_buffer broken;
  std::istream from(&broken);
  CHECK_EQ(name_of(load_external_config(from, expecting()).reason), "unreadable");
  std::istream nothing(nullptr);
  CHECK_EQ(name_of(load_external_config(nothing, expecting()).reason), "unreadable");
}

TEST_CASE("CFG-02: a document that ends before its end is refused, also behind a complete job") {
  const auto text = document(jobs_text(30), 30);
  const auto end = text.size() - 2; // the last brace and the newline behind it
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::vector<std::size_t> cuts{1, 2, end};
  for (auto at = text.find("},\n"); at != std::string::npos; at = text.find("},\n", at + 1)) {
    cuts.push_back(at + 1); // exactly behind a job
    cuts.push_back(at + 2);
  }
  for (int i = 0; i < 20; ++i)
    cuts.push_back(1 + random() % end);
  for (const auto cut : cuts) {
    const auto result = load(text.substr(0, cut));
    CHECK_MESSAGE(name_of(result.reason) == "truncated", cut << ": " << result.text);
  }
  CHECK_EQ(reason_of(text + "x"), "unparsable");
  CHECK_EQ(reason_of(text + text), "unparsable");
}

TEST_CASE("CFG-02: a document that was closed behind half of its jobs contradicts its count") {
  CHECK_EQ(reason_of(document(jobs_text(20), 40)), "inconsistent");
  CHECK_EQ(reason_of(document(jobs_text(20), 19)), "inconsistent");
}

TEST_CASE("CFG-02: one flipped byte anywhere is refused or changes nothing but one value") {
  const auto text = document(jobs_text(12), 12);
  const auto good = load(text).snapshot;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    const auto result = load(flipped);
    refused += result.snapshot ? 0 : 1;
    // JSON has no checksum: what still reads well differs in one job, which the guards weigh.
    if (result.snapshot)
      REQUIRE_LE(diff(*good, *result.snapshot).ids().size(), 2u);
  }
  CHECK_GT(refused, text.size() / 2);
}

TEST_CASE("SEC-15: a document mangled in any way is refused or read, and nothing else happens") {
  const auto text = document(jobs_text(6), 6, R"(, "accounts": [{"id":"acc","zones":["z1","z2"]}])");
  const auto bytes = bytes_of_config(*load(text).snapshot);
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::size_t refused = 0;
  for (int round = 0; round < 4'000; ++round) {
    auto mangled = round % 4 == 0 ? bytes : text;
    for (auto times = 1 + random() % 4; times != 0 && !mangled.empty(); --times) {
      const auto at = random() % mangled.size();
      const auto count = random() % 40;
      switch (random() % 4) {
        case 0:
          mangled.erase(at, count);
          break;
        case 1:
          mangled.insert(at, mangled.substr(random() % mangled.size(), count));
          break;
        case 2:
          mangled.insert(at, count, "{}[]\",:\\0 \n\xff"[random() % 12]);
          break;
        default:
          mangled[at] = static_cast<char>(random());
      }
    }
    refused += load(mangled).snapshot ? 0 : 1;
  }
  CHECK_GT(refused, 3'000u);
}

TEST_CASE("each kind of mistake in a document has a reason of its own") {
  const auto one = job_text(1);
  CHECK_EQ(reason_of(document(one + "," + job_text(1), 2)), "duplicate");
  CHECK_EQ(reason_of(document(one, 1, R"(, "version": 8)")), "duplicate");
  CHECK_EQ(reason_of(document(job_text(1, R"(,"name":"a","name":"b")"), 1)), "duplicate");
  CHECK_EQ(reason_of(document(one, 1, R"(, "all": true)")), "unknown_key");
  CHECK_EQ(reason_of(document(one, 1, R"(, "Version": 8)")), "unknown_key");
  CHECK_EQ(reason_of(document(job_text(1, R"(,"filters":"x")"), 1)), "unknown_key");
  CHECK_EQ(reason_of(document(job_text(1, R"(,"filter":"x")"), 1)), "unknown_key");
  CHECK_EQ(reason_of(document(R"({"id":1,"dataset":"http_requests","scope":"zones/a"})", 1)), "incomplete");
  CHECK_EQ(reason_of(document("{}", 1)), "incomplete");
  CHECK_EQ(reason_of(document(job_text(0), 1)), "invalid_job");
  CHECK_EQ(reason_of(document(job_text(1, R"(,"enabled":"yes")"), 1)), "invalid_job");
  CHECK_EQ(reason_of(document("7", 1)), "invalid_job");
  CHECK_EQ(reason_of(document(R"({"id":1,"dataset":"dns","scope":"zones/a","destination_conf":"file:///a"})", 1)),
           "unknown_dataset");
  CHECK_EQ(reason_of(document(
               R"({"id":1,"dataset":"http_requests","scope":"accounts/a","destination_conf":"file:///a"})", 1)),
           "invalid_job");
  CHECK_EQ(reason_of(document(one, 1, R"(, "accounts": [{"id":"a","zones":["z"]},{"id":"b","zones":["z"]}])")),
           "inconsistent");
  CHECK_EQ(reason_of(document(one, 1, R"(, "accounts": [{"id":"a"}])")), "incomplete");
  CHECK_EQ(reason_of(document(one, 1, R"(, "accounts": [{"id":"a","zones":[],"owner":1}])")), "unknown_key");
  CHECK_EQ(reason_of(document(one, 1, R"(, "jobs": [], "accounts": [])")), "inconsistent");
  CHECK_EQ(reason_of(document(one, 1, R"(, "parent": -1)")), "inconsistent");
  CHECK_EQ(reason_of(document(one + ",", 1)), "unparsable");
  CHECK_EQ(reason_of(document(one + " " + job_text(2), 2)), "unparsable");
}

TEST_CASE("a document of another cluster, an older version or a newer format is refused") {
  auto expected = expecting();
  expected.config.cluster = "other";
  CHECK_EQ(reason_of(document(job_text(1), 1), expected), "foreign_cluster");
  expected = expecting();
  expected.config.in_force = config_version{7};
  const auto older = load(document(job_text(1), 1), expected);
  CHECK_EQ(name_of(older.reason), "older_version");
  CHECK_NE(older.text.find("version 7"), std::string::npos);
  expected.config.in_force = config_version{6};
  CHECK_EQ(reason_of(document(job_text(1), 1), expected), "none");
  CHECK_EQ(reason_of(R"({"format":2})"), "unknown_format");
  CHECK_EQ(reason_of(R"({"format":1,"cluster":"weir","version":0})"), "older_version");
}

TEST_CASE("CFG-04: a document is bounded in bytes, jobs, values and depth before any of it is kept") {
  auto expected = expecting();
  expected.config.max_jobs = 20;
  CHECK_EQ(reason_of(document(jobs_text(20), 20), expected), "none");
  CHECK_EQ(reason_of(document(jobs_text(21), 21), expected), "too_many");
  expected = expecting();
  const auto text = document(jobs_text(20), 20);
  expected.max_bytes = text.size();
  CHECK_EQ(reason_of(text, expected), "none");
  expected.max_bytes = text.size() - 1;
  CHECK_EQ(reason_of(text, expected), "too_large");
  CHECK_EQ(reason_of(std::string(text.size(), ' '), expected), "too_large");
  CHECK_EQ(reason_of(document(job_text(1, ",\"name\":\"" + std::string(1u << 20, 'x') + "\""), 1)), "too_large");
  CHECK_EQ(reason_of(R"({"cluster":")" + std::string(1u << 20, 'x')), "too_large");
  CHECK_EQ(reason_of(R"({")" + std::string(1u << 20, 'x')), "too_large");
  CHECK_EQ(reason_of(document(job_text(1, ",\"name\":" + std::string(1'000, '[')), 1)), "unparsable");
}

TEST_CASE("a job of another program is judged like a declared one, and its destination like everybody's") {
  const auto with = [](const std::string& destination) {
    return document(R"({"id":1,"dataset":"http_requests","scope":"zones/a","destination_conf":")" + destination + "\"}",
                    1);
  };
  CHECK_EQ(reason_of(with("https://example.com/logs")), "none");
  CHECK_EQ(reason_of(with("https://127.0.0.1/logs")), "invalid_job");
  CHECK_EQ(reason_of(with("http://example.com/logs")), "invalid_job");
  CHECK_EQ(reason_of(with("nowhere")), "invalid_job");
  const auto secret = load(with("nowhere://x?password=canary"));
  CHECK_EQ(secret.text.find("canary"), std::string::npos);
}

TEST_CASE("accounts of the node's own config hold, and a document cannot take their zones away") {
  auto expected = expecting();
  expected.owners = {{"alice", "z1"}};
  const auto loaded = load(document(job_text(1), 1), expected);
  REQUIRE(loaded.snapshot);
  CHECK_EQ(loaded.snapshot->tenants.name(*loaded.snapshot->tenants.owner_of(scope_kind::zones, "z1")),
           "accounts/alice");
  CHECK_EQ(reason_of(document(job_text(1), 1, R"(, "accounts": [{"id":"bob","zones":["z1"]}])"), expected),
           "inconsistent");
  CHECK_EQ(reason_of(document(job_text(1), 1, R"(, "accounts": [{"id":"alice","zones":["z1","z9"]}])"), expected),
           "none");
}

TEST_CASE("the binary form is recognised, and its jobs are judged like those of a document") {
  const auto from_document = load(document(jobs_text(30), 30)).snapshot;
  const auto bytes = bytes_of_config(*from_document);
  const auto loaded = load(bytes);
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  CHECK(loaded.snapshot->content == from_document->content);
  CHECK_EQ(reason_of(bytes.substr(0, bytes.size() / 2)), "truncated");

  auto expected = expecting();
  expected.max_bytes = bytes.size() - 1;
  CHECK_EQ(reason_of(bytes, expected), "too_large");

  // Checksums that are right prove nothing about a stranger's jobs.
  auto jobs = plain_jobs(3);
  CHECK_EQ(reason_of(bytes_of_config(*made_of(jobs, 7))),
           "inconsistent"); // fingerprints are not those of the destinations
  const auto one = [](const std::string& destination, std::uint64_t fingerprint, std::uint32_t on_hold_since) {
    config_builder builder(listed_datasets(), {});
    auto x = job_of({1, "zones/z1", destination, "", true, on_hold_since});
    auto y = job_of({2, "zones/z2", destination, "", true, 0});
    REQUIRE(builder.add(x, fingerprint));
    REQUIRE(builder.add(y, fingerprint));
    return bytes_of_config(*builder.finish({config_version{7}, {}, {}, ownership_epoch{1}, "weir", {}}));
  };
  const auto fingerprint = parse_destination("file:///a", {}).value->fingerprint;
  CHECK_EQ(reason_of(one("file:///a", fingerprint, 0)), "none");
  CHECK_EQ(reason_of(one("file:///a", fingerprint, 1'700'000'000)), "inconsistent");
  CHECK_EQ(reason_of(one("https://127.0.0.1/", fingerprint, 0)), "invalid_job");
}

TEST_CASE("CFG-02: with a generator's key only what it signed is taken, and JSON cannot be signed") {
  const auto signer = config_signer::make();
  const auto stranger = config_signer::make();
  const auto made = load(document(jobs_text(30), 30)).snapshot;
  auto expected = expecting();
  expected.config.keys = {signer.public_key()};
  CHECK_EQ(reason_of(bytes_of_config(*made, &signer), expected), "none");
  CHECK_EQ(reason_of(bytes_of_config(*made, &stranger), expected), "wrong_signature");
  CHECK_EQ(reason_of(bytes_of_config(*made), expected), "unsigned_config");
  CHECK_EQ(reason_of(document(jobs_text(30), 30), expected), "unsigned_config");
  CHECK_EQ(reason_of("", expected), "blank");
}
