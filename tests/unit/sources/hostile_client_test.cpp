#include <doctest/doctest.h>

#include <random>
#include <string>
#include <thread>

#include "tests/unit/sources/packed.hpp"
#include "tests/unit/sources/running_source.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// A good client on a connection of its own is served.
void check_service(running_source& node, const char* from = nullptr) {
  const auto before = node.gate->accepted();
  node.gate->hold = false;
  auto client = node.connect(from);
  REQUIRE(client.send(post("good\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->accepted(), before + 1);
}

constexpr const char* smuggled =
    "POST /v1/ingest/http_requests HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cret\r\nContent-Length: "
    "8\r\n\r\nsmuggled";

} // namespace

TEST_CASE("SEC-06 bombs and truncated bodies are refused, and memory stays flat") {
  running_source node;
  const std::string zeros(64u << 20, '0');
  const auto bomb = gzip(zeros), other = zstd(zeros);
  for (int i = 0; i < 5; ++i) {
    auto client = node.connect();
    client.send(post(bomb, "Content-Encoding: gzip\r\n"));
    CHECK_EQ(status_of(client), 413);
  }
  auto client = node.connect();
  REQUIRE(client.send(post(other, "Content-Encoding: zstd\r\n")));
  CHECK_EQ(status_of(client), 413);
  REQUIRE(client.send(post(gzip(events(10)).substr(0, 100), "Content-Encoding: gzip\r\n")));
  CHECK_EQ(status_of(client), 400);
  REQUIRE(client.send(post(gzip(events(10)) + "x", "Content-Encoding: gzip\r\n")));
  CHECK_EQ(status_of(client), 400);
  CHECK_EQ(node.count(http_trouble::compression_ratio), 6);
  CHECK_EQ(node.count(http_trouble::bad_encoding), 2);
  CHECK_EQ(node.gate->accepted(), 0u);
  CHECK_EQ(node.memory_in_use(), 0u);
  for (const auto bytes : node.gate->reserved())
    CHECK_LE(bytes, 9u << 20);
  check_service(node);
}

TEST_CASE("SEC-08 bytes of a body are carried as they are, bytes of a head are not") {
  running_source node;
  auto client = node.connect();
  const std::string odd{"{\"a\":\"\xff\xc0\x80\xed\xa0\x80\0\"}\n\0", 17};
  REQUIRE(client.send(post(odd)));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->seen().at(0), odd);
  for (const auto& head : {std::string{"X: a\0b\r\n", 8}, std::string{"X\0: a\r\n", 7}}) {
    auto other = node.connect();
    other.send(post("x\n", head));
    CHECK_EQ(status_of(other), 400);
    CHECK(other.ended());
  }
}

TEST_CASE("SEC-09 a line of a gigabyte is stopped at the limit of its body") {
  running_source node;
  auto announced = node.connect();
  REQUIRE(announced.send(request("Content-Length: 1073741824\r\n", "")));
  CHECK_EQ(status_of(announced), 413);

  auto client = node.connect();
  REQUIRE(client.send(request("Transfer-Encoding: chunked\r\n", "40000000\r\n")));
  const std::string piece(1u << 20, 'x');
  std::size_t sent = 0;
  while (sent < 1'024 && !client.readable_within(0) && client.send(piece))
    ++sent;
  CHECK_EQ(status_of(client), 413);
  CHECK_LE(sent, 64u); // 16 of the body, and what the kernel holds
  CHECK_EQ(node.memory_in_use(), 0u);
  CHECK_EQ(node.gate->accepted(), 0u);
  check_service(node);
}

TEST_CASE("SEC-10 a head that drips in is cut off at its deadline, however often a byte comes") {
  running_source node;
  auto client = node.connect();
  const auto head = request("Content-Length: 2\r\n", "");
  std::size_t at = 0;
  while (at < 20 && client.send({&head[at], 1}) && !client.readable_within(20)) {
    ++at;
    node.clock->advance(2s);
  }
  CHECK_GE(at, 5u);
  CHECK_LT(at, 20u);
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::head_deadline), 1);
}

