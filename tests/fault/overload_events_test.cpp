#include <filesystem>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "tests/support/gzip_text.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

constexpr std::size_t limit = 1 << 20; // limits.max_event_bytes, its default.

/// An event of exactly so many bytes, without its line end, that does not pack well.
std::string event_of(const std::string& zone, std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto event = R"({"ZoneID":")" + zone + R"(","RayID":")" + std::to_string(seed) + R"(","Noise":")";
  while (event.size() + 2 < bytes)
    event += static_cast<char>("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[random() % 64]);
  event += "\"}";
  REQUIRE_EQ(event.size(), bytes);
  return event;
}

std::string delivered(const weir::sink_server& sink) {
  std::string all;
  for (const auto& request : sink.requests("/"))
    if (request.status / 100 == 2)
      all += request.text;
  return all;
}

} // namespace

TEST_CASE(
    "OVL-07: events of limit-1 and limit bytes arrive byte for byte; limit+1 and 10 times it are named and left out") {
  weir::sink_server sink;
  const auto zone = running_node::zones(1).front();
  weir::node_plan plan;
  plan.job_lines = {weir::job_line(1, zone, sink.url("/"))};
  running_node node(plan);
  node.start();
  const auto small = R"({"ZoneID":")" + zone + "\"}\n";
  std::string expected;
  std::uint64_t taken = 0, refused = 0;
  for (const bool packed : {false, true}) {
    for (const bool amid : {false, true}) {
      for (const auto bytes : {limit - 1, limit, limit + 1, 10 * limit}) {
        CAPTURE(packed);
        CAPTURE(amid);
        CAPTURE(bytes);
        const auto large = event_of(zone, bytes, bytes + 2 * amid + packed) + '\n';
        const auto body = amid ? small + large + small : large;
        const auto answer = packed ? node.post(weir::gzip(body, 1), {{"Content-Encoding", "gzip"}}) : node.post(body);
        INFO(answer.body);
        const auto fits = bytes <= limit;
        if (!fits && !amid) {
          CHECK_EQ(answer.status, 400);
          CHECK_NE(answer.body.find("too_large"), std::string::npos);
        } else {
          REQUIRE_EQ(answer.status, 200);
          const auto said = nlohmann::json::parse(answer.body);
          CHECK_EQ(said["accepted"], (fits ? 1 : 0) + (amid ? 2 : 0));
          CHECK_EQ(said["rejected"]["count"], fits ? 0 : 1);
          if (!fits) {
            CHECK_EQ(said["rejected"]["first"][0]["line"], 2);
            CHECK_EQ(said["rejected"]["first"][0]["reason"], "too_large");
          }
        }
        expected += fits ? body : amid ? small + small : "";
        taken += (fits ? 1 : 0) + (amid ? 2 : 0);
        refused += fits ? 0 : 1;
      }
    }
  }
  REQUIRE(node.drained());
  CHECK((delivered(sink) == expected));
  const auto book = node.ledger();
  INFO(book.dump());
  CHECK_EQ(ledger_number(book["totals"]["accepted"]), taken);
  CHECK_EQ(ledger_number(book["totals"]["rejected"]), refused);
  CHECK_EQ(ledger_number(book["senders"][0]["rejected"]["too_large"]), refused);
  CHECK_LT(weir::usage_of(node.id()).peak_resident, 512ull << 20);
}

