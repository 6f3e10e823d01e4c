#pragma once

#include <string>
#include <string_view>

#include "actors/http/head.hpp"

namespace weir::http {

/// A response before it is put into bytes.
struct answer {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  int retry_after_seconds = 0; ///< 0 = no such field.
  std::string allow;           ///< For 405; empty = no such field.
  bool challenge = false;      ///< `WWW-Authenticate: Bearer`.
};

/// Status line, fields and body. Names no product and no version. `without_body` for HEAD.
std::string render(const answer& x, bool close, bool without_body = false);

/// `{"error":"…","message":"…"}` and a line end.
std::string error_body(std::string_view error, std::string_view message);
answer error_answer(const problem& x);

/// Appends `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

} // namespace weir::http
