#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "actors/http/head.hpp"
#include "actors/sources/body_decoder.hpp"

namespace weir {

/// What a request to `/v1/ingest/{dataset}` asks for, before anybody was asked about it.
struct ingest_request {
  std::string dataset;
  std::string scope; ///< `zones/<id>`, `accounts/<id>`, or empty.
  bool strict = false;
  std::string idempotency_key;
  body_encoding encoding = body_encoding::identity;
};

/// Checks path, method, query and fields. Errors: 400, 404, 405, 411, 415.
std::variant<ingest_request, http::problem> read_ingest_request(const http::request_head& head);

/// Ids in scopes: 1–32 of letters, digits, `_` and `-`.
bool is_scope_id(std::string_view id) noexcept;

} // namespace weir
