#include "actors/sources/ingest_request.hpp"

#include <algorithm>

namespace weir {

namespace {

using http::problem;

constexpr std::string_view ingest_path = "/v1/ingest/";
constexpr std::size_t max_key = 255;

problem bad(std::string_view error, std::string message) {
  return {400, http_trouble::bad_request, error, std::move(message)};
}

std::optional<problem> read_query(const http::request_head& head, ingest_request& result) {
  const auto query = http::parse_query(head.query);
  if (!query)
    return bad("bad_query", "the query has a bad %XX escape, or one parameter twice");
  for (const auto& [name, value] : *query) {
    if (name == "zone" || name == "account") {
      if (!result.scope.empty())
        return bad("bad_query", "name a zone or an account, not both");
      if (!is_scope_id(value))
        return bad("bad_scope", "an id has 1 to 32 letters, digits, _ or -");
      result.scope = name + "s/" + value;
    } else if (name == "strict") {
      if (value != "1" && value != "0")
        return bad("bad_query", "strict is 0 or 1");
      result.strict = value == "1";
    } else {
      // A misspelt parameter that is passed over would change what the body means.
      return bad("bad_query", "the parameters are zone, account and strict");
    }
  }
  return std::nullopt;
}

std::optional<problem> read_fields(const http::request_head& head, ingest_request& result) {
  if (head.idempotency_key) {
    const auto& key = *head.idempotency_key;
    if (key.empty() || key.size() > max_key
        || !std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
      return bad("bad_idempotency_key", "an Idempotency-Key has 1 to 255 visible ASCII characters");
    result.idempotency_key = key;
  }
  if (!head.content_encoding || *head.content_encoding == "identity")
    result.encoding = body_encoding::identity;
  else if (*head.content_encoding == "gzip" || *head.content_encoding == "x-gzip")
    result.encoding = body_encoding::gzip;
  else if (*head.content_encoding == "zstd")
    result.encoding = body_encoding::zstd;
  else
    return problem{415, http_trouble::unsupported_encoding, "unsupported_encoding",
                   "the Content-Encoding is one of identity, gzip and zstd"};
  return std::nullopt;
}

} // namespace

bool is_scope_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 32 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  });
}

std::variant<ingest_request, problem> read_ingest_request(const http::request_head& head) {
  ingest_request result;
  if (head.path.compare(0, ingest_path.size(), ingest_path) != 0)
    return problem{404, http_trouble::not_found, "not_found", "events are posted to /v1/ingest/{dataset}"};
  result.dataset = head.path.substr(ingest_path.size());
  if (head.method != "POST")
    return problem{405, http_trouble::bad_request, "method_not_allowed", "events are sent with POST"};
  if (auto fault = read_query(head, result))
    return *std::move(fault);
  if (auto fault = read_fields(head, result))
    return *std::move(fault);
  if (!head.chunked && !head.content_length)
    return problem{411, http_trouble::bad_request, "length_required",
                   "send Content-Length or Transfer-Encoding: chunked"};
  if (!head.has_body())
    return bad("empty_body", "the body has no events; send one JSON object per line");
  return result;
}

} // namespace weir
