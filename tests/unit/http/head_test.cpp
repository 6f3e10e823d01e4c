#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "actors/http/answer.hpp"
#include "actors/http/bearer.hpp"
#include "actors/http/chunked.hpp"
#include "actors/http/head.hpp"

using namespace weir;
using namespace weir::http;

namespace {

std::variant<request_head, problem> read(const std::string& raw) {
  return read_head(raw, {});
}

request_head good(const std::string& raw) {
  auto result = read(raw);
  if (auto* fault = std::get_if<problem>(&result))
    FAIL(fault->message);
  return std::get<request_head>(std::move(result));
}

/// A valid POST with the given fields in place of its own.
std::string post(const std::string& fields, const std::string& target = "/v1/ingest/http_requests") {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

} // namespace

TEST_CASE("a head says method, path, query, framing and the fields that Weir acts on") {
  const auto head =
      good(post("Content-Length: 12\r\nAuthorization: Bearer abc\r\nIdempotency-Key:  k-1 \r\n"
                "content-encoding: gzip\r\nExpect: 100-continue\r\nX-Other: \xc3\xa4\tb\r\n",
                "/v1/ingest/http_requests?zone=z1&strict=1"));
  CHECK_EQ(head.method, "POST");
  CHECK_EQ(head.path, "/v1/ingest/http_requests");
  CHECK_EQ(head.query, "zone=z1&strict=1");
  CHECK_EQ(head.content_length, std::uint64_t{12});
  CHECK_FALSE(head.chunked);
  CHECK(head.keep_alive);
  CHECK(head.expect_continue);
  CHECK_EQ(head.idempotency_key, "k-1");
  CHECK_EQ(head.content_encoding, "gzip");
  CHECK_EQ(*bearer_token(head), "abc");
  CHECK(good(post("Transfer-Encoding: Chunked\r\n")).chunked);
  CHECK_FALSE(good(post("Connection: close\r\nContent-Length: 0\r\n")).keep_alive);
  CHECK_FALSE(good("GET / HTTP/1.0\r\n\r\n").keep_alive);
}

TEST_CASE("SEC-11 a message whose length can be read in two ways is refused") {
  const std::vector<std::string> fields{
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
      "Content-Length: 5\r\nContent-Length: 5\r\n",
      "Content-Length: 5\r\nContent-Length: 6\r\n",
      "Content-Length: 5, 5\r\n",
      "Content-Length: 5,6\r\n",
      "Content-Length: +5\r\n",
      "Content-Length: -5\r\n",
      "Content-Length: 0x5\r\n",
      "Content-Length: 5 5\r\n",
      "Content-Length: 5;\r\n",
      "Content-Length:\r\n",
      "Content-Length: 18446744073709551621\r\n",
      "Content-Length: 99999999999999999999999999\r\n",
      "Transfer-Encoding: chunked, identity\r\n",
      "Transfer-Encoding: identity, chunked\r\n",
      "Transfer-Encoding: identity\r\n",
      "Transfer-Encoding: gzip, chunked\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
      "Transfer-Encoding: xchunked\r\n",
      "Transfer-Encoding: \x0b"
      "chunked\r\n",
      "Transfer-Encoding:\r\n chunked\r\n",
      "Transfer-Encoding : chunked\r\n",
      " Transfer-Encoding: chunked\r\n",
      "X: a\r\n Transfer-Encoding: chunked\r\n",
      "Content-Length: 5\r\n\tX: folded\r\n",
      "Content-Length\r\n",
      ": 5\r\n",
      "Content-Length: 5\nX: y\r\n",
      "Content-Length: 5\rX: y\r\n",
      std::string{"Content-Length: 5\0\r\n", 20},
      "X: a\x7f\r\n",
      "Content Length: 5\r\n",
      "Host: b\r\n",
      "Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
      "Authorization: Bearer a\r\nauthorization: Bearer b\r\n",
  };
  for (const auto& each : fields) {
    const auto result = read(post(each));
    const auto* fault = std::get_if<problem>(&result);
    REQUIRE_MESSAGE(fault != nullptr, each);
    CHECK_MESSAGE(fault->status == 400, each);
  }
}

TEST_CASE("SEC-11 a request line that another reader could take otherwise is refused") {
  const std::vector<std::pair<std::string, int>> lines{
      {"POST  /a HTTP/1.1", 400},
      {"POST /a  HTTP/1.1", 400},
      {"POST /a HTTP/1.1 ", 400},
      {" POST /a HTTP/1.1", 400},
      {"POST /a b HTTP/1.1", 400},
      {"POST\t/a HTTP/1.1", 400},
      {"POST /a", 400},
      {"POST a HTTP/1.1", 400},
      {"POST http://h/a HTTP/1.1", 400},
      {"OPTIONS * HTTP/1.1", 400},
      {"P(ST /a HTTP/1.1", 400},
      {"", 400},
      {"POST /a HTTP/2.0", 505},
      {"PRI * HTTP/2.0", 505},
      {"POST /a http/1.1", 400},
      {"POST /\xc3\xa4 HTTP/1.1", 400},
      {"POST /a HTTP/1.1\x01", 400},
  };
  for (const auto& [line, status] : lines) {
    const auto result = read(line + "\r\nHost: a\r\n\r\n");
    const auto* fault = std::get_if<problem>(&result);
    REQUIRE_MESSAGE(fault != nullptr, line);
    CHECK_MESSAGE(fault->status == status, line);
  }
  CHECK(std::holds_alternative<problem>(read("POST /a HTTP/1.1\r\n\r\n"))); // no Host
}

TEST_CASE("heads have a largest number of fields and a longest target") {
  std::string fields;
  for (int i = 0; i < 63; ++i)
    fields += "X: y\r\n";
  CHECK(std::holds_alternative<request_head>(read(post(fields))));
  const auto many = read(post(fields + "X: y\r\n"));
  REQUIRE(std::holds_alternative<problem>(many));
  CHECK_EQ(std::get<problem>(many).status, 431);
  CHECK(std::holds_alternative<request_head>(read(post("", "/" + std::string(2'047, 'a')))));
  const auto lengthy = read(post("", "/" + std::string(2'048, 'a')));
  REQUIRE(std::holds_alternative<problem>(lengthy));
  CHECK_EQ(std::get<problem>(lengthy).status, 414);
}

TEST_CASE("an expectation other than 100-continue is refused") {
  const auto result = read(post("Expect: 200-ok\r\n"));
  REQUIRE(std::holds_alternative<problem>(result));
  CHECK_EQ(std::get<problem>(result).status, 417);
}

TEST_CASE("no bytes of a refused request come back in its error") {
  const std::string canary = "s3cr3t";
  for (const auto& raw : {post("X" + canary + " : y\r\n"), post("Content-Length: " + canary + "\r\n"),
                          "POST " + canary + " HTTP/1.1\r\n\r\n", post("Expect: " + canary + "\r\n")}) {
    const auto result = read(raw);
    REQUIRE(std::holds_alternative<problem>(result));
    CHECK_EQ(std::get<problem>(result).message.find(canary), std::string::npos);
  }
}

TEST_CASE("SEC-11 random changes of a valid head never give a head with two ways to end") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random{seed};
  const auto valid = post("Content-Length: 12\r\nTransfer-Encodin: chunked\r\nX: y\r\n");
  for (int i = 0; i < 20'000; ++i) {
    auto raw = valid;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      const auto at = random() % (raw.size() - 4);
      switch (random() % 3) {
        case 0:
          raw[at] = static_cast<char>(random());
          break;
        case 1:
          raw.insert(at, 1, "\r\n \t:,;+x0"[random() % 10]);
          break;
        default:
          raw.erase(at, 1);
          break;
      }
    }
    const auto end = raw.find("\r\n\r\n");
    const auto result = read(raw.substr(0, end + 4));
    if (const auto* head = std::get_if<request_head>(&result)) {
      CHECK_FALSE((head->chunked && head->content_length));
      CHECK_EQ(head->path.front(), '/');
    }
  }
}

TEST_CASE("NET-05 garbage is told before a head is complete") {
  CHECK_FALSE(early_fault("", 0));
  CHECK_FALSE(early_fault("POST /", 0));
  CHECK_FALSE(early_fault("POST / HTTP/1.1\r\nHo", 0));
  CHECK(early_fault("POST / HTTP/1.1\nHo", 0));
  CHECK(early_fault("\n", 0));
  CHECK(early_fault("\r\nPOST", 0));
  const auto tls = early_fault("\x16\x03\x01\x02", 0);
  REQUIRE(tls);
  CHECK_EQ(tls->reason, http_trouble::tls_on_plain_port);
  CHECK(early_fault("\xff\xff", 0));
}

TEST_CASE("queries are decoded, and refused where two readers could differ") {
  const auto query = parse_query("zone=a%2Db&&strict&x=");
  REQUIRE(query);
  REQUIRE_EQ(query->size(), 3u);
  CHECK_EQ((*query)[0].second, "a-b");
  CHECK_EQ((*query)[1].first, "strict");
  CHECK_FALSE(parse_query("a=%"));
  CHECK_FALSE(parse_query("a=%4"));
  CHECK_FALSE(parse_query("a=%zz"));
  CHECK_FALSE(parse_query("a=%00"));
  CHECK_FALSE(parse_query("a=%0d%0a"));
  CHECK_FALSE(parse_query("a=1&a=2"));
  CHECK_FALSE(parse_query("a=1&%61=2"));
}

TEST_CASE("only Bearer credentials are taken") {
  request_head head;
  CHECK_FALSE(bearer_token(head));
  for (const auto* value : {"", "Bearer", "Bearer ", "Basic YTpi", "Bearerabc", "bear er abc"}) {
    head.authorization = value;
    CHECK_MESSAGE(!bearer_token(head), value);
  }
  head.authorization = "BEARER  abc";
  CHECK_EQ(*bearer_token(head), "abc");
}

// -- chunks

namespace {

/// The body of a chunked message fed in pieces of `step` bytes; nothing if it is bad or does not end.
std::optional<std::string> dechunk(std::string_view raw, std::size_t step, std::size_t* used = nullptr) {
  chunk_reader reader;
  std::string body;
  std::size_t position = 0;
  while (position < raw.size() && reader.current() == chunk_reader::state::more) {
    const auto result = reader.next(raw.substr(position, step), 3);
    body += result.data;
    position += result.consumed;
  }
  if (used != nullptr)
    *used = position;
  if (reader.current() != chunk_reader::state::finished)
    return std::nullopt;
  return body;
}

} // namespace

TEST_CASE("chunked bodies are read whole, however they are cut, and not a byte further") {
  const std::string raw = "5\r\nhello\r\n00a\r\n0123456789\r\n1\r\n\r\r\n0\r\n\r\nPOST";
  for (std::size_t step = 1; step <= raw.size(); ++step) {
    std::size_t used = 0;
    CHECK_EQ(dechunk(raw, step, &used), "hello0123456789\r");
    CHECK_EQ(used, raw.size() - 4);
  }
}

TEST_CASE("SEC-11 a bad chunk size, an extension or a trailer field is refused") {
  for (const auto* raw : {"+5\r\nhello\r\n0\r\n\r\n",
                          "-5\r\nhello\r\n0\r\n\r\n",
                          "0x5\r\nhello\r\n0\r\n\r\n",
                          "g\r\n\r\n",
                          " 5\r\nhello\r\n0\r\n\r\n",
                          "5 \r\nhello\r\n0\r\n\r\n",
                          "\r\nhello\r\n0\r\n\r\n",
                          "5;a=b\r\nhello\r\n0\r\n\r\n",
                          "5;\r\nhello\r\n0\r\n\r\n",
                          "5\nhello\r\n0\r\n\r\n",
                          "5\r\r\nhello\r\n0\r\n\r\n",
                          "5\r\nhello0\r\n\r\n",
                          "5\r\nhello\n0\r\n\r\n",
                          "5\r\nhello!\r\n0\r\n\r\n",
                          "0\r\nX: y\r\n\r\n",
                          "0\r\n\n",
                          "0;a\r\n\r\n",
                          "123456789\r\n",
                          "ffffffffffffffff1\r\n",
                          "fffffffff\r\n"})
    for (const std::size_t step : {std::size_t{1}, std::size_t{100}})
      CHECK_MESSAGE(!dechunk(raw, step), raw);
}

// -- answers

TEST_CASE("an answer says what it is and whether the connection goes on") {
  answer x;
  x.status = 429;
  x.body = "{}";
  x.retry_after_seconds = 3;
  CHECK_EQ(render(x, true),
           "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
           "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nRetry-After: 3\r\n"
           "Connection: close\r\n\r\n{}");
  const auto head_only = render(x, false, true);
  CHECK_NE(head_only.find("Content-Length: 2\r\n"), std::string::npos);
  CHECK_EQ(head_only.substr(head_only.size() - 4), "\r\n\r\n");
}

TEST_CASE("SEC-08 JSON strings stay valid whatever bytes they are made of") {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  CHECK_EQ(quoted("a\"\\\n"), "\"a\\\"\\\\\\u000a\"");
  CHECK_EQ(quoted({"a\0b", 3}), "\"a\\u0000b\"");
  CHECK_EQ(quoted("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
  CHECK_EQ(quoted("\xff"), "\"\xef\xbf\xbd\"");
  CHECK_EQ(quoted("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 // overlong NUL
  CHECK_EQ(quoted("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); // lone surrogate
  CHECK_EQ(quoted("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 // cut off
}
