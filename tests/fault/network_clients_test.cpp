#include <filesystem>
#include <optional>
#include <random>

#include <doctest/doctest.h>

#include "tests/support/raw_client.hpp"
#include "tests/support/steady_traffic.hpp"
#include "tests/support/test_seed.hpp"

using weir::ledger_number;
using weir::raw_client;
using weir::running_node;

namespace {

std::string head(const running_node& node, std::size_t length, const std::string& key) {
  return "POST /v1/ingest/http_requests HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
         + "\r\nIdempotency-Key: " + key + "\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

/// What a port scanner, a wrong configuration or a broken client sends.
std::string garbage(std::mt19937_64& random) {
  static const std::string hellos[] = {
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(200, '\x5a'), // TLS
      "SSH-2.0-OpenSSH_9.2\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      std::string("\x00\x00\x00\x2f\xff\x53\x4d\x42", 8), // SMB
      "EHLO somebody\r\n",
      "\r\n\r\n\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "POST /v1/ingest/http_requests HTTP/1.1\r\nHost",
  };
  const auto kind = random() % 12;
  if (kind < std::size(hellos))
    return hellos[kind];
  std::string bytes(1 + random() % 3000, '\0');
  for (auto& byte : bytes)
    byte = static_cast<char>(random());
  return bytes;
}

} // namespace

TEST_CASE("NET-05: ten thousand connections of garbage on both ports cost nobody anything and are counted") {
  std::mt19937_64 random(weir::test_seed("garbage", 5));
  weir::node_plan plan;
  plan.jobs = 2;
  // All of this test comes from one address.
  plan.settings["ingest.http"] = "max_connections_per_address = 512\n";
  running_node node(plan);
  node.start();
  weir::steady_traffic traffic(node, running_node::zones(2));
  REQUIRE(weir::wait_for([&] { return traffic.bodies() > 5; }));
  weir::control_poller operator_(node);
  const auto before = weir::usage_of(node.id());
  auto after_half = before;
  constexpr int rounds = 10'000;
  int connected = 0, silent = 0;
  for (int i = 0; i < rounds; ++i) {
    raw_client stranger(i % 3 == 0 ? node.control_port() : node.ingest_port());
    connected += stranger.connected();
    const auto bytes = garbage(random);
    stranger.send(bytes);
    // Some go at once, with a reset or without, some wait for what the node has to say to that.
    if (i % 4 == 0)
      stranger.reset();
    else if (i % 50 == 1) {
      stranger.end_sending();
      silent += !stranger.readable_within(20'000);
    }
    if (i == rounds / 2)
      after_half = weir::usage_of(node.id());
  }
  const auto after = weir::usage_of(node.id());
  INFO(node.log());
  REQUIRE(node.running());
  CHECK_EQ(connected, rounds);
  CHECK_EQ(silent, 0);
  operator_.stop();
  CHECK_LT(operator_.p99().count(), 1000);
  traffic.stop();
  CHECK_EQ(traffic.given_up(), 0);
  const auto counted = node.metric("weir_ingest_trouble_total") + node.metric("weir_control_trouble_total");
  std::printf("10000 connections: %.0f counted with a reason, RSS %llu, %llu, %llu MiB\n", counted,
              static_cast<unsigned long long>(before.resident >> 20),
              static_cast<unsigned long long>(after_half.resident >> 20),
              static_cast<unsigned long long>(after.resident >> 20));
  // A client that resets before anything of it is read leaves nothing to count.
  CHECK_GT(counted, rounds / 2);
  CHECK_LT(after.resident, after_half.resident + (16ull << 20));
  CHECK(weir::wait_for([&] { return weir::usage_of(node.id()).open_files <= before.open_files + 8; }));
  REQUIRE(node.drained());
  CHECK_EQ(ledger_number(node.ledger()["totals"]["delivered"]), 2 * traffic.bodies());
}

TEST_CASE("NET-05: half a head and silence is closed by the header timeout, with a reason counted") {
  weir::node_plan plan;
  plan.jobs = 1;
  plan.settings["ingest.http"] = "header_timeout = \"500ms\"\n";
  running_node node(plan);
  node.start();
  raw_client half(node.ingest_port());
  half.send("POST /v1/ingest/http_requests HTTP/1.1\r\nHost: we");
  CHECK(half.readable_within(10'000));
  CHECK(weir::wait_for([&] { return node.metric("weir_ingest_trouble_total") >= 1; }));
}

TEST_CASE("NET-05: HTTP on the TLS port and TLS on the plain port end without harm") {
  weir::certificate_authority authority;
  const auto own = authority.issue();
  std::filesystem::permissions(own.key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  weir::node_plan plan;
  plan.jobs = 1;
  plan.settings["ingest.http"] =
      "tls_certificate_file = \"" + own.certificate + "\"\ntls_key_file = \"" + own.key + "\"\n";
  running_node node(plan);
  node.start();
  for (int i = 0; i < 100; ++i) {
    raw_client plain(node.ingest_port());
    REQUIRE(plain.connected());
    plain.send("GET /healthz HTTP/1.1\r\nHost: weir\r\n\r\n");
    CHECK(plain.readable_within(20'000));
  }
  weir::http_client::settings how;
  how.token = node.token();
  how.ca_file = authority.file();
  weir::http_client client(how);
  const auto answer =
      client.post("https://localhost:" + std::to_string(node.ingest_port()) + "/v1/ingest/http_requests",
                  R"({"ZoneID":")" + running_node::zones(1).front() + "\"}\n");
  INFO(answer.error);
  CHECK_EQ(answer.status, 200);
  CHECK_GT(node.metric("weir_ingest_trouble_total"), 0);
}

TEST_CASE("NET-06: a client that vanishes before its answer and repeats on another connection has it stored once") {
  std::mt19937_64 random(weir::test_seed("vanishing client", 6));
  weir::node_plan plan;
  plan.jobs = 1;
  running_node node(plan);
  node.start();
  const auto zone = running_node::zones(1).front();
  constexpr unsigned bodies = 200, events = 20;
  std::uint64_t accepted = 0;
  for (unsigned i = 0; i < bodies; ++i) {
    std::string body;
    for (unsigned n = 0; n < events; ++n)
      body += R"({"ZoneID":")" + zone + R"(","RayID":")" + std::to_string(i * events + n) + "\"}\n";
    const auto key = "vanishing-" + std::to_string(i);
    const auto request = head(node, body.size(), key) + body;
    {
      raw_client first(node.ingest_port());
      // A part of the body, or all of it, and then away in one of both ways.
      const auto part = i % 4 == 0 ? request.size() - random() % body.size() : request.size();
      first.send(request.substr(0, part));
      if (i % 3 == 0)
        first.reset();
    }
    std::optional<raw_client::response> answer;
    const auto settled = weir::wait_for([&] {
      raw_client second(node.ingest_port());
      answer = second.send(request) ? second.receive() : std::nullopt;
      return answer && answer->status != 429 && answer->status != 503; // Those: the first try is still under way.
    });
    INFO(node.log());
    REQUIRE(settled);
    INFO(answer->body);
    REQUIRE_EQ(answer->status, 200);
    const auto said = nlohmann::json::parse(answer->body);
    accepted += said["accepted"].get<std::uint64_t>() + said["repeated"].get<std::uint64_t>();
  }
  CHECK(weir::wait_for([&] { return node.metric("weir_ingest_connections") <= 1; })); // All who went are gone.
  CHECK_EQ(accepted, bodies * events);
  REQUIRE(node.drained());
  const auto totals = node.ledger()["totals"];
  INFO(totals.dump());
  CHECK_EQ(ledger_number(totals["accepted"]), bodies * events);
  CHECK_EQ(ledger_number(totals["delivered"]), bodies * events);
  CHECK_EQ(node.stop(), 0);
  const auto proven = node.audit();
  INFO(proven.text);
  CHECK_EQ(proven.exit_code, 0);
  CHECK_EQ(proven.number("events"), bodies * events);
  CHECK_EQ(proven.number("doubled_events"), 0);
}
