// Configs of another program, as wrong as they can be, against the real binary under load.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/support/sink_server.hpp"
#include "tests/support/steady_traffic.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;
using weir::running_node;
using weir::wait_for;

namespace {

constexpr unsigned entitled = 30; ///< Jobs, one for each of the first zones.
constexpr unsigned known = 45;    ///< Zones that events come for.

std::uint64_t to_number(const nlohmann::json& x) {
  return x.is_string() ? std::stoull(x.get<std::string>()) : x.is_number() ? x.get<std::uint64_t>() : 0;
}

/// A node whose forwarding config another program writes, to a file or to wherever `source` says.
struct generated {
  std::vector<std::string> zones = running_node::zones(known);
  running_node node;
  std::optional<weir::process> sender;

  static weir::node_plan plan(const std::string& source, const std::string& more) {
    weir::node_plan plan;
    plan.jobs = entitled; // for the audit; the node takes the generator's
    plan.settings["forwarding"] = "source = \"" + source + "\"\npoll = \"100ms\"\n" + more;
    plan.settings["config"] = "interval = \"200ms\"\n";
    plan.settings["rollout"] = "canary = \"50ms\"\ntenth = \"50ms\"\nall = \"50ms\"\n";
    return plan;
  }
  explicit generated(const std::string& source = "file:generator.json", const std::string& more = "",
                     const std::string& limits = "memory = \"512MiB\"\n")
      : node([&] {
          auto result = plan(source, more);
          result.settings["limits"] = limits;
          return result;
        }()) {}

  /// The document with jobs for zones `first` up to `last`, counted from 1.
  std::string document(std::uint64_t version, unsigned last = entitled, unsigned first = 1,
                       const std::string& elsewhere = "") {
    std::string jobs;
    for (unsigned id = first; id <= last; ++id)
      jobs +=
          (jobs.empty() ? "" : ",\n")
          + weir::job_line(id, zones[id - 1], "file://" + node.objects_dir() + elsewhere + "/" + std::to_string(id));
    return R"({"format":1,"cluster":"weir","version":)" + std::to_string(version) + R"(,"entries":)"
           + std::to_string(last + 1 - first) + ",\"jobs\":[\n" + jobs + "]}\n";
  }
  std::string place() const { return node.directory() + "/generator.json"; }
  /// As a generator should: never half a file.
  void generate(const std::string& text) {
    weir::write_file(place() + ".new", text);
    std::filesystem::rename(place() + ".new", place());
  }

  nlohmann::json config() {
    auto value = nlohmann::json::parse(node.control("/v1/config").body, nullptr, false);
    return value.is_object() ? value : nlohmann::json::object();
  }
  std::uint64_t version() { return to_number(config()["version"]); }
  bool in_force(std::uint64_t expected) {
    return wait_for(
        [&] {
          auto now = config();
          return to_number(now.value("version", nlohmann::json())) == expected && now["rollout_stage"] == "idle";
        },
        10s);
  }
  /// Every forwarder and receiver works by this version.
  bool everybody_has(std::uint64_t expected) {
    auto now = config();
    auto& roles = now["roles"];
    return roles.size() >= 2
           && std::all_of(roles.begin(), roles.end(), [&](auto& x) { return to_number(x["version"]) == expected; });
  }
  double refused(const std::string& reason, const std::string& where = "publisher") {
    return node.metric("weir_config_refused_total", R"(reason=")" + reason + R"(",where=")" + where + '"');
  }
  /// The source is refused with this reason, now and not before.
  bool refuses(const std::string& reason) {
    const bool came = wait_for(
        [&] {
          auto now = config();
          return now["source"]["ok"] == false && now["source"]["reason"] == reason;
        },
        5s);
    INFO(config().dump(2));
    CHECK_MESSAGE(came, reason);
    return came;
  }
  bool accepts() {
    return wait_for([&] { return config()["source"]["ok"] == true; }, 5s);
  }
  /// The hash of what is held, once something is; empty if nothing comes to be.
  std::string held(const std::string& reason) {
    std::string hash;
    wait_for(
        [&] {
          auto now = config();
          for (const auto& x : now["held"])
            for (const auto& why : x["reasons"])
              if (why == reason)
                hash = x["hash"].get<std::string>();
          return !hash.empty();
        },
        5s);
    return hash;
  }
  nlohmann::json order(const std::string& what, const nlohmann::json& body) {
    return nlohmann::json::parse(node.control_post("/v1/config/" + what, body.dump()).body, nullptr, false);
  }

