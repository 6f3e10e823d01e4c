#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/support/running_node.hpp"

using namespace std::chrono_literals;
using weir::running_node;

namespace {

namespace fs = std::filesystem;

std::uint64_t number(const nlohmann::json& value) {
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<std::uint64_t>();
}

/// `weir COMMAND` against the node's control endpoint.
running_node::outcome ask(running_node& node, std::vector<std::string> words) {
  words.insert(words.end(), {"--connect", "127.0.0.1:" + std::to_string(node.control_port())});
  return node.run(words);
}

/// Holds the node's ledger against everything that was ever sent to it.
running_node::outcome compare(running_node& node) {
  std::vector<std::string> words{"ledger", "--json"};
  for (const auto& file : node.receipts())
    words.insert(words.end(), {"--receipts", file});
  return ask(node, words);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Generations and the highest sequence of each, as an audit of all delivered objects saw them.
std::map<std::string, std::uint64_t> generations_of(const nlohmann::json& report, std::size_t job) {
  std::map<std::string, std::uint64_t> result;
  for (const auto& x : report.at("jobs").at(job).at("generations"))
    result[x.at("generation").dump()] = number(x.at("last"));
  return result;
}

} // namespace

TEST_CASE(
    "the ledger says what the senders' receipts say, to the event, also when the node is killed while they send") {
  running_node node;
  node.start();
  weir::load_plan load;
  load.events = 60'000;
  load.zones = 8; // of which the node has jobs for four: the others are not entitled
  auto sender = node.send(load);
  for (int round = 0; round < 3; ++round) {
    const auto before = node.acknowledged_bodies();
    REQUIRE(weir::wait_for([&] { return node.acknowledged_bodies() > before + 20 || !sender.running(); }, 20s));
    node.kill();
    node.start();
  }
  const auto code = sender.wait(60s);
  REQUIRE(code.has_value());
  CHECK_EQ(*code, 0);
  REQUIRE(weir::wait_for([&] { return number(node.ledger()["under_way"]["bodies"]) == 0; }, 10s));
  const auto told = compare(node);
  INFO(told.text);
  CHECK_EQ(told.exit_code, 0);
  const auto report = nlohmann::json::parse(told.text);
  CHECK_EQ(report["balanced"], true);
  for (const auto* column : {"received", "rejected", "not_entitled", "accepted"}) {
    CAPTURE(column);
    CHECK_EQ(report["receipts"][column]["difference"], 0);
  }
  CHECK_EQ(number(report["receipts"]["received"]["ledger"]), 60'000);
  CHECK_GT(number(report["receipts"]["accepted"]["ledger"]), 10'000);
  CHECK_GT(number(report["receipts"]["not_entitled"]["ledger"]), 10'000);
  CHECK_EQ(node.metric("weir_ledger_unbalanced"), 0);

  // A receipt that the node never gave is found.
  std::ofstream{node.receipts().front(), std::ios::app}
      << R"({"key":"forged","first":0,"count":7,"accepted":7,"not_entitled":0,"filtered":0,"shed":0,"rejected":0})"
      << '\n';
  const auto forged = compare(node);
  CHECK_EQ(forged.exit_code, 1);
  CHECK_EQ(nlohmann::json::parse(forged.text)["receipts"]["received"]["difference"], -7);
}

TEST_CASE("since a mark the ledger counts only what came after it, by job and by tenant, across a kill") {
  running_node node;
  node.start();
  weir::load_plan load;
  load.events = 4'000;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  // Marks have whole seconds: this one is of another second than the one made at the start.
  std::string mark;
  REQUIRE(weir::wait_for([&] {
    const auto made = ask(node, {"ledger", "--mark"});
    REQUIRE_EQ(made.exit_code, 0);
    mark = made.text.substr(0, made.text.find('\n'));
    return nlohmann::json::parse(node.control("/v1/ledger/marks").body)["marks"].size() >= 2;
  }));
  node.kill();
  node.start();
  load.seed = 2;
  load.events = 1'000;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  const auto later = ask(node, {"ledger", "--json", "--since", mark});
  INFO(later.text);
  REQUIRE_EQ(later.exit_code, 0);
  const auto change = nlohmann::json::parse(later.text);
  CHECK_EQ(change["since"], mark);
  CHECK_EQ(number(change["totals"]["received"]), 1'000);
  CHECK_EQ(number(change["totals"]["accepted"]), 1'000);
  CHECK_EQ(number(change["totals"]["delivered"]), 1'000);
  CHECK_EQ(number(node.ledger()["totals"]["received"]), 5'000);

  const auto zone = "zones/" + running_node::zones(1).front();
  const auto tenant = nlohmann::json::parse(ask(node, {"ledger", "--json", "--tenant", zone}).text);
  REQUIRE_EQ(tenant["jobs"].size(), 1);
  CHECK_EQ(tenant["jobs"][0]["tenant"], zone);
  REQUIRE_EQ(tenant["tenants"].size(), 1);
  CHECK_EQ(tenant["tenants"][0]["accepted"], tenant["jobs"][0]["accepted"]);
  const auto table = ask(node, {"ledger", "--by-tenant"});
  CHECK_EQ(table.exit_code, 0);
  CHECK(contains(table.text, zone));
  CHECK(contains(table.text, "balanced"));

  const auto too_old = ask(node, {"ledger", "--since", "2020-01-01T00:00:00Z"});
  CHECK_EQ(too_old.exit_code, 1);
  CHECK(contains(too_old.text, "oldest mark"));
  CHECK_EQ(ask(node, {"ledger", "--since", "yesterday"}).exit_code, 1);
  CHECK_EQ(ask(node, {"ledger", "--job", "1", "--by-tenant"}).exit_code, 2);
  // Delays are measured once a body and once an object.
  CHECK_GT(node.metric("weir_ingest_durable_seconds_count"), 0);
  CHECK_GT(node.metric("weir_delivery_delay_seconds_count", "dataset=\"http_requests\""), 0);
}

TEST_CASE("a support bundle holds what helps, and no secret, no destination, no tenant and no event") {
  const std::string canaries[] = {"canary-signature-4711", "canary-header-0815", "canary-body-key",
                                  "canary-host.example"};
  weir::node_plan plan;
  const auto zones = running_node::zones(4);
  plan.job_lines = {
      R"({"id":1,"dataset":"http_requests","scope":"zones/)" + zones[0]
          + R"(","destination_conf":"https://canary-host.example/in?sig=canary-signature-4711&header_X-Key=canary-header-0815","max_upload_interval_seconds":1})",
      R"({"id":2,"dataset":"http_requests","scope":"zones/)" + zones[1]
          + R"(","destination_conf":"file://OBJECTS/2"})"};
  weir::temporary_directory place;
  plan.job_lines[1].replace(plan.job_lines[1].find("OBJECTS"), 7, (place / "objects").substr(1));
  plan.job_lines[1].replace(plan.job_lines[1].find("file://"), 7, "file:///");
  running_node node(plan);
  node.start();
  REQUIRE_EQ(node.post(R"({"ZoneID":")" + zones[0]
                       + R"(","ClientIP":"canary-body-key"})"
                         "\n")
                 .status,
             200);
  const auto out = place / "bundle.tar.gz";
  const auto made = ask(node, {"support-bundle", "--config", node.config_file(), "--log",
                               node.directory() + "/node-1.log", "--output", out});
  INFO(made.text);
  REQUIRE_EQ(made.exit_code, 0);
  CHECK_EQ(fs::status(out).permissions() & fs::perms::mask, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_directories(place / "x");
  REQUIRE_EQ(weir::run_program({"tar", {"xzf", out, "-C", place / "x"}}), 0);
  std::set<std::string> names;
  std::string all;
  for (const auto& x : fs::recursive_directory_iterator(place / "x"))
    if (x.is_regular_file()) {
      names.insert(fs::relative(x.path(), place / "x/weir-support").string());
      all += weir::read_file(x.path().string());
    }
  for (const auto* name : {"machine.txt", "check.txt", "node/node.json", "node/metrics.txt", "node/ledger.json",
                           "node/overload.json", "data/store-inspect.txt", "data/files.txt", "log-1.txt"}) {
    CAPTURE(name);
    CHECK_EQ(names.count(name), 1);
  }
  CHECK(contains(all, "limits.memory"));
  CHECK(contains(all, "\"accepted\": \"1\"") != contains(all, "\"accepted\":\"1\""));
  CHECK(contains(all, "zones/#"));
  CHECK(contains(all, "node-started"));
  CHECK_FALSE(contains(all, node.token()));
  for (const auto& canary : canaries) {
    CAPTURE(canary);
    CHECK_FALSE(contains(all, canary));
  }
  for (const auto& zone : zones)
    CHECK_FALSE(contains(all, zone));
  // It overwrites nothing, and of a node that is not there it says so.
  CHECK_EQ(ask(node, {"support-bundle", "--output", out}).exit_code, 1);
  node.kill();
  const auto dead = ask(node, {"support-bundle", "--output", place / "dead.tar.gz", "--data-dir", node.data_dir()});
  CHECK_EQ(dead.exit_code, 0);
  CHECK(contains(dead.text, "not-to-be-had.txt"));
  CHECK_EQ(ask(node, {"support-bundle", "--output", place / "nothing.tar.gz"}).exit_code, 1);
}

TEST_CASE("a restored node gives no sequence twice, and an audit sees how the generations follow each other") {
  running_node node;
  node.start();
  weir::load_plan load;
  load.events = 3'000;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  weir::temporary_directory place;
  const auto backup = place / "backup";
  // Of a running node there is no backup.
  const auto refused = node.run({"backup", backup, "--config", node.config_file()});
  CHECK_EQ(refused.exit_code, 1);
  CHECK(contains(refused.text, "running node"));
  REQUIRE_EQ(node.stop(), 0);
  const auto made = node.run({"backup", backup, "--config", node.config_file()});
  INFO(made.text);
  REQUIRE_EQ(made.exit_code, 0);
  CHECK_EQ(node.run({"backup", backup, "--config", node.config_file()}).exit_code, 1); // not empty
  CHECK_EQ(fs::status(backup).permissions() & fs::perms::mask, fs::perms::owner_all);
  CHECK_EQ(weir::run_program({"sha256sum", {"-c", "--quiet", "manifest.json.sha256"}, {}, {}, {}, {}, backup}), 0);

  // The node goes on, and what it accepts and delivers now is in no backup.
  node.start();
  load.seed = 2;
  load.events = 2'000;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  REQUIRE_EQ(node.stop(), 0);
  const auto before = node.audit();
  REQUIRE_EQ(before.exit_code, 0);
  const auto was = generations_of(before.report, 0);
  REQUIRE_EQ(was.size(), 1);

  // Its disk is lost. A restore overwrites nothing, takes no damaged backup, and leaves nothing half done.
  CHECK_EQ(node.run({"restore", backup, "--config", node.config_file()}).exit_code, 1);
  fs::remove_all(node.data_dir());
  const auto segment = [&] {
    for (const auto& x : fs::directory_iterator(backup + "/data/store"))
      if (x.path().extension() == ".log")
        return x.path().string();
    return std::string{};
  }();
  REQUIRE_FALSE(segment.empty());
  const auto flip = [&] {
    std::fstream file{segment, std::ios::in | std::ios::out | std::ios::binary};
    file.seekg(5'000);
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(5'000);
    file.put(byte);
  };
  flip();
  const auto damaged = node.run({"restore", backup, "--config", node.config_file()});
  CHECK_EQ(damaged.exit_code, 1);
  CHECK(contains(damaged.text, "not what the manifest says"));
  CHECK_FALSE(fs::exists(node.data_dir()));
  CHECK_FALSE(fs::exists(node.data_dir() + ".restoring"));
  flip();
  const auto restored = node.run({"restore", backup, "--config", node.config_file()});
  INFO(restored.text);
  REQUIRE_EQ(restored.exit_code, 0);
  CHECK(contains(restored.text, "4 generations ended"));
  CHECK_EQ(node.run({"store", "verify", node.data_dir() + "/store"}).exit_code, 0);

  node.start();
  load.seed = 3;
  load.events = 1'000;
  REQUIRE_EQ(node.send_all(load), 0);
  REQUIRE(node.drained());
  CHECK_EQ(number(node.ledger()["totals"]["received"]), 4'000); // of the backup, and since
  const auto after = node.audit();
  INFO(after.text);
  CHECK_EQ(after.exit_code, 0); // every receipt, those of the lost time too: it was all delivered
  CHECK_EQ(after.number("gaps"), 0);
  CHECK_EQ(after.number("doubled_sequences"), 0);
  for (std::size_t job = 0; job < 4; ++job) {
    const auto old = generations_of(before.report, job), now = generations_of(after.report, job);
    CAPTURE(job);
    REQUIRE_EQ(now.size(), 2);
    CHECK_EQ(now.at(old.begin()->first), old.begin()->second); // not one number more in the old generation
  }
}

TEST_CASE("the heartbeat goes the whole way of an event, and is in nobody's accounts") {
  weir::node_plan plan;
  weir::temporary_directory place;
  const auto zone = running_node::zones(1).front();
  plan.job_lines = {R"({"id":1,"dataset":"http_requests","scope":"zones/)" + zone + R"(","destination_conf":"file://)"
                        + place.path() + R"(/1","max_upload_interval_seconds":1})",
                    R"({"id":2,"dataset":"weir_heartbeat","scope":"zones/weir-heartbeat","destination_conf":"file://)"
                        + place.path() + R"(/beats","max_upload_interval_seconds":1})"};
  plan.settings["datasets.weir_heartbeat"] = "scope_field = \"Node\"\n";
  plan.settings["heartbeat"] = "every = \"1s\"\n";
  running_node node(plan);
  node.start();
  REQUIRE(weir::wait_for([&] { return node.metric("weir_heartbeat_seconds") > 0; }, 30s));
  CHECK_LT(node.metric("weir_heartbeat_age_seconds"), 15);
  REQUIRE(weir::wait_for([&] { return number(node.ledger()["jobs"][0]["delivered"]) >= 3; }, 30s));
  weir::load_plan load;
  load.events = 500;
  load.zones = 1;
  REQUIRE_EQ(node.send_all(load), 0);
  const auto told = compare(node);
  INFO(told.text);
  CHECK_EQ(told.exit_code, 0);
  const auto ledger = nlohmann::json::parse(told.text);
  CHECK_EQ(number(ledger["totals"]["received"]), 500);
  CHECK_EQ(number(ledger["totals"]["accepted"]), 500);
  CHECK_EQ(ledger["senders"].size(), 2);
  // What arrived was read and goes again; a customer's token cannot name its scope.
  REQUIRE(weir::wait_for([&] {
    std::size_t objects = 0;
    for (const auto& x : fs::directory_iterator(place / "beats"))
      objects += x.is_regular_file();
    return objects <= 1;
  }));
}

TEST_CASE("a plan says what a load takes, and by its exit code whether what there is suffices") {
  running_node node;
  const auto enough =
      node.run({"plan", "--events-per-s", "1000", "--jobs", "100", "--disk", "1TB", "--memory", "2GiB"});
  CHECK_EQ(enough.exit_code, 0);
  CHECK(contains(enough.text, "outage covered"));
  CHECK_EQ(node.run({"plan", "--events-per-s", "500000", "--jobs", "100", "--disk", "1GB"}).exit_code, 1);
  CHECK_EQ(node.run({"plan", "--events-per-s", "500000", "--jobs", "1000000", "--memory", "128MiB"}).exit_code, 1);
  CHECK_EQ(node.run({"plan", "--events-per-s", "0", "--jobs", "1"}).exit_code, 2);
  CHECK_EQ(node.run({"plan", "--jobs", "1"}).exit_code, 2);
  CHECK_EQ(node.run({"plan", "--events-per-s", "1", "--jobs", "1", "--disk", "many"}).exit_code, 2);
  CHECK(contains(node.run({"plan", "--help"}).text, "Examples:"));
}
