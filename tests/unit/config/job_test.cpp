#include <doctest/doctest.h>

#include <string>

#include "config/config_snapshot.hpp"
#include "config/job.hpp"
#include "tests/unit/config/config_fixture.hpp"

using namespace weir;

namespace {

struct parsed_line {
  job value;
  bool good = false;
  problem_list problems;
};

parsed_line parse(std::string_view line) {
  parsed_line result;
  job_line_parser parser;
  result.good = parser.parse(line, "jobs.ndjson:17", result.value, result.problems);
  CHECK_EQ(result.good, result.problems.empty());
  return result;
}

const std::string good_line =
    R"({"id":7,"dataset":"http_requests","scope":"zones/)" + zone_a + R"(","destination_conf":"file:///var/tmp/a")";

const std::vector<dataset_config> datasets{{"http_requests", "ZoneID", "", scope_kind::zones, {}},
                                           {"audit_logs", "AccountID", "", scope_kind::accounts, {}},
                                           {"typed", "Z", "", scope_kind::zones, {{"RayID", field_type::text}}}};

problem_list problems_of(std::string_view line, job_origin origin = job_origin::declared,
                         std::uint64_t store_max_bytes = 0) {
  auto parsed = parse(line);
  REQUIRE_MESSAGE(parsed.good, all_of(parsed.problems));
  destination_rules destinations;
  destinations.file_roots = {"/var/tmp"};
  problem_list problems;
  check(parsed.value, {datasets, destinations, store_max_bytes, origin}, "job", problems);
  return problems;
}

} // namespace

