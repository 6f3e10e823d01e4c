#include <doctest/doctest.h>

#include <string>

#include "actors/sources/ingest_request.hpp"

using namespace weir;

namespace {

http::request_head post(const std::string& path, const std::string& query = "") {
  http::request_head head;
  head.method = "POST";
  head.path = path;
  head.query = query;
  head.content_length = 5;
  return head;
}

int status_of(const http::request_head& head) {
  const auto result = read_ingest_request(head);
  const auto* fault = std::get_if<http::problem>(&result);
  return fault != nullptr ? fault->status : 200;
}

} // namespace

TEST_CASE("path and query say dataset, scope and strictness") {
  auto head = post("/v1/ingest/http_requests", "zone=78b85e002131f08b636e58bb814adc68&strict=1");
  head.idempotency_key = "k";
  head.content_encoding = "zstd";
  const auto result = std::get<ingest_request>(read_ingest_request(head));
  CHECK_EQ(result.dataset, "http_requests");
  CHECK_EQ(result.scope, "zones/78b85e002131f08b636e58bb814adc68");
  CHECK(result.strict);
  CHECK_EQ(result.idempotency_key, "k");
  CHECK_EQ(result.encoding, body_encoding::zstd);
  CHECK_EQ(std::get<ingest_request>(read_ingest_request(post("/v1/ingest/d", "account=a_1-B"))).scope,
           "accounts/a_1-B");
}

TEST_CASE("a query that is misspelt or ambiguous is refused, not passed over") {
  for (const auto* query :
       {"zones=a", "zone=a&account=b", "zone=", "zone=a/b", "zone=a%2Fb", "zone=a%20b", "strict=yes", "zone=a&zone=a",
        "zone=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "zone=..", "token=abc"})
    CHECK_MESSAGE(status_of(post("/v1/ingest/d", query)) == 400, query);
}

TEST_CASE("an idempotency key has 1 to 255 visible characters") {
  auto head = post("/v1/ingest/d");
  for (const auto& key :
       {std::string{}, std::string(256, 'k'), std::string{"a b"}, std::string{"a\tb"}, std::string{"\xc3\xa4"}}) {
    head.idempotency_key = key;
    CHECK_MESSAGE(status_of(head) == 400, key);
  }
  head.idempotency_key = std::string(255, '~');
  CHECK_EQ(status_of(head), 200);
}

TEST_CASE("what is no ingest request is answered with the status that says why") {
  CHECK_EQ(status_of(post("/")), 404);
  CHECK_EQ(status_of(post("/v1/ingest")), 404);
  auto get = post("/v1/ingest/d");
  get.method = "GET";
  CHECK_EQ(status_of(get), 405);
  auto packed = post("/v1/ingest/d");
  packed.content_encoding = "br";
  CHECK_EQ(status_of(packed), 415);
  packed.content_encoding = "gzip, gzip";
  CHECK_EQ(status_of(packed), 415);
  auto endless = post("/v1/ingest/d");
  endless.content_length.reset();
  CHECK_EQ(status_of(endless), 411);
  auto empty = post("/v1/ingest/d");
  empty.content_length = 0;
  CHECK_EQ(status_of(empty), 400);
}