TEST_CASE("SEC-10 a body below the minimum rate is cut off, and its memory comes back") {
  running_source node;
  auto client = node.connect();
  REQUIRE(client.send(request("Content-Length: 10000000\r\n", std::string(1'000'000, 'x'))));
  std::size_t dripped = 0; // the megabyte at the start earns nothing for later
  while (dripped < 40 && client.send("x") && !client.readable_within(20)) {
    ++dripped;
    node.clock->advance(2s);
  }
  CHECK_GE(dripped, 5u);
  CHECK_LT(dripped, 40u);
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::body_deadline), 1);
  node.settle();
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("SEC-10 a slow body above the minimum rate is taken") {
  running_source node;
  auto client = node.connect();
  const std::string second(5'000, 'x');
  REQUIRE(client.send(request("Content-Length: 150000\r\n", "")));
  node.settle();
  for (int i = 0; i < 30; ++i) {
    REQUIRE(client.send(second));
    node.settle();
    node.clock->advance(1s);
    node.settle();
  }
  CHECK_EQ(status_of(client), 200);
}

TEST_CASE("SEC-10 a body that never ends is cut off, however fast it comes") {
  running_source node([](auto& how) { how.listener.connection.body_within = 20s; });
  auto client = node.connect();
  REQUIRE(client.send(request("Content-Length: 10000000\r\n", "")));
  const std::string second(5'000, 'x');
  int seconds = 0;
  while (seconds < 60 && client.send(second) && !client.readable_within(20)) {
    node.clock->advance(1s);
    ++seconds;
  }
  CHECK_GE(seconds, 20);
  CHECK_LT(seconds, 60);
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::body_deadline), 1);
  node.settle();
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("SEC-10 a client that does not take its answer is cut off, however many bytes it takes one by one") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  REQUIRE(node.gate->wait_for(1));
  ingest_answer large;
  large.body.assign(32u << 20, 'x'); // more than the kernels hold for a reader who is away
  node.gate->take().respond(std::move(large));
  node.settle();
  for (int seconds = 0; seconds < 14; ++seconds) {
    char byte = 0;
    REQUIRE_EQ(recv(client.handle(), &byte, 1, 0), 1);
    node.clock->advance(1s);
    node.settle();
  }
  CHECK_EQ(node.count(http_trouble::write_deadline), 0);
  node.clock->advance(2s);
  while (client.receive()) {
  }
  CHECK(client.broken());
  CHECK_EQ(node.count(http_trouble::write_deadline), 1);
  check_service(node);
}

TEST_CASE("SEC-10 connections of one address are bounded, and other addresses are unaffected") {
  running_source node{[](http_source_settings& settings) { settings.listener.connections_per_address = 8; }};
  std::vector<raw_client> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(node.connect());
    REQUIRE(slow.back().send("P"));
  }
  auto beyond = node.connect();
  CHECK_EQ(status_of(beyond), 503);
  CHECK(beyond.ended());
  CHECK_EQ(node.count(http_trouble::address_limit), 1);
  check_service(node, "127.0.0.2");
  slow.pop_back();
  for (int tries = 0; tries < 1'000; ++tries) { // until the source has seen that one is gone
    auto again = node.connect();
    again.send(post("x\n"));
    if (status_of(again) == 200)
      return;
  }
  FAIL("a connection that ended is still counted");
}

TEST_CASE("SEC-10 connections in all, and of one token, are bounded") {
  running_source node{[](http_source_settings& settings) {
    settings.listener.connections = 6;
    settings.connections_per_token = 3;
  }};
  std::vector<raw_client> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(node.connect());
    REQUIRE(open.back().send(post("x\n")));
    CHECK_EQ(status_of(open.back()), 200);
  }
  auto fourth = node.connect();
  REQUIRE(fourth.send(post("x\n")));
  CHECK_EQ(status_of(fourth), 429);
  CHECK_EQ(node.count(http_trouble::token_limit), 1);
  open.push_back(std::move(fourth));
  open.push_back(node.connect());
  open.push_back(node.connect());
  auto seventh = node.connect("127.0.0.2");
  CHECK_EQ(status_of(seventh), 503);
  CHECK_EQ(node.count(http_trouble::connection_limit), 1);
}

