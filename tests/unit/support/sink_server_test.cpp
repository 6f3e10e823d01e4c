#include "tests/support/sink_server.hpp"

#include <ostream>

#include <doctest/doctest.h>

#include "tests/support/gzip_text.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/raw_client.hpp"

using namespace std::chrono_literals;
using weir::certificate_authority;
using weir::http_client;
using weir::raw_client;
using weir::sink_behaviour;
using weir::sink_server;

namespace {

struct with_sink {
  sink_server sink;
  http_client client;
};

} // namespace

TEST_CASE_FIXTURE(with_sink, "a sink takes what it is sent, packed or not, and keeps it with its headers") {
  CHECK_EQ(client.post(sink.url("/a/b?c=d"), "plain", {{"X-Weir-Batch", "1/2/3-4"}}).status, 200);
  CHECK_EQ(client.post(sink.url("/gz"), weir::gzip("one\n") + weir::gzip("two\n")).status, 200);
  auto answer = client.get(sink.url("/g"));
  CHECK_EQ(answer.status, 200);
  CHECK_EQ(answer.headers["content-length"], "4");
  CHECK_EQ(sink.count(), 3);
  CHECK_EQ(sink.connections(), 1); // kept alive
  auto first = sink.requests("/a").at(0);
  CHECK_EQ(first.method, "POST");
  CHECK_EQ(first.path, "/a/b");
  CHECK_EQ(first.target, "/a/b?c=d");
  CHECK_EQ(first.headers.at("x-weir-batch"), "1/2/3-4");
  CHECK_EQ(first.body, "plain");
  CHECK_EQ(first.text, "plain");
  CHECK(first.whole);
  CHECK_EQ(sink.requests("/gz").at(0).text, "one\ntwo\n");
}

TEST_CASE_FIXTURE(with_sink, "chunked bodies and Expect are understood") {
  raw_client raw(sink.port());
  REQUIRE(raw.send("PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"));
  CHECK_EQ(raw.receive(true)->status, 100);
  REQUIRE(raw.send("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"));
  CHECK_EQ(raw.receive()->status, 200);
  CHECK_EQ(sink.requests().at(0).body, "abc0123456789");
}

TEST_CASE_FIXTURE(with_sink, "a status can be for some requests or for all, under the longest prefix") {
  sink_behaviour busy;
  busy.status = 503;
  busy.times = 2;
  busy.retry_after = 7s;
  sink.script("/a", busy);
  sink_behaviour forbidden;
  forbidden.status = 403;
  sink.script("/a/never", forbidden);
  for (int i = 0; i < 2; ++i) {
    auto answer = client.post(sink.url("/a/x"), "");
    CHECK_EQ(answer.status, 503);
    CHECK_EQ(answer.headers["retry-after"], "7");
  }
  CHECK_EQ(client.post(sink.url("/a/x"), "").status, 200);
  for (int i = 0; i < 3; ++i)
    CHECK_EQ(client.post(sink.url("/a/never/x"), "").status, 403);
  CHECK_EQ(client.post(sink.url("/b"), "").status, 200);
}

TEST_CASE_FIXTURE(with_sink, "poison is refused wherever it is, and only it") {
  sink_behaviour picky;
  picky.status = 400;
  picky.poison = "POISON";
  sink.script("", picky);
  CHECK_EQ(client.post(sink.url("/"), weir::gzip("good\nPOISON\n")).status, 400);
  CHECK_EQ(client.post(sink.url("/"), weir::gzip("good\n")).status, 200);
  CHECK_EQ(client.post(sink.url("/"), "POISON").status, 400);
}

TEST_CASE_FIXTURE(with_sink, "events are counted once however often their batch is sent") {
  auto body = weir::gzip(R"({"RayID":"a","x":1})"
                         "\n"
                         R"({"RayID":"b"})"
                         "\n");
  sink_behaviour failing;
  failing.status = 500;
  failing.times = 1;
  sink.script("/j", failing);
  for (int i = 0; i < 3; ++i)
    client.post(sink.url("/j"), body, {{"X-Weir-Batch", "7/1/1-2"}});
  CHECK_EQ(sink.accepted_ids(), std::vector<std::string>{"a", "b"});
  client.post(sink.url("/j"), R"({"RayID":"b"})", {{"X-Weir-Batch", "7/1/3-3"}});
  CHECK_EQ(sink.accepted_ids("/j"), std::vector<std::string>{"a", "b", "b"});
  CHECK(sink.accepted_ids("/k").empty());
  sink.forget();
  CHECK_EQ(sink.count(), 0);
}

