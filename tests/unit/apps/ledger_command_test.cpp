#include "apps/ledger_command.hpp"

#include <doctest/doctest.h>

#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"

using namespace weir;

namespace {

/// A node that answers with pages of one job each.
struct fake_node {
  std::uint64_t jobs = 3;
  bool balanced = true;
  std::vector<std::string> asked;

  control_answer operator()(const std::string& method, const std::string& path) {
    asked.push_back(method + ' ' + path);
    if (method == "POST")
      return {200, R"({"at":"2026-11-22T12:00:00Z","bytes":"9"})"};
    const auto cursor = path.find("cursor=");
    const auto job = cursor == std::string::npos ? 1 : std::stoull(path.substr(cursor + 7)) + 1;
    nlohmann::json page = {
        {"balanced", balanced || job != 2},
        {"unbalanced", balanced || job != 2 ? "0" : "1"},
        {"since", ""},
        {"under_way", {{"bodies", "0"}, {"bytes", "0"}, {"open_blocks", "0"}, {"queued_bytes", "0"}}},
        {"totals", {{"accepted", "30"}, {"buffered", "0"}, {"delivered", "30"}, {"shed", "0"}}},
        {"senders",
         {{{"sender", "dev"},
           {"received", "50"},
           {"turned_back", "7"},
           {"not_entitled", "12"},
           {"offered", "30"},
           {"rejected", {{"not_json", "1"}}}},
          {{"sender", "heartbeat"}, {"received", "1000"}, {"turned_back", "0"}, {"not_entitled", "0"}}}},
        {"tenants", nlohmann::json::array()},
        {"jobs", {{{"job", std::to_string(job)}, {"tenant", "zones/a"}, {"accepted", "10"}, {"delivered", "10"}}}},
        {"next_cursor", job < jobs ? std::to_string(job) : ""}};
    return {200, page.dump()};
  }
};

int show(const ledger_command_options& options, fake_node& node, std::string& text) {
  std::ostringstream out, err;
  const auto code = show_ledger(
      options, [&](const std::string& method, const std::string& path) { return node(method, path); }, out, err);
  text = out.str() + err.str();
  return code;
}

std::string receipts(std::uint64_t count, std::uint64_t accepted) {
  return R"({"weir_receipts":1,"seed":1,"zones":4,"zipf":0})"
         "\n"
         R"({"key":"a","first":0,"count":)"
         + std::to_string(count) + R"(,"accepted":)" + std::to_string(accepted)
         + R"(,"not_entitled":12,"filtered":0,"shed":0,"rejected":1})"
           "\n";
}

} // namespace

TEST_CASE("weir ledger reads as many pages as the rows asked for take, and no more") {
  fake_node node;
  ledger_command_options options;
  std::string text;
  options.limit = 2;
  CHECK(show(options, node, text) == 0);
  CHECK(node.asked.size() == 2);
  CHECK(text.find("--limit 0") != std::string::npos);
  node.asked.clear();
  options.limit = 0;
  options.json = true;
  CHECK(show(options, node, text) == 0);
  CHECK(node.asked.size() == 3);
  CHECK(nlohmann::json::parse(text)["jobs"].size() == 3);
  node.asked.clear();
  options.tenant = "zones/a b";
  options.since = "2026-11-22T12:00:00Z";
  CHECK(show(options, node, text) == 0);
  CHECK(node.asked.front() == "GET /v1/ledger?limit=1000&tenant=zones%2Fa%20b&since=2026-11-22T12%3A00%3A00Z");
}

TEST_CASE("an account that does not balance on any page makes weir ledger fail") {
  fake_node node;
  node.balanced = false;
  ledger_command_options options;
  std::string text;
  CHECK(show(options, node, text) == 1);
  CHECK(text.find("NOT BALANCED") != std::string::npos);
  options.limit = 1; // the page it is on is not asked for
  CHECK(show(options, node, text) == 0);
}

TEST_CASE("receipts are held against what a sender sent, without what it sent again or the node sent itself") {
  fake_node node;
  temporary_directory place;
  ledger_command_options options;
  std::string text;
  write_file(place / "equal", receipts(43, 30));
  options.receipts = {place / "equal"};
  CHECK(show(options, node, text) == 0);
  INFO(text);
  CHECK(text.find("difference") != std::string::npos);
  write_file(place / "fewer", receipts(42, 30));
  options.receipts = {place / "fewer"};
  CHECK(show(options, node, text) == 1);
  write_file(place / "lost", receipts(43, 31));
  options.receipts = {place / "lost"};
  CHECK(show(options, node, text) == 1);
  options.sender = "dev"; // of one sender only, jobs tell nothing
  CHECK(show(options, node, text) == 0);
  options.sender = "nobody";
  CHECK(show(options, node, text) == 1);
  CHECK(text.find("no sender of the name nobody") != std::string::npos);
}

TEST_CASE("a node that refuses or is not there makes weir ledger fail with its words") {
  ledger_command_options options;
  std::ostringstream out, err;
  const auto refuse = [](const std::string&, const std::string&) {
    return control_answer{404, R"({"error":"no_mark","message":"no mark of the ledger is that old"})"};
  };
  CHECK(show_ledger(options, refuse, out, err) == 1);
  CHECK(err.str() == "weir ledger: no mark of the ledger is that old\n");
  fake_node node;
  options.mark = true;
  std::string text;
  CHECK(show(options, node, text) == 0);
  CHECK(text == "2026-11-22T12:00:00Z\n");
  CHECK(node.asked.front() == "POST /v1/ledger/marks");
}