TEST_CASE("SEC-10 a kept connection without requests is closed after its time, not before") {
  running_source node;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  CHECK_EQ(status_of(client), 200);
  const auto passed = node.time_until_end(client, 1s, 100s);
  REQUIRE(passed);
  CHECK_GE(*passed, 75s);
  CHECK_EQ(node.count(http_trouble::idle_deadline), 1);
}

TEST_CASE("SEC-11 an ambiguous message is answered 400, and nothing behind it is read as a request") {
  running_source node;
  const std::string chunks = "0\r\n\r\n";
  const std::vector<std::string> ambiguous{
      request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks),
      request("Transfer-Encoding: chunked\r\nContent-Length: 130\r\n", chunks),
      request("Content-Length: 0\r\nContent-Length: 130\r\n", ""),
      request("Content-Length: 130\r\nContent-Length: 130\r\n", ""),
      request("Content-Length: +0\r\n", ""),
      request("Content-Length: 0x0\r\n", ""),
      request("Content-Length: 0, 0\r\n", ""),
      request("Transfer-Encoding: chunked, identity\r\n", chunks),
      request("Transfer-Encoding: identity\r\n", ""),
      request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
      request("Transfer-Encoding:\r\n chunked\r\n", chunks),
      request("X: a\r\n folded\r\nContent-Length: 0\r\n", ""),
      request("Content-Length: 0\nX: y\r\n", ""),
      request("Content-Length : 0\r\n", ""),
      "POST /v1/ingest/http_requests HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
      "\r\n" + request("Content-Length: 0\r\n", ""),
      request("Transfer-Encoding: chunked\r\n", "+0\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "1;a=b\r\nx\r\n0\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "0\r\nTrailer: x\r\n\r\n"),
      request("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"),
  };
  for (const auto& each : ambiguous) {
    INFO(each);
    auto client = node.connect();
    client.send(each + smuggled + smuggled);
    CHECK_EQ(status_of(client), 400);
    CHECK(client.ended());
  }
  CHECK_EQ(node.gate->accepted(), 0u);
  CHECK_EQ(node.count(http_trouble::bad_framing) + node.count(http_trouble::bad_head),
           static_cast<double>(ambiguous.size()));
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("SEC-11 a body that looks like a request is a body, whether it is taken or refused") {
  running_source node;
  auto client = node.connect();
  REQUIRE(client.send(post(smuggled)));
  CHECK_EQ(status_of(client), 200);
  REQUIRE(client.send(request("Transfer-Encoding: chunked\r\n", chunk(smuggled) + "0\r\n\r\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->seen(), std::vector<std::string>{smuggled, smuggled});
  for (const auto& refused : {post(smuggled, "", "/v1/ingest/no_such"), post(smuggled, "Content-Encoding: br\r\n"),
                              "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(std::strlen(smuggled))
                                  + "\r\n\r\n" + smuggled}) {
    REQUIRE(client.send(refused));
    CHECK_GE(status_of(client), 400);
  }
  node.gate->refuse_from = 0;
  REQUIRE(client.send(post(smuggled)));
  CHECK_EQ(status_of(client), 429);
  node.gate->refuse_from = fake_gate::never;
  REQUIRE(client.send(post("x\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->accepted(), 3u);
}

TEST_CASE("SEC-11 after a refused body of unknown length nothing more is read") {
  running_source node;
  auto client = node.connect();
  client.send(request("Transfer-Encoding: chunked\r\nContent-Encoding: br\r\n", "0\r\n\r\n") + smuggled);
  CHECK_EQ(status_of(client), 415);
  CHECK(client.ended());
  auto asking = node.connect();
  asking.send(request("Content-Length: 5\r\nExpect: 100-continue\r\nContent-Encoding: br\r\n", "") + smuggled);
  CHECK_EQ(status_of(asking), 415);
  CHECK(asking.ended());
  CHECK_EQ(node.gate->accepted(), 0u);
}

TEST_CASE("heads beyond their limit are refused before they are complete") {
  running_source node;
  auto client = node.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'));
  CHECK_EQ(status_of(client), 431);
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::head_too_large), 1);
}

TEST_CASE("NET-05 garbage ends its connection with a counted reason, and nothing else") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random{seed};
  running_source node;
  for (int i = 0; i < 500; ++i) {
    auto client = node.connect();
    std::string garbage(1 + random() % 400, '\0');
    for (auto& c : garbage)
      c = static_cast<char>(random());
    client.send(garbage);
    client.end_sending();
    while (client.receive()) {
    }
    CHECK(client.ended());
  }
  const auto counted = node.count(http_trouble::bad_head) + node.count(http_trouble::tls_on_plain_port)
                       + node.count(http_trouble::client_gone);
  CHECK_EQ(counted, 500);
  for (const auto* hello : {"SSH-2.0-OpenSSH_9.2\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "EHLO a\n",
                            "*1\r\n$4\r\nPING\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    auto client = node.connect();
    client.send(hello);
    client.end_sending();
    while (const auto response = client.receive())
      CHECK_MESSAGE(response->status >= 400, hello);
    CHECK(client.ended());
  }
  CHECK_GE(node.count(http_trouble::tls_on_plain_port), 1);
  CHECK_EQ(node.gate->accepted(), 0u);
  check_service(node);
}

TEST_CASE("NET-05 half a head, then silence, ends at the deadline; ten thousand connections leave nothing behind") {
  running_source node;
  {
    auto silent = node.connect();
    REQUIRE(silent.send("POST /v1/ingest/http_requests HTTP/1.1\r\nHo"));
    CHECK(node.time_until_end(silent, 1s, 60s));
    CHECK_EQ(node.count(http_trouble::head_deadline), 1);
  }
  for (int i = 0; i < 10'000; ++i) {
    raw_client client{node.source->port()};
    client.send(i % 2 == 0 ? "\xff" : "POST /");
    client.reset();
  }
  for (int tries = 0; tries < 1'000 && node.metrics.connections.Value() > 1; ++tries)
    node.settle();
  CHECK_LE(node.metrics.connections.Value(), 1);
  CHECK_EQ(node.memory_in_use(), 0u);
  check_service(node);
}

TEST_CASE("NET-06 a client that vanishes before its answer harms nobody, and may send again") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n", "Idempotency-Key: k\r\n")));
  REQUIRE(node.gate->wait_for(1));
  client.reset();
  node.settle();
  {
    const auto orphan = node.gate->take();
    fake_gate::respond(orphan);
  }
  auto again = node.connect();
  REQUIRE(again.send(post("x\n", "Idempotency-Key: k\r\n")));
  REQUIRE(node.gate->wait_for(2));
  const auto body = node.gate->take();
  CHECK_EQ(body.idempotency_key, "k");
  fake_gate::respond(body);
  CHECK_EQ(status_of(again), 200);
  CHECK_GE(node.count(http_trouble::client_gone), 1);
}

TEST_CASE("NET-03 a body whose client is reset amid it never reaches the gate, and its memory comes back") {
  running_source node;
  const auto whole = post(std::string(100'000, 'x'));
  for (std::size_t at = 1; at < whole.size(); at += 4'999) {
    auto client = node.connect();
    REQUIRE(client.send(std::string_view{whole}.substr(0, at)));
    client.reset();
  }
  for (int tries = 0; tries < 1'000 && node.memory_in_use() > 0; ++tries)
    node.settle();
  CHECK_EQ(node.memory_in_use(), 0u);
  CHECK_EQ(node.gate->accepted(), 0u);
  check_service(node);
}

TEST_CASE("a node that does not answer in time is spoken for, and its late answer is dropped") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  REQUIRE(node.gate->wait_for(1));
  node.settle();
  node.clock->advance(59s);
  node.settle();
  CHECK_FALSE(client.readable_within(0));
  node.clock->advance(2s);
  const auto response = client.receive();
  REQUIRE(response);
  CHECK_EQ(response->status, 503);
  CHECK_NE(response->body.find("no_answer"), std::string::npos);
  CHECK(client.ended());
  const auto late = node.gate->take();
  fake_gate::respond(late);
  node.settle();
  CHECK_EQ(node.count(http_trouble::answer_deadline), 1);
}