TEST_CASE("a line of a job file holds one job in the words of the job API") {
  const auto parsed = parse(good_line
                            + R"(,"name":"zone one","enabled":false,"revision":4,"max_upload_bytes":5000000,)"
                              R"("max_upload_records":1000,"max_upload_interval_seconds":30,"buffer_bytes":"1GiB",)"
                              R"("output_options":{"field_names":["RayID","ClientIP"]}})");
  REQUIRE_MESSAGE(parsed.good, all_of(parsed.problems));
  CHECK_EQ(number(parsed.value.id), 7u);
  CHECK_EQ(parsed.value.dataset, "http_requests");
  CHECK_EQ(parsed.value.scope, "zones/" + zone_a);
  CHECK_EQ(parsed.value.destination_conf.reveal(), "file:///var/tmp/a");
  CHECK_EQ(parsed.value.name, "zone one");
  CHECK_FALSE(parsed.value.enabled);
  CHECK_EQ(number(parsed.value.revision), 4u);
  CHECK_EQ(parsed.value.max_upload_bytes, 5'000'000u);
  CHECK_EQ(parsed.value.max_upload_records, 1'000u);
  CHECK_EQ(parsed.value.max_upload_interval_seconds, 30u);
  CHECK_EQ(parsed.value.max_buffer_bytes, 1ull << 30);
  CHECK_EQ(parsed.value.field_names, std::vector<std::string>{"RayID", "ClientIP"});
}

TEST_CASE("a declared job is on, and gets the defaults, unless it says otherwise") {
  const auto parsed = parse(good_line + "}");
  REQUIRE(parsed.good);
  CHECK(parsed.value.enabled);
  CHECK(parsed.value.field_names.empty());
  CHECK_EQ(parsed.value.max_upload_bytes, 0u);
}

TEST_CASE("keys that clients write out to leave them unset are taken as unset") {
  CHECK(parse(good_line
              + R"(,"filter":"","name":"","logpull_options":null,"kind":"","max_upload_bytes":0,"frequency":null,)"
                R"("filter_attack_traffic":false,"output_options":null,"last_error":null})")
            .good);
}

TEST_CASE("a key that is unknown, doubled or not supported refuses the job by its name") {
  CHECK_PROBLEM(parse(good_line + R"(,"idd":1})").problems, "jobs.ndjson:17: idd", "not a key of a job");
  CHECK_PROBLEM(parse(good_line + R"(,"id":8})").problems, "jobs.ndjson:17: id", "twice");
  CHECK_PROBLEM(parse(good_line + R"(,"filter":"{\"where\":{}}"})").problems, "filter", "not supported");
  CHECK_PROBLEM(parse(good_line + R"(,"kind":"edge"})").problems, "kind", "not supported");
  CHECK_PROBLEM(parse(good_line + R"(,"output_options":{"sample_rate":0.1}})").problems, "output_options.sample_rate",
                "not supported");
  CHECK_PROBLEM(parse(good_line + R"(,"output_options":{"field_names":[],"batch_prefix":"x"}})").problems,
                "output_options.batch_prefix", "not supported");
}

TEST_CASE("every problem of a line is reported with its field, all at once") {
  const auto parsed =
      parse(R"({"id":"7","dataset":5,"scope":null,"enabled":"yes","max_upload_records":-1,)"
            R"("max_upload_bytes":1.5,"output_options":{"field_names":[1]},"revision":18446744073709551615})");
  for (const char* key : {"id", "dataset", "scope", "enabled", "max_upload_records", "max_upload_bytes",
                          "output_options.field_names", "revision"})
    CHECK_PROBLEM(parsed.problems, std::string{"jobs.ndjson:17: "} + key, "");
  CHECK_PROBLEM(parsed.problems, "destination_conf", "missing");
}

TEST_CASE("what is no JSON object is refused with its line") {
  for (const char* line : {"", "{", "[]", "null", "7", "\"a\"", "{\"id\":1}}", "{\"id\":1,}", "{'id':1}", "\xff\xfe",
                           "{\"a\":\"\xc3\x28\"}", "{\"id\":1} {\"id\":2}"}) {
    const auto parsed = parse(line);
    CHECK_FALSE_MESSAGE(parsed.good, line);
    CHECK_PROBLEM(parsed.problems, "jobs.ndjson:17", "");
  }
  CHECK_FALSE(parse(std::string(100'000, '[')).good);
  CHECK_FALSE(parse(std::string(200'000, ' ')).good);
  CHECK_FALSE(parse(std::string_view{"\0\0\0", 3}).good);
}

TEST_CASE("a problem shows neither control characters nor the destination") {
  auto parsed = parse(good_line + R"(,"a\u001b[31m":1})");
  CHECK_FALSE(parsed.problems.empty());
  CHECK_EQ(all_of(parsed.problems).find('\x1b'), std::string::npos);
  const auto problems = problems_of(R"({"id":1,"dataset":"http_requests","scope":"zones/a","destination_conf":)"
                                    R"("https://example.com/?header_X=canary%0a"})");
  CHECK_PROBLEM(problems, "destination_conf", "header_X");
  CHECK_EQ(all_of(problems).find("canary"), std::string::npos);
}

TEST_CASE("a job must fit its dataset, its scope and its limits") {
  CHECK_NO_PROBLEM(problems_of(good_line + "}"));
  const auto line = [](const std::string& scope, const std::string& dataset, const std::string& more = "") {
    return R"({"id":1,"destination_conf":"file:///var/tmp/a","dataset":")" + dataset + R"(","scope":")" + scope + "\""
           + more + "}";
  };
  CHECK_NO_PROBLEM(problems_of(line("accounts/a", "audit_logs")));
  CHECK_PROBLEM(problems_of(line("accounts/a", "http_requests")), "scope", "never match");
  CHECK_PROBLEM(problems_of(line("zones/a", "audit_logs")), "scope", "never match");
  CHECK_PROBLEM(problems_of(line("zones/a", "nothing")), "dataset", "'nothing' is not in the config");
  CHECK_PROBLEM(problems_of(line("zones/../x", "http_requests")), "scope", "is no scope");
  CHECK_PROBLEM(problems_of(line("zones/a", "http_requests", R"(,"name":"a\nb")")), "name", "control character");
  CHECK_PROBLEM(problems_of(line("zones/a", "http_requests", ",\"name\":\"" + std::string(513, 'x') + "\"")), "name",
                "512");
  CHECK_PROBLEM(problems_of(line("zones/a", "http_requests", R"(,"output_options":{"field_names":["A","B","A"]})")),
                "field_names", "'A' twice");
  CHECK_PROBLEM(problems_of(line("zones/a", "http_requests", R"(,"output_options":{"field_names":[""]})")),
                "field_names", "not the name");
  CHECK_NO_PROBLEM(problems_of(line("zones/a", "typed", R"(,"output_options":{"field_names":["RayID"]})")));
  CHECK_PROBLEM(problems_of(line("zones/a", "typed", R"(,"output_options":{"field_names":["RayId"]})")), "field_names",
                "'RayId' is not a field of typed");
  CHECK_PROBLEM(
      problems_of(line("zones/a", "http_requests", R"(,"buffer_bytes":"2GiB")"), job_origin::declared, 1u << 30),
      "buffer_bytes", "more than the whole store");
}

TEST_CASE("upload limits keep the ranges of the job API; declared jobs may be quicker") {
  const auto with = [](const std::string& key, std::uint64_t value, job_origin origin) {
    auto line = good_line + ",\"" + key + "\":" + std::to_string(value) + "}";
    if (origin == job_origin::api)
      line.replace(line.find("\"id\":7"), 6, "\"id\":1000001");
    return problems_of(line, origin);
  };
  const struct {
    const char* key;
    std::uint64_t api_least, most;
  } rules[] = {{"max_upload_bytes", 5'000'000, 1'000'000'000},
               {"max_upload_records", 1'000, 1'000'000},
               {"max_upload_interval_seconds", 30, 300}};
  for (const auto& rule : rules) {
    for (const auto origin : {job_origin::declared, job_origin::api}) {
      CHECK_NO_PROBLEM(with(rule.key, 0, origin));
      CHECK_NO_PROBLEM(with(rule.key, rule.api_least, origin));
      CHECK_NO_PROBLEM(with(rule.key, rule.most, origin));
      CHECK_PROBLEM(with(rule.key, rule.most + 1, origin), rule.key, "allowed");
    }
    CHECK_NO_PROBLEM(with(rule.key, 1, job_origin::declared));
    CHECK_PROBLEM(with(rule.key, rule.api_least - 1, job_origin::api), rule.key, "allowed");
  }
}

TEST_CASE("declared jobs have ids up to a million, those of the API come behind") {
  const auto with = [](std::uint64_t id, job_origin origin) {
    auto line = good_line + "}";
    line.replace(line.find("\"id\":7"), 6, "\"id\":" + std::to_string(id));
    return problems_of(line, origin);
  };
  CHECK_NO_PROBLEM(with(1'000'000, job_origin::declared));
  CHECK_PROBLEM(with(1'000'001, job_origin::declared), "id", "1 to 1000000");
  CHECK_PROBLEM(with(0, job_origin::declared), "id", "");
  CHECK_NO_PROBLEM(with(1'000'001, job_origin::api));
  CHECK_PROBLEM(with(1'000'000, job_origin::api), "id", "begin at 1000001");
}

TEST_CASE("a job without a revision gets one that follows from its settings alone") {
  auto a = parse(good_line + "}").value;
  auto b = a;
  CHECK_EQ(number(settings_revision(a)), number(settings_revision(b)));
  b.id = job_id{8};
  CHECK_EQ(number(settings_revision(a)), number(settings_revision(b)));
  for (auto change :
       {+[](job& x) { x.name = "n"; }, +[](job& x) { x.enabled = false; }, +[](job& x) { x.field_names = {"A"}; },
        +[](job& x) { x.max_upload_records = 1; }, +[](job& x) { x.max_buffer_bytes = 1; },
        +[](job& x) { x.destination_conf = secret{"file:///var/tmp/b"}; }}) {
    b = a;
    change(b);
    CHECK_NE(number(settings_revision(a)), number(settings_revision(b)));
  }
}
