#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "tests/unit/sources/packed.hpp"
#include "tests/unit/sources/running_source.hpp"

using namespace weir;
using namespace std::chrono_literals;

TEST_CASE("a body reaches the gate byte by byte as it was sent, with what its request said") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  const auto text = events(20);
  REQUIRE(client.send(post(text, "Idempotency-Key: k-1\r\n", "/v1/ingest/dns_logs?zone=a&strict=1")));
  REQUIRE(node.gate->wait_for(1));
  const auto body = node.gate->take();
  CHECK_EQ(body.bytes->view(), text);
  CHECK_EQ(body.dataset, 1u);
  CHECK_EQ(body.scope, "zones/a");
  CHECK_EQ(body.from->token, "dev");
  CHECK_EQ(body.idempotency_key, "k-1");
  CHECK(body.strict);
  for (std::size_t i = 0; i < payload::padding; ++i)
    CHECK_EQ(body.bytes->data()[body.bytes->size() + i], '\0');
  fake_gate::respond(body);
  const auto response = client.receive();
  REQUIRE(response);
  CHECK_EQ(response->status, 200);
  CHECK_EQ(response->body, "{\"bytes\":" + std::to_string(text.size()) + "}\n");
  CHECK_EQ(response->field("Connection"), "");
}

TEST_CASE("an account in a dataset of zones, or a zone in one of accounts, is refused unread") {
  running_source node;
  for (const auto& [target, status] :
       {std::pair{"/v1/ingest/dns_logs?account=acme", 400}, std::pair{"/v1/ingest/audit_logs?zone=a", 400},
        std::pair{"/v1/ingest/audit_logs?account=acme", 200}, std::pair{"/v1/ingest/dns_logs?zone=a", 200}}) {
    CAPTURE(target);
    auto client = node.connect();
    REQUIRE(client.send(post(events(2), "", target)));
    const auto response = client.receive();
    REQUIRE(response);
    CHECK_EQ(response->status, status);
    if (status == 400)
      CHECK_NE(response->body.find("bad_scope"), std::string::npos);
  }
  CHECK_EQ(node.gate->accepted(), 2u);
}

TEST_CASE("memory for a body of known length is reserved once, for exactly that, before it is read") {
  running_source node;
  auto client = node.connect();
  REQUIRE(client.send(request("Content-Length: 5000000\r\n", "")));
  const std::string text(5'000'000, 'x');
  REQUIRE(client.send(text));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->reserved(), std::vector<std::uint64_t>{5'000'000});
  CHECK((node.gate->seen().at(0) == text));
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("chunked and packed bodies arrive whole, however the wire cuts them") {
  running_source node;
  auto client = node.connect();
  const auto text = events(300);
  const auto packed = gzip(text), other = zstd(text);
  const auto half = text.size() / 2;
  const std::vector<std::string> requests{
      request("Transfer-Encoding: chunked\r\n", chunk(text.substr(0, half)) + chunk(text.substr(half)) + "0\r\n\r\n"),
      post(packed, "Content-Encoding: gzip\r\n"),
      request("Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n",
              chunk(packed.substr(0, 100)) + chunk(packed.substr(100)) + "0\r\n\r\n"),
      post(other, "Content-Encoding: zstd\r\n"),
  };
  for (const std::size_t piece : {std::size_t{997}, std::size_t{1} << 20})
    for (const auto& each : requests) {
      for (std::size_t at = 0; at < each.size(); at += piece)
        REQUIRE(client.send(std::string_view{each}.substr(at, piece)));
      CHECK_EQ(status_of(client), 200);
      CHECK((node.gate->seen().back() == text));
    }
  const auto tiny = request("Transfer-Encoding: chunked\r\n", chunk("{}") + chunk("\n") + "0\r\n\r\n");
  for (const char c : tiny)
    REQUIRE(client.send({&c, 1}));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->seen().back(), "{}\n");
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("a chunked body of many megabytes grows in reserved steps") {
  running_source node;
  auto client = node.connect();
  const std::string piece(1'000'000, 'x');
  REQUIRE(client.send(request("Transfer-Encoding: chunked\r\n", "")));
  for (int i = 0; i < 7; ++i)
    REQUIRE(client.send(chunk(piece)));
  REQUIRE(client.send("0\r\n\r\n"));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.gate->seen().at(0).size(), 7'000'000u);
  for (const auto bytes : node.gate->reserved())
    CHECK_EQ(bytes % (1u << 20), 0u);
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("pipelined requests are answered in their order, whatever order the node finishes them in") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("1\n") + post("22\n") + post("333\n")));
  REQUIRE(node.gate->wait_for(3));
  const auto first = node.gate->take(), second = node.gate->take(), third = node.gate->take();
  fake_gate::respond(third);
  fake_gate::respond(second);
  node.settle();
  CHECK_FALSE(client.readable_within(0));
  fake_gate::respond(first);
  for (const auto* bytes : {"2", "3", "4"}) {
    const auto response = client.receive();
    REQUIRE(response);
    CHECK_EQ(response->body, "{\"bytes\":" + std::string{bytes} + "}\n");
  }
}