TEST_CASE_FIXTURE(with_sink, "a sink that never answers has read it all, one that never reads has not") {
  sink_behaviour silent;
  silent.never_answer = true;
  sink.script("/silent", silent);
  sink_behaviour deaf;
  deaf.never_read = true;
  sink.script("/deaf", deaf);
  http_client hasty({"", "", 300ms});
  for (auto path : {"/silent", "/deaf"}) {
    auto answer = hasty.post(sink.url(path), std::string(100'000, 'x'));
    CHECK_EQ(answer.status, 0);
    CHECK_NE(answer.error, "");
    CHECK(weir::wait_for([&] { return sink.count(path) == 1; }));
  }
  CHECK(sink.requests("/silent").at(0).whole);
  CHECK_EQ(sink.requests("/silent").at(0).status, 0);
  CHECK_FALSE(sink.requests("/deaf").at(0).whole);
  CHECK(weir::wait_for([&] { return sink.connections() == 0; }));
}

TEST_CASE_FIXTURE(with_sink, "a refusing sink is connection refused, and the same port afterwards") {
  auto before = sink.port();
  raw_client open(before);
  REQUIRE(open.send("POST / HTTP/1.1\r\n"));
  REQUIRE(weir::wait_for([&] { return sink.connections() == 1; }));
  sink.refuse_connections(true);
  CHECK(open.ended());
  CHECK_EQ(client.get(sink.url()).status, 0);
  CHECK_FALSE(raw_client(before).connected());
  sink.refuse_connections(false);
  CHECK_EQ(sink.port(), before);
  CHECK_EQ(client.get(sink.url()).status, 200);
}

TEST_CASE_FIXTURE(with_sink, "a reset comes behind the byte that was asked for") {
  sink_behaviour cut;
  cut.reset_at = 5'000;
  cut.times = 1;
  sink.script("", cut);
  auto answer = client.post(sink.url("/"), std::string(20'000, 'x'));
  CHECK_EQ(answer.status, 0);
  CHECK(weir::wait_for([&] { return sink.count() == 1; }));
  CHECK_EQ(sink.requests().at(0).body.size(), 5'000);
  CHECK_FALSE(sink.requests().at(0).whole);
  CHECK_EQ(client.post(sink.url("/"), std::string(20'000, 'x')).status, 200);
}

TEST_CASE_FIXTURE(with_sink, "a slow sink reads no faster than told") {
  sink_behaviour slow;
  slow.bytes_per_second = 10'000;
  sink.script("", slow);
  auto begin = std::chrono::steady_clock::now();
  CHECK_EQ(client.post(sink.url("/"), std::string(4'000, 'x')).status, 200);
  CHECK((std::chrono::steady_clock::now() - begin >= 400ms));
}

TEST_CASE_FIXTURE(with_sink, "whoever is slow or silent can be reset, and a sink ends with them under way") {
  sink_behaviour slow;
  slow.delay = 1h;
  sink.script("", slow);
  raw_client a(sink.port());
  REQUIRE(a.send("GET / HTTP/1.1\r\n\r\n"));
  REQUIRE(weir::wait_for([&] { return sink.connections() == 1; }));
  sink.reset_connections();
  CHECK(a.ended());
  raw_client b(sink.port());
  REQUIRE(b.send("GET / HTTP/1.1\r\n\r\n"));
}

TEST_CASE("HTTPS is trusted through the authority and refused without, or under another name or time") {
  certificate_authority authority, stranger;
  http_client trusting({"", authority.file(), 5s});
  auto status_with = [&](const certificate_authority::files& files, http_client& client) {
    sink_server sink({files});
    REQUIRE_EQ(sink.url().rfind("https://", 0), 0);
    return client.post(sink.url("/"), std::string(100'000, 'x')).status;
  };
  CHECK_EQ(status_with(authority.issue(), trusting), 200);
  CHECK_EQ(status_with(stranger.issue(), trusting), 0);
  CHECK_EQ(status_with(authority.self_signed({}), trusting), 0);
  certificate_authority::request elsewhere{"elsewhere", "DNS:elsewhere"};
  CHECK_EQ(status_with(authority.issue(elsewhere), trusting), 0);
  certificate_authority::request expired;
  expired.valid_until = -60s;
  CHECK_EQ(status_with(authority.issue(expired), trusting), 0);
  http_client other({"", stranger.file(), 5s});
  CHECK_EQ(status_with(authority.issue(), other), 0);
}

TEST_CASE("gunzip takes whole members only, and no more than told") {
  auto member = weir::gzip(std::string(1000, 'x'));
  CHECK_EQ(weir::gunzip(member + member), std::string(2000, 'x'));
  CHECK_EQ(weir::gunzip(""), "");
  CHECK_FALSE(weir::gunzip(member.substr(0, member.size() - 1)));
  CHECK_FALSE(weir::gunzip(member + "rest"));
  CHECK_FALSE(weir::gunzip(member, 999));
  member[member.size() - 6] ^= 1; // of the checksum
  CHECK_FALSE(weir::gunzip(member));
}
