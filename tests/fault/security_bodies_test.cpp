#include <doctest/doctest.h>

#include "tests/support/gzip_text.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::raw_client;
using weir::running_node;

namespace {

/// A node with one job whose objects a sink keeps, and an honest sender beside whatever a test does to it. `finish`
/// proves that the node lives, that memory has not grown, and that nothing but the honest events, and `more`
/// ones of the test, were taken.
struct attacked_node {
  weir::sink_server sink;
  std::string zone = running_node::zones(2)[0], honest_zone = running_node::zones(2)[1];
  running_node node;
  weir::control_poller operator_;
  weir::steady_traffic honest;
  std::uint64_t resident = 0;

  explicit attacked_node(const std::string& ingest = "")
      : node(plan(ingest)), operator_(started()), honest(node, {honest_zone}) {
    REQUIRE(weir::wait_for([&] { return honest.bodies() > 5; }));
    resident = weir::usage_of(node.id()).resident;
  }

  weir::node_plan plan(const std::string& ingest) {
    weir::node_plan result;
    result.job_lines = {weir::job_line(1, zone, sink.url("/test/")),
                        weir::job_line(2, honest_zone, sink.url("/honest/"))};
    result.settings["ingest.http"] = ingest;
    return result;
  }
  running_node& started() {
    node.start();
    return node;
  }

  std::string head(const std::string& more) const {
    return "POST /v1/ingest/http_requests HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token() + "\r\n"
           + more + "\r\n";
  }
  std::string event(const std::string& more) const { return R"({"ZoneID":")" + zone + '"' + more + "}\n"; }

  void finish(const std::string& expected = "", std::uint64_t growth = 64ull << 20) {
    INFO(node.log());
    REQUIRE(node.running());
    const auto usage = weir::usage_of(node.id());
    std::printf("RSS %llu MiB before, %llu MiB after, %llu MiB at most\n",
                static_cast<unsigned long long>(resident >> 20), static_cast<unsigned long long>(usage.resident >> 20),
                static_cast<unsigned long long>(usage.peak_resident >> 20));
    CHECK_LT(usage.peak_resident, resident + growth);
    operator_.stop();
    CHECK_LT(operator_.p99().count(), 1000);
    honest.stop();
    CHECK_EQ(honest.given_up(), 0);
    CHECK_EQ(honest.not_accepted(), 0);
    REQUIRE(node.drained());
    CHECK((sink.accepted_ids("/honest/") == honest.ids(0)));
    std::string got;
    for (const auto& request : sink.requests("/test/"))
      if (request.status / 100 == 2)
        got += request.text;
    CHECK((got == expected));
    CHECK_EQ(node.ledger()["balanced"], true);
    CHECK_EQ(node.stop(), 0);
  }
};

} // namespace