TEST_CASE("a connection has a bounded number of requests without an answer, and goes on after one") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  std::string all;
  for (int i = 0; i < 6; ++i)
    all += post("x\n");
  REQUIRE(client.send(all));
  REQUIRE(node.gate->wait_for(4));
  node.settle();
  CHECK_EQ(node.gate->accepted(), 4u);
  fake_gate::respond(node.gate->take());
  CHECK_EQ(status_of(client), 200);
  REQUIRE(node.gate->wait_for(5));
  for (int i = 0; i < 4; ++i)
    fake_gate::respond(node.gate->take());
  REQUIRE(node.gate->wait_for(6));
  fake_gate::respond(node.gate->take());
  for (int i = 0; i < 5; ++i)
    CHECK_EQ(status_of(client), 200);
}

TEST_CASE("a connection is kept until the client says close, and closed cleanly then") {
  running_source node;
  auto client = node.connect();
  for (int i = 0; i < 3; ++i) {
    REQUIRE(client.send(post("x\n")));
    CHECK_EQ(status_of(client), 200);
  }
  REQUIRE(client.send(post("x\n", "Connection: close\r\n")));
  const auto last = client.receive();
  REQUIRE(last);
  CHECK_EQ(last->status, 200);
  CHECK_EQ(last->field("Connection"), "close");
  CHECK(client.ended());
}

TEST_CASE("a client that has ended its side still gets its answer") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  client.end_sending();
  REQUIRE(node.gate->wait_for(1));
  fake_gate::respond(node.gate->take());
  CHECK_EQ(status_of(client), 200);
  CHECK(client.ended());
}

TEST_CASE("HTTP/1.0 is served, one request a connection") {
  running_source node;
  auto client = node.connect();
  REQUIRE(
      client.send("POST /v1/ingest/http_requests HTTP/1.0\r\nAuthorization: Bearer s3cret\r\n"
                  "Content-Length: 2\r\n\r\nx\n"));
  CHECK_EQ(status_of(client), 200);
  CHECK(client.ended());
}

TEST_CASE("SEC-01 without a known token there is nothing but 401") {
  running_source node;
  auto client = node.connect();
  const std::string body = "Content-Length: 2\r\n\r\nx\n";
  for (const auto& credential :
       {std::string{}, std::string{"Authorization: Bearer wrong\r\n"}, std::string{"Authorization: Basic czNjcmV0\r\n"},
        std::string{"Authorization: Bearer \r\n"}, std::string{"X-Token: s3cret\r\n"}})
    for (const auto* target : {"/v1/ingest/http_requests", "/v1/ingest/no_such_dataset"}) {
      REQUIRE(client.send("POST " + std::string{target} + " HTTP/1.1\r\nHost: a\r\n" + credential + body));
      const auto response = client.receive();
      REQUIRE(response);
      CHECK_EQ(response->status, 401);
      CHECK_EQ(response->field("WWW-Authenticate"), "Bearer realm=\"weir\"");
      CHECK_EQ(response->field("Server"), "");
    }
  REQUIRE(client.send("POST /v1/ingest/http_requests?token=s3cret HTTP/1.1\r\nHost: a\r\n" + body));
  CHECK_EQ(status_of(client), 400);
  CHECK_EQ(node.count(http_trouble::unauthorized), 10);
  CHECK_EQ(node.gate->accepted(), 0u);
}

