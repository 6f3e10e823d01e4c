#pragma once

#include <optional>
#include <string_view>

namespace weir::drills {

/// An answer with `Content-Length`, as Weir's listeners write it.
struct http_answer_view {
  unsigned status = 0;
  unsigned retry_after_s = 0; ///< At most a minute.
  bool keep_alive = true;
  std::string_view body;
};

/// Nothing as long as the answer is not complete, or if it is none.
std::optional<http_answer_view> read_http_answer(std::string_view text);

} // namespace weir::drills