  /// The audit trail has a row of this kind with this result, which names the version that stays in force.
  bool audited(const std::string& what, const std::string& result) {
    const auto audit = nlohmann::json::parse(node.control("/v1/audit").body, nullptr, false);
    const auto rows = audit.is_object() ? audit.value("rows", nlohmann::json::array()) : nlohmann::json::array();
    return std::any_of(rows.begin(), rows.end(), [&](const nlohmann::json& row) {
      return row.value("what", "") == what && row.value("result", "") == result
             && row.value("text", "").find("ersion 1 ") != std::string::npos;
    });
  }

  void start() {
    node.start();
    REQUIRE(in_force(1));
  }
  void begin_load(unsigned of = known) {
    weir::load_plan load;
    load.events = 0;
    load.zones = of;
    load.rate = 600;
    load.connections = 1;
    load.body_bytes = 10'000;
    sender.emplace(node.send(load));
    REQUIRE(delivers());
  }
  /// More comes to be delivered than was before.
  bool delivers() {
    const auto before = delivered();
    return wait_for([&] { return delivered() > before; }, 10s);
  }
  std::uint64_t delivered() {
    const auto book = node.ledger();
    return book.is_object() ? to_number(book["totals"]["delivered"]) : 0;
  }
  void end_load() {
    sender->terminate();
    const auto code = sender->wait(30s);
    INFO(node.log());
    REQUIRE_EQ(code, 0);
    REQUIRE(node.drained());
  }
  /// Every acknowledged event of the entitled arrived once, and nothing of anybody else's.
  void check_audit() {
    const auto verdict = node.audit();
    INFO(verdict.text);
    CHECK_EQ(verdict.exit_code, 0);
    CHECK_EQ(verdict.number("receipts.missing"), 0);
    CHECK_EQ(verdict.number("doubled_events"), 0);
    CHECK_EQ(verdict.number("gaps"), 0);
    for (const auto& entry : std::filesystem::directory_iterator(node.objects_dir()))
      CHECK_LE(std::stoul(entry.path().filename().string()), entitled);
  }
};

} // namespace

TEST_CASE("CFG-01: a blank config changes nothing, however it is blank, and says so") {
  generated x;
  x.generate(x.document(1));
  x.start();
  x.begin_load();
  struct variant {
    const char* what;
    std::optional<std::string> text;
    const char* reason;
  };
  const variant variants[] = {
      {"0 bytes", "", "blank"},
      {"white space", "  \n\t\n", "blank"},
      {"well-formed, without customers", R"({"format":1,"cluster":"weir","version":9,"entries":0,"jobs":[]})",
       "zero_entries"},
      {"deleted", std::nullopt, "missing"},
  };
  for (const auto& now : variants) {
    CAPTURE(now.what);
    const auto before = x.refused(now.reason);
    if (now.text)
      x.generate(*now.text);
    else
      std::filesystem::remove(x.place());
    REQUIRE(x.refuses(now.reason));
    CHECK_GT(x.refused(now.reason), before);
    CHECK(x.delivers());
    CHECK_EQ(x.version(), 1);
    CHECK(x.everybody_has(1));
    CHECK_EQ(x.node.metric("weir_config_version", R"(role="forwarder")"), 1);
    CHECK(x.audited("refused", now.reason));
    x.generate(x.document(2));
    REQUIRE(x.accepts());
    CHECK_EQ(x.version(), 1); // the same content
  }
  x.end_load();
  x.check_audit();
}