TEST_CASE("SEC-06: packed bodies that expand without end are stopped at the ratio with 413, large, small or many") {
  attacked_node target;
  const auto member = weir::gzip(std::string(16 << 20, ' '), 9);
  std::string huge; // 10 GB of blanks.
  for (std::size_t raw = 0; raw < 10'000'000'000; raw += 16 << 20)
    huge += member;
  std::printf("%zu bytes that expand to 10 GB\n", huge.size());
  auto answer = target.node.post(huge, {{"Content-Encoding", "gzip"}});
  INFO(answer.error);
  CHECK_EQ(answer.status, 413);
  for (int i = 0; i < 200; ++i)
    CHECK_EQ(target.node.post(member, {{"Content-Encoding", "gzip"}}).status, 413);
  weir::temporary_directory place;
  weir::write_file(place / "zeros", std::string(64 << 20, '\0'));
  REQUIRE_EQ(weir::run_program({"zstd", {"-q", "-19", place / "zeros"}}), 0);
  CHECK_EQ(target.node.post(weir::read_file(place / "zeros.zst"), {{"Content-Encoding", "zstd"}}).status, 413);
  const auto good = weir::gzip(target.event(""));
  CHECK_EQ(target.node.post(good.substr(0, good.size() - 5), {{"Content-Encoding", "gzip"}}).status, 400);
  CHECK_GE(target.node.metric("weir_ingest_trouble_total"), 202);
  target.finish();
}

TEST_CASE(
    "SEC-07: nesting without end, a million keys and endless strings are named and left out, doubles are harmless") {
  attacked_node target;
  std::string keys, many;
  for (int i = 0; i < 50'000; ++i)
    keys += ",\"k" + std::to_string(i) + "\":1";
  for (int i = 0; i < 1'000'000; ++i)
    many += ",\"k" + std::to_string(i) + "\":1";
  const auto fine = target.event(R"(,"a":1,"a":2)") + target.event(keys);
  std::string objects;
  for (int i = 0; i < 100'000; ++i)
    objects += "{\"a\":";
  const std::pair<std::string, std::string> bad[] = {
      {target.event(",\"a\":" + std::string(100'000, '[') + std::string(100'000, ']')), "too_deep"},
      {target.event(",\"a\":" + objects + "1" + std::string(100'000, '}')), "too_deep"},
      {std::string(100'000, '[') + '\n', "not_json"},
      {target.event(many), "too_large"},
      {target.event(",\"a\":\"" + std::string(10'000'000, 'x') + '"'), "too_large"},
      {target.event(R"(,"ZoneID":"other")"), "scope_twice"},
  };
  for (const auto& [line, reason] : bad) {
    CAPTURE(reason);
    const auto alone = target.node.post(line);
    INFO(alone.body);
    CHECK_EQ(alone.status, 400);
    const auto amid = target.node.post(target.event("") + line);
    REQUIRE_EQ(amid.status, 200);
    const auto said = nlohmann::json::parse(amid.body);
    CHECK_EQ(said["accepted"], 1);
    CHECK_EQ(said["rejected"]["first"][0]["reason"], reason);
  }
  CHECK_EQ(target.node.post(fine).status, 200);
  std::string expected;
  for (std::size_t i = 0; i < std::size(bad); ++i)
    expected += target.event("");
  target.finish(expected + fine, 160ull << 20); // Bodies of 10 MB are in memory while they are looked at.
}

TEST_CASE(
    "SEC-08: bytes that are no UTF-8 are left out; NUL as an escape arrives byte for byte, and nothing ends at it") {
  attacked_node target;
  const std::string fine = target.event(R"(,"a":"\u0000b","z":1)") + target.event(",\"a\":\"\xf0\x9f\x92\xa7\"");
  const std::string bad[] = {
      target.event(",\"a\":\"\xff\xfe\""),
      target.event(",\"a\":\"\xc0\xaf\""),         // '/' in two bytes
      target.event(",\"a\":\"\xed\xa0\x80\""),     // a lone surrogate in bytes
      target.event(",\"a\":\"\xf4\x90\x80\x80\""), // beyond U+10FFFF
      target.event(std::string(",\"a\":\"b") + '\0' + "c\""),
      target.event(",\"\xff\":1"),
  };
  std::string body = fine;
  for (const auto& line : bad)
    body += line;
  const auto answer = target.node.post(body + fine);
  INFO(answer.body);
  REQUIRE_EQ(answer.status, 200);
  const auto said = nlohmann::json::parse(answer.body);
  CHECK_EQ(said["accepted"], 4);
  CHECK_EQ(said["rejected"]["count"], std::size(bad));
  for (const auto& each : said["rejected"]["first"])
    CHECK_EQ(each["reason"], "not_json");
  for (const auto& field :
       {std::string("Idempotency-Key: a\xff") + "b\r\n", std::string("Idempotency-Key: a\0b\r\n", 22),
        std::string("X-Any: \0\r\n", 10), std::string("Ho\xffst: a\r\n")}) {
    raw_client client(target.node.ingest_port());
    client.send(target.head(field + "Content-Length: 2\r\n") + "{}");
    const auto refused = client.receive();
    CAPTURE(field);
    REQUIRE(refused);
    CHECK_EQ(refused->status, 400);
  }
  target.finish(fine + fine);
}

TEST_CASE("SEC-09: a line of 1 GB is not read on beyond the limit of a body, with or without its length said") {
  attacked_node target;
  {
    raw_client client(target.node.ingest_port());
    client.send(target.head("Content-Length: 1000000000\r\n"));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK_EQ(answer->status, 413);
  }
  raw_client client(target.node.ingest_port());
  REQUIRE(client.send(target.head("Transfer-Encoding: chunked\r\n")));
  const std::string piece = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  int taken = 0;
  while (taken < 1000 && client.send(piece) && !client.readable_within(0))
    ++taken;
  std::printf("%d MiB of 1 GB were taken\n", taken);
  CHECK_LT(taken, 64);
  const auto answer = client.receive();
  if (answer) // Lost if the connection was reset on unread bytes.
    CHECK_EQ(answer->status, 413);
  CHECK_GE(target.node.metric("weir_ingest_trouble_total"), 2);
  target.finish("", 96ull << 20);
}

TEST_CASE("SEC-10: five thousand connections that send a byte now and then are bounded and closed; others go on") {
  attacked_node target("header_timeout = \"2s\"\n");
  std::vector<raw_client> slow;
  unsigned refused = 0;
  for (int i = 0; i < 5000; ++i) {
    raw_client client(target.node.ingest_port(), i % 2 == 0 ? "127.0.0.2" : "127.0.0.3");
    REQUIRE(client.connected());
    client.send(i % 4 < 2 ? "P" : target.head("Content-Length: 1000\r\n") + "{");
    slow.push_back(std::move(client));
  }
  CHECK_LE(target.node.metric("weir_ingest_connections"), 512);
  // A byte now and then for as long as a head may take, and longer than it may.
  std::size_t open = slow.size();
  const auto all_but_bodies_closed = [&] {
    open = 0;
    for (std::size_t i = 0; i < slow.size(); ++i) {
      if (slow[i].handle() < 0)
        continue;
      if (slow[i].readable_within(0)) {
        const auto answer = slow[i].receive();
        refused += answer && (answer->status == 503 || answer->status == 429);
        slow[i].close();
      } else {
        slow[i].send("O");
        ++open;
      }
    }
    return open == 0;
  };
  // Bodies have 10 s to reach their rate.
  CHECK(weir::wait_for(all_but_bodies_closed, 25s));
  std::printf("5000 slow connections: %u refused with an answer, %zu left at the end\n", refused, open);
  CHECK_GT(refused, 4000);
  CHECK_GT(target.node.metric("weir_ingest_trouble_total"), 4500);
  target.finish();
}

TEST_CASE(
    "SEC-11: a request whose end is ambiguous is answered 400 and closed, and what follows it is never a request") {
  attacked_node target;
  const auto inner = target.event("");
  const auto hidden = target.head("Content-Length: " + std::to_string(inner.size()) + "\r\n") + inner;
  const auto length = "Content-Length: " + std::to_string(hidden.size()) + "\r\n";
  const std::string ambiguous[] = {
      target.head("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n" + length) + "0\r\n\r\n" + hidden,
      target.head(length + "Content-Length: 0\r\n") + hidden,
      target.head("Content-Length: +5\r\n") + hidden,
      target.head("Content-Length: 0x5\r\n") + hidden,
      target.head("Content-Length: 5, 5\r\n") + hidden,
      target.head("Content-Length: -1\r\n") + hidden,
      target.head("Content-Length: 18446744073709551617\r\n") + hidden,
      target.head("X: a\r\n folded\r\nContent-Length: 0\r\n") + hidden,
      target.head("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n") + "0;a=b\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n") + "zz\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n") + "FFFFFFFFFFFFFFFFF\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n") + "2\r\n{}x\r\n0\r\n\r\n" + hidden,
      target.head("Transfer-Encoding: chunked\r\n") + "0\r\nTrailer: x\r\n\r\n" + hidden,
      "POST /v1/ingest/http_requests HTTP/1.1\nHost: weir\nContent-Length: 0\n\n" + hidden,
      target.head("Host: other\r\nContent-Length: 0\r\n") + hidden,
  };
  for (const auto& request : ambiguous) {
    CAPTURE(request.substr(0, request.find("{")));
    raw_client client(target.node.ingest_port());
    REQUIRE(client.send(request));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK_EQ(answer->status, 400);
    CHECK_FALSE(client.receive()); // One answer only, and the end.
    CHECK(client.broken());
  }
  CHECK_GE(target.node.metric("weir_ingest_trouble_total"), std::size(ambiguous));
  target.finish(); // No hidden event came through.
}