TEST_CASE(
    "OVL-08: bodies of one tiny event at full rate take a bounded number of bytes on disk each, and few objects") {
  const auto zone = running_node::zones(1).front();
  weir::node_plan plan;
  plan.jobs = 1;
  running_node node(plan);
  node.start();
  const auto request = "POST /v1/ingest/http_requests?zone=" + zone
                       + " HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
                       + "\r\nContent-Length: 2\r\n\r\n{}";
  constexpr int clients = 8, under_way = 4;
  std::atomic<std::uint64_t> accepted{0}, other_answers{0};
  const auto begin = std::chrono::steady_clock::now();
  const auto until = begin + weir::phase_length(6s);
  std::vector<std::thread> senders;
  for (int i = 0; i < clients; ++i)
    senders.emplace_back([&] {
      weir::raw_client client(node.ingest_port());
      int waiting = 0;
      for (;;) {
        const auto more = std::chrono::steady_clock::now() < until;
        for (; more && waiting < under_way; ++waiting)
          client.send(request);
        if (waiting == 0)
          return;
        const auto answer = client.receive();
        --waiting;
        const auto good = answer && answer->status == 200 && answer->body.find("\"accepted\":1,") != std::string::npos;
        ++(good ? accepted : other_answers);
        if (!answer)
          return;
      }
    });
  // What a backlog of them costs is looked at while they come; each waits for its second on disk.
  std::uint64_t most_open_files = 0;
  while (std::chrono::steady_clock::now() < until)
    weir::wait_for(
        [&] {
          most_open_files = std::max(most_open_files, weir::usage_of(node.id()).open_files);
          return false;
        },
        200ms);
  for (auto& each : senders)
    each.join();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  CHECK_EQ(other_answers, 0);
  REQUIRE(node.drained());
  const auto book = node.ledger();
  INFO(book.dump());
  CHECK_EQ(ledger_number(book["totals"]["accepted"]), accepted);
  CHECK_EQ(ledger_number(book["totals"]["delivered"]), accepted);
  const auto objects = ledger_number(book["jobs"][0]["delivered_objects"]);
  std::uint64_t object_bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(node.objects_dir()))
    if (entry.is_regular_file())
      object_bytes += entry.file_size();
  std::printf("%llu bodies of one event in %.1f s, %llu objects of %.2f bytes an event, RSS %llu MiB\n",
              static_cast<unsigned long long>(accepted.load()), took, static_cast<unsigned long long>(objects),
              static_cast<double>(object_bytes) / static_cast<double>(accepted.load()),
              static_cast<unsigned long long>(weir::usage_of(node.id()).peak_resident >> 20));
  CHECK_GT(accepted, 1000);
  // One a second, and the rests at both ends.
  CHECK_LE(static_cast<double>(objects), took + 3);
  // Merged: a member of its own for each event would take 70 bytes at least.
  CHECK_LT(object_bytes, accepted * 8 + objects * 200);
  CHECK_LT(weir::usage_of(node.id()).peak_resident, 512ull << 20);
  CHECK_LT(most_open_files, 200);
}

TEST_CASE("OVL-08: a backlog of tiny events takes a bounded number of bytes of disk and index for each") {
  const auto zone = running_node::zones(1).front();
  weir::node_plan plan;
  plan.jobs = 1;
  plan.destination = "http://127.0.0.1:" + std::to_string(weir::free_port()) + "/nobody";
  running_node node(plan);
  node.start();
  const auto request = "POST /v1/ingest/http_requests?zone=" + zone
                       + " HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
                       + "\r\nContent-Length: 2\r\n\r\n{}";
  const auto index_before = ledger_number(node.state()["index_bytes"]);
  constexpr std::uint64_t events = 3000;
  // The worst case: one connection that waits for each answer, so that no event has company.
  weir::raw_client client(node.ingest_port());
  for (std::uint64_t i = 0; i < events; ++i) {
    REQUIRE(client.send(request));
    const auto answer = client.receive();
    REQUIRE(answer);
    REQUIRE_EQ(answer->status, 200);
  }
  const auto state = node.state();
  INFO(state.dump());
  const auto live = ledger_number(state["live_bytes"]);
  const auto index = ledger_number(state["index_bytes"]);
  const auto blocks = ledger_number(state["blocks"]);
  std::printf("%llu events one by one: %llu blocks, %.1f bytes of live log and %.1f bytes of index an event\n",
              static_cast<unsigned long long>(events), static_cast<unsigned long long>(blocks),
              static_cast<double>(live) / events, static_cast<double>(index - index_before) / events);
  CHECK_EQ(ledger_number(node.ledger()["totals"]["buffered"]), events);
  // A record's head, a batch id and a member's head; and of the index 16 bytes a block, doubled when it grows.
  CHECK_LE(live, events * 256);
  CHECK_LE(index, index_before + events * 64 + 65'536);
}

TEST_CASE("OVL-08: lines of one byte are counted as no events, and a body of empty objects is taken whole") {
  const auto zone = running_node::zones(1).front();
  weir::node_plan plan;
  plan.jobs = 1;
  running_node node(plan);
  node.start();
  std::string bytes, objects;
  constexpr std::uint64_t lines = 200'000;
  for (std::uint64_t i = 0; i < lines; ++i) {
    bytes += "1\n";
    objects += "{}\n";
  }
  const auto none = node.post(bytes);
  CHECK_EQ(none.status, 400);
  const auto all = node.post(objects, {}, "?zone=" + zone);
  INFO(all.body);
  REQUIRE_EQ(all.status, 200);
  CHECK_EQ(nlohmann::json::parse(all.body)["accepted"], lines);
  REQUIRE(node.drained());
  const auto book = node.ledger();
  INFO(book.dump());
  CHECK_EQ(book["balanced"], true);
  CHECK_EQ(ledger_number(book["totals"]["received"]), 2 * lines);
  CHECK_EQ(ledger_number(book["senders"][0]["rejected"]["not_json"]), lines);
  CHECK_EQ(ledger_number(book["totals"]["delivered"]), lines);
  CHECK_LE(ledger_number(book["jobs"][0]["delivered_objects"]), 4);
}