TEST_CASE("CFG-01: a generator that answers 200 with an empty body, or nothing that counts, changes nothing") {
  weir::certificate_authority authority;
  weir::sink_server::settings how;
  how.tls = authority.issue();
  weir::sink_server server{how};
  const auto says = [&](int status, const std::string& body, const std::string& tag = "") {
    weir::sink_behaviour what;
    what.status = status;
    what.body = body;
    if (!tag.empty())
      what.headers.emplace_back("ETag", tag);
    server.script("/", what);
  };
  generated x(server.url("/config"), "authorities_file = \"" + authority.file() + "\"\n");
  says(200, x.document(1), "\"one\"");
  x.start();
  x.begin_load();
  REQUIRE(wait_for([&] {
    const auto all = server.requests("/config");
    const auto tag =
        all.empty() ? std::map<std::string, std::string>::const_iterator{} : all.back().headers.find("if-none-match");
    return !all.empty() && tag != all.back().headers.end() && tag->second == "\"one\"";
  }));
  says(304, "");
  CHECK(x.accepts());
  says(200, "");
  REQUIRE(x.refuses("blank"));
  CHECK(x.delivers());
  says(503, "come back later");
  REQUIRE(x.refuses("refused_by_source"));
  says(200, x.document(3).substr(0, 700));
  REQUIRE(x.refuses("truncated"));
  server.refuse_connections(true);
  REQUIRE(x.refuses("unreachable"));
  CHECK(x.delivers());
  CHECK(x.everybody_has(1));
  server.refuse_connections(false);
  says(200, x.document(4), "\"four\"");
  REQUIRE(x.accepts());
  CHECK_EQ(x.version(), 1);
  x.end_load();
  x.check_audit();
}

TEST_CASE("CFG-02: a truncated or damaged config is refused whole, and forwarding does not pause") {
  generated x;
  const auto whole = x.document(2, entitled + 2); // would be taken: two more are few
  x.generate(x.document(1));
  x.start();
  x.begin_load();
  std::mt19937_64 draw(weir::test_seed("the cuts of a config"));
  std::vector<std::size_t> cuts{whole.find("},\n") + 1, whole.rfind("},\n") + 1, whole.size() - 3};
  while (cuts.size() < 8)
    cuts.push_back(1 + draw() % (whole.size() - 3));
  for (const auto size : cuts) {
    CAPTURE(size);
    const auto before = to_number(x.config()["source"]["failures"]);
    x.generate(whole.substr(0, size));
    REQUIRE(wait_for(
        [&] {
          auto now = x.config();
          return now["source"]["ok"] == false && to_number(now["source"]["failures"]) > before;
        },
        5s));
    CHECK_EQ(x.version(), 1);
  }
  auto flipped = whole;
  flipped[flipped.find("\"version\"") + 2] ^= 1;
  x.generate(flipped);
  REQUIRE(x.refuses("unknown_key"));
  auto foreign = whole;
  foreign.replace(foreign.find("\"weir\""), 6, "\"rival\"");
  x.generate(foreign);
  REQUIRE(x.refuses("foreign_cluster"));
  CHECK(x.everybody_has(1));
  CHECK_EQ(x.node.metric("weir_supervisor_restarts_total"), 0);
  CHECK(x.delivers());
  x.generate(whole);
  CHECK(x.in_force(2));
  x.end_load();
  const auto verdict = x.node.audit();
  CHECK_EQ(verdict.number("doubled_events"), 0);
  CHECK_EQ(verdict.number("gaps"), 0);
}

