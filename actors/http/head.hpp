#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "telemetry/http_metrics.hpp"

/// HTTP/1.1 as Weir's listeners speak it: strict in what they take, so that no two readers of one stream can
/// disagree where a request ends. No actors here.
namespace weir::http {

struct head_limits {
  std::size_t bytes = 16u << 10; ///< Request line and fields.
  std::size_t fields = 64;
  std::size_t target = 2'048; ///< Bytes of path and query.
};

/// What the head of a request says, as far as Weir acts on it.
struct request_head {
  std::string method;
  std::string path;  ///< As sent, up to the `?`.
  std::string query; ///< As sent, behind the `?`.
  bool version_1_0 = false;
  bool keep_alive = true;
  std::optional<std::uint64_t> content_length;
  bool chunked = false; ///< Never together with `content_length`.
  bool expect_continue = false;
  std::optional<std::string> authorization;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> content_encoding;

  bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

/// Why a request is refused, as the client reads it.
struct problem {
  int status = 400;
  http_trouble reason = http_trouble::bad_head;
  std::string_view error; ///< Stable name, for programs.
  std::string message;    ///< A sentence with the mend, for people. Never bytes of the request.
};

/// Reads a whole head, from the first byte up to and with the empty line.
///
/// Refused although RFC 9112 or common parsers would take it: obs-fold, bare CR or LF, blanks around names,
/// two fields of one name where only one can count, any `Transfer-Encoding` but `chunked`, anything but digits
/// in `Content-Length`, absolute-form targets, empty lines before the request line.
std::variant<request_head, problem> read_head(std::string_view raw, const head_limits& limits);

/// What can be said before the head is complete, so that garbage need not be waited for: another protocol's
/// hello, or a line feed without its carriage return. `from` is where the last look ended, 0 at first.
std::optional<problem> early_fault(std::string_view so_far, std::size_t from);

using query_parameters = std::vector<std::pair<std::string, std::string>>;

/// Splits and percent-decodes a query. Nothing for bad escapes, control characters, or a name that comes twice.
std::optional<query_parameters> parse_query(std::string_view raw);

} // namespace weir::http