TEST_CASE("SEC-02 a token may name its own scopes only") {
  running_source node;
  auto client = node.connect();
  const auto send_for = [&](const std::string& query) {
    REQUIRE(
        client.send("POST /v1/ingest/http_requests?" + query
                    + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer narrow-token\r\nContent-Length: 2\r\n\r\nx\n"));
    return client.receive();
  };
  CHECK_EQ(send_for("zone=a")->status, 200);
  CHECK_EQ(send_for("account=acme")->status, 200);
  for (const auto* query : {"zone=b", "account=a", "zone=acme", "account=other"}) {
    const auto response = send_for(query);
    CHECK_EQ(response->status, 403);
    CHECK_NE(response->body.find("scope_forbidden"), std::string::npos);
  }
  CHECK_EQ(node.gate->accepted(), 2u);
}

TEST_CASE("each refusal is JSON that names error and mend, and leaves the connection usable") {
  running_source node;
  auto client = node.connect();
  const auto expect = [&](const std::string& raw, int status, const std::string& error) {
    REQUIRE(client.send(raw));
    const auto response = client.receive();
    REQUIRE_MESSAGE(response, error);
    CHECK_EQ(response->status, status);
    CHECK_EQ(response->field("Content-Type"), "application/json");
    CHECK_EQ(response->body.rfind("{\"error\":\"" + error + "\",\"message\":\"", 0), 0u);
    return *response;
  };
  expect(post("x\n", "", "/v1/ingest/no_such"), 404, "unknown_dataset");
  expect(post("x\n", "", "/elsewhere"), 404, "not_found");
  expect(post("x\n", "", "/v1/ingest/http_requests?zones=a"), 400, "bad_query");
  expect(post("x\n", "Content-Encoding: br\r\n"), 415, "unsupported_encoding");
  expect(post("x\n", "Idempotency-Key:\r\n"), 400, "bad_idempotency_key");
  expect(post(""), 400, "empty_body");
  expect(request("", ""), 411, "length_required");
  CHECK_EQ(expect("GET /v1/ingest/http_requests HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed").field("Allow"),
           "POST");
  REQUIRE(client.send("HEAD /v1/ingest/http_requests HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK_EQ(client.receive(true)->status, 405);
  REQUIRE(client.send(post("x\n")));
  CHECK_EQ(status_of(client), 200);
}

TEST_CASE("a client that asks first is told to go on once there is memory for its body") {
  running_source node;
  auto client = node.connect();
  REQUIRE(client.send(request("Content-Length: 2\r\nExpect: 100-continue\r\n", "")));
  CHECK_EQ(status_of(client), 100);
  REQUIRE(client.send("x\n"));
  CHECK_EQ(status_of(client), 200);
  node.gate->refuse_from = 1;
  REQUIRE(client.send(request("Content-Length: 2\r\nExpect: 100-continue\r\n", "")));
  CHECK_EQ(status_of(client), 429);
  CHECK(client.ended());
}

TEST_CASE("without memory a body is answered 429 with Retry-After, thrown away, and the connection is kept") {
  running_source node;
  node.gate->refuse_from = 0;
  auto client = node.connect();
  REQUIRE(client.send(post(std::string(3'000'000, 'x'))));
  const auto response = client.receive();
  REQUIRE(response);
  CHECK_EQ(response->status, 429);
  CHECK_EQ(response->field("Retry-After"), "3");
  CHECK_NE(response->body.find("tenant_share"), std::string::npos);
  node.gate->refuse_from = fake_gate::never;
  REQUIRE(client.send(post("x\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.count(http_trouble::refused), 1);
  CHECK_EQ(node.gate->seen(), std::vector<std::string>{"x\n"});
}

TEST_CASE("memory that runs out amid a chunked body ends the connection with the answer") {
  running_source node;
  node.gate->refuse_from = 2;
  node.gate->refusal_given = {503, "memory", 7};
  auto client = node.connect();
  client.send(request("Transfer-Encoding: chunked\r\n", chunk(std::string(4'000'000, 'x'))));
  const auto response = client.receive();
  REQUIRE(response);
  CHECK_EQ(response->status, 503);
  CHECK_EQ(response->field("Retry-After"), "7");
  CHECK(client.ended());
  CHECK_EQ(node.memory_in_use(), 0u);
}

TEST_CASE("a token beyond its rate gets 429 with the time to wait, and is served after it") {
  running_source node{[](http_source_settings& settings) { settings.token_rates["dev"] = {2, 1e9, 1e9}; }};
  auto client = node.connect();
  REQUIRE(client.send(post("x\n") + post("x\n") + post("x\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(status_of(client), 200);
  const auto response = client.receive();
  REQUIRE(response);
  CHECK_EQ(response->status, 429);
  CHECK_EQ(response->field("Retry-After"), "1");
  node.clock->advance(1s);
  REQUIRE(client.send(post("x\n")));
  CHECK_EQ(status_of(client), 200);
  CHECK_EQ(node.count(http_trouble::rate), 1);
}

TEST_CASE("a token's rate of events is charged by what the node counted in its bodies") {
  running_source node{[](http_source_settings& settings) { settings.token_rates["dev"] = {1'000, 1e9, 1.5}; }};
  auto client = node.connect();
  for (const int status : {200, 200, 429}) {
    REQUIRE(client.send(post("x\n")));
    CHECK_EQ(status_of(client), status);
  }
}

TEST_CASE("OVL-07 a body at its limit is taken, one byte more is refused without being read") {
  running_source node;
  auto client = node.connect();
  const std::string largest(16u << 20, 'x');
  REQUIRE(client.send(post(largest)));
  CHECK_EQ(status_of(client), 200);
  CHECK((node.gate->seen().at(0) == largest));
  REQUIRE(client.send(request("Content-Length: 16777217\r\n", "")));
  CHECK_EQ(status_of(client), 413);
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::body_too_large), 1);
  CHECK_EQ(node.gate->reserved().size(), 1u);
}

TEST_CASE("OVL-07 a chunked body beyond its limit is stopped there") {
  running_source node{[](http_source_settings& settings) { settings.max_body_bytes = 100'000; }};
  auto client = node.connect();
  REQUIRE(client.send(request("Transfer-Encoding: chunked\r\n", chunk(std::string(100'000, 'x')) + "0\r\n\r\n")));
  CHECK_EQ(status_of(client), 200);
  REQUIRE(client.send(request("Transfer-Encoding: chunked\r\n", chunk(std::string(100'000, 'x')) + chunk("x"))));
  CHECK_EQ(status_of(client), 413);
  CHECK(client.ended());
  CHECK_EQ(node.gate->accepted(), 1u);
}

TEST_CASE("OVL-08 tiny bodies cost memory of their own size only") {
  running_source node;
  auto client = node.connect();
  std::string all;
  constexpr std::size_t bodies = 2'000;
  for (std::size_t i = 0; i < bodies; ++i)
    all += post("{}\n");
  std::thread sender{[&] { CHECK(client.send(all)); }};
  std::size_t answered = 0;
  while (answered < bodies && status_of(client) == 200)
    ++answered;
  sender.join();
  CHECK_EQ(answered, bodies);
  for (const auto bytes : node.gate->reserved())
    CHECK_EQ(bytes, 3u);
  CHECK_EQ(node.memory_in_use(), 0u);
}

// -- the end

TEST_CASE("PRC-09 a source that stops answers 503 to new requests and lets the others finish") {
  running_source node;
  node.gate->hold = true;
  auto busy = node.connect(), idle = node.connect();
  REQUIRE(busy.send(post("x\n")));
  REQUIRE(node.gate->wait_for(1));
  node.settle();
  node.source->begin_drain();
  REQUIRE(idle.send(post("x\n")));
  const auto refused = idle.receive();
  REQUIRE(refused);
  CHECK_EQ(refused->status, 503);
  CHECK_EQ(refused->field("Retry-After"), "1");
  CHECK(idle.ended());
  CHECK_FALSE(raw_client{node.source->port()}.connected());
  bool clean = false;
  std::thread stopping{[&] { clean = node.source->stop(20s); }};
  fake_gate::respond(node.gate->take());
  const auto last = busy.receive();
  stopping.join();
  CHECK(clean);
  REQUIRE(last);
  CHECK_EQ(last->status, 200);
  CHECK_EQ(last->field("Connection"), "close");
}

TEST_CASE("PRC-09 a source that must stop now says that it cut something off") {
  running_source node;
  node.gate->hold = true;
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  REQUIRE(node.gate->wait_for(1));
  std::thread patient{[&] { CHECK_FALSE(node.source->stop(60s)); }};
  CHECK_FALSE(node.source->stop(0ms)); // the second call hurries the first
  patient.join();
  CHECK_FALSE(client.receive());
  const auto late = node.gate->take();
  fake_gate::respond(late);
  node.source.reset();
  fake_gate::respond(late); // nobody is there any more, and nothing breaks
}

TEST_CASE("an address that is taken or wrong is told in a sentence") {
  running_source node;
  http_source_settings settings;
  settings.listener.port = node.source->port();
  const auto taken = http_source::open(settings, node.gate, node.clock, node.metrics);
  CHECK_FALSE(taken);
  settings.listener.address = "no address";
  CHECK_FALSE(http_source::open(settings, node.gate, node.clock, node.metrics));
}