TEST_CASE("CFG-03: a config without 90 % of the customers is held, and applied once exactly it is approved") {
  generated x;
  x.generate(x.document(1));
  x.start();
  x.begin_load(entitled);
  x.generate(x.document(2, 3));
  const auto hash = x.held("shrunk");
  REQUIRE_NE(hash, "");
  const auto shown = x.config();
  CHECK_EQ(to_number(shown["held"][0]["changes"]["in_all"]["removed"]), entitled - 3);
  CHECK_EQ(shown["held"][0]["changes"]["by_tenant"].size(), entitled - 3);
  CHECK(x.delivers());
  CHECK(x.everybody_has(1));
  // Another hash approves nothing.
  auto wrong = hash;
  wrong[0] = wrong[0] == '0' ? '1' : '0';
  CHECK_EQ(x.order("approve", {{"hash", wrong}}).value("done", true), false);
  CHECK_EQ(x.version(), 1);
  x.end_load();
  x.check_audit();
  // By the command, as an operator would.
  const auto told =
      x.node.run({"config", "approve", hash, "--connect", "127.0.0.1:" + std::to_string(x.node.control_port())});
  INFO(told.text);
  CHECK_EQ(told.exit_code, 0);
  REQUIRE(x.in_force(2));
  CHECK(x.everybody_has(2));
  // What vanished is on hold and not gone: its events are still taken.
  CHECK_EQ(to_number(x.config()["jobs_on_hold"]), entitled - 3);
  const auto body = "{\"ZoneID\":\"" + x.zones[entitled - 1] + "\"}\n";
  CHECK_NE(x.node.post(body).body.find("\"accepted\":1"), std::string::npos);
}

TEST_CASE("CFG-03: a held config that an operator rejects, or that the generator takes back, changes nothing") {
  generated x;
  x.generate(x.document(1));
  x.start();
  x.generate(x.document(2, 3));
  const auto hash = x.held("shrunk");
  REQUIRE_NE(hash, "");
  CHECK_EQ(x.order("reject", {{"hash", hash}}).value("done", false), true);
  CHECK_EQ(x.order("approve", {{"hash", hash}}).value("done", true), false);
  x.generate(x.document(3, entitled, 1, "/moved"));
  REQUIRE_NE(x.held("moved"), "");
  x.generate(x.document(4));
  CHECK(wait_for([&] { return x.config()["held"].empty(); }, 5s));
  CHECK_EQ(x.version(), 1);
  CHECK(x.everybody_has(1));
}

TEST_CASE("CFG-04: everybody entitled at once is held; let through, buffers go to those who had them") {
  constexpr unsigned room = entitled + 4;
  generated x("file:generator.json", "",
              "memory = \"512MiB\"\nbuffers = " + std::to_string(room) + "\nbuffer_creation_rate = 1000\n");
  x.zones = running_node::zones(1'200);
  x.generate(x.document(1));
  x.start();
  x.begin_load(entitled);
  x.generate(x.document(2, 1'200));
  auto hash = x.held("grown");
  if (hash.empty())
    hash = x.held("beyond_capacity");
  REQUIRE_NE(hash, "");
  CHECK(x.delivers());
  CHECK(x.everybody_has(1));
  CHECK_EQ(x.order("approve", {{"hash", hash}}).value("done", false), true);
  REQUIRE(x.in_force(2));
  // Events of everybody: those who had buffers keep them, some of the others get the last four.
  std::string body;
  for (const auto& zone : x.zones)
    body += "{\"ZoneID\":\"" + zone + "\"}\n";
  const auto answer = nlohmann::json::parse(x.node.post(body).body, nullptr, false);
  INFO(answer.dump());
  CHECK_EQ(to_number(answer["accepted"]), room);
  CHECK(wait_for([&] { return x.node.metric("weir_buffers_refused_total", "reason=\"buffer_count\"") > 0; }, 5s));
  CHECK_EQ(to_number(x.node.state()["buffers"]), room);
  CHECK(x.delivers());
  x.sender->terminate();
  CHECK_EQ(x.sender->wait(30s), 0);
  CHECK(x.node.drained());
}

TEST_CASE("CFG-05: with its source dead a node that was killed starts within 5 s with what it had") {
  generated x;
  x.generate(x.document(1));
  x.start();
  x.generate(x.document(2, entitled + 2));
  REQUIRE(x.in_force(2));
  // The version is last known good as soon as its rollout is complete; that is written right after.
  REQUIRE(wait_for([&] { return x.config()["last_known_good_problem"] == ""; }));
  std::filesystem::remove(x.place());
  REQUIRE(x.refuses("missing"));
  for (int round = 0; round < 2; ++round) {
    x.node.kill();
    if (round == 1) // the history is gone, too
      for (const auto* name : {"history.db", "history.db-wal", "history.db-shm"})
        std::filesystem::remove(x.node.data_dir() + "/config/" + name);
    CHECK_LT(x.node.start(), 5s);
    CHECK_EQ(x.node.state()["config_version"], "2");
    CHECK(wait_for([&] { return x.everybody_has(2); }, 5s));
    const auto body = "{\"ZoneID\":\"" + x.zones[entitled + 1] + "\"}\n";
    CHECK_NE(x.node.post(body).body.find("\"accepted\":1"), std::string::npos);
    CHECK(x.refuses("missing"));
  }
  // Half of it is damaged: the spare copy serves, and it is said.
  x.node.kill();
  const auto copy = x.node.data_dir() + "/config/last-known-good";
  auto bytes = weir::read_file(copy);
  REQUIRE_GT(bytes.size(), 100u);
  bytes[bytes.size() / 2] ^= 1;
  weir::write_file(copy, bytes);
  x.node.start();
  CHECK_EQ(x.node.state()["config_version"], "2");
  CHECK_NE(x.node.log().find("last-known-good-refused"), std::string::npos);
  CHECK_EQ(x.refused("wrong_checksum", "disk"), 1);
}

TEST_CASE("no refused or held config is in force after everything was killed, and what was in force still is") {
  generated x;
  x.generate(x.document(1));
  x.start();
  // Versions of the generator's go up, else it would be refused for that.
  const std::string wrong[] = {"", x.document(2, 3), x.document(4, known), x.document(6, entitled, 1, "/moved"),
                               x.document(8).substr(0, 900)};
  std::uint64_t fine = 1;
  for (const auto& text : wrong) {
    CAPTURE(text.size());
    x.generate(text);
    REQUIRE(wait_for(
        [&] {
          auto now = x.config();
          return now["source"]["ok"] == false || !now["held"].empty();
        },
        5s));
    x.node.kill();
    x.node.start();
    CHECK_EQ(x.node.state()["config_version"], "1");
    CHECK(wait_for([&] { return x.everybody_has(1); }, 5s));
    x.generate(x.document(fine));
    fine += 2;
    REQUIRE(wait_for(
        [&] {
          auto now = x.config();
          return now["source"]["ok"] == true && now["held"].empty();
        },
        5s));
    CHECK_EQ(x.node.state()["config_version"], "1");
  }
}

TEST_CASE("CFG-08: a rollback takes effect within 5 s under load, and every step is in the audit trail by name") {
  generated x;
  x.generate(x.document(1));
  x.start();
  x.begin_load(entitled);
  x.generate(x.document(2, entitled, 1, "/moved"));
  const auto hash = x.held("moved");
  REQUIRE_NE(hash, "");
  CHECK_EQ(x.order("approve", {{"hash", hash}, {"why", "a test"}}).value("done", false), true);
  REQUIRE(x.in_force(2));
  const auto begin = std::chrono::steady_clock::now();
  CHECK_EQ(x.order("rollback", {{"version", 1}}).value("done", false), true);
  REQUIRE(x.in_force(3));
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK_LT(took, 5s);
  CHECK(x.everybody_has(3));
  CHECK(x.delivers());
  // The generator still asks for what was left: the rollback has frozen the config, and so it stays.
  CHECK_EQ(x.config()["frozen"]["who"], "test");
  CHECK_EQ(x.order("freeze", {{"why", "a test"}}).value("error", ""), "already_frozen");
  CHECK_EQ(x.order("rollback", {{"version", 77}}).value("done", true), false);
  const auto audit = nlohmann::json::parse(x.node.control("/v1/audit").body, nullptr, false);
  INFO(audit.dump(2));
  const auto has = [&](const std::string& what, const std::string& who) {
    return std::any_of(audit["rows"].begin(), audit["rows"].end(),
                       [&](auto& row) { return row["what"] == what && row["who"] == who; });
  };
  CHECK(has("approved", "test"));
  CHECK(std::any_of(audit["rows"].begin(), audit["rows"].end(), [](auto& row) {
    return row["who"] == "test" && row["what"].template get<std::string>().find("roll") == 0;
  }));
  x.sender->terminate();
  CHECK_EQ(x.sender->wait(30s), 0);
  CHECK(x.node.drained());
}
