#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "actors/http/answer.hpp"

namespace weir {

/// What a token must allow for a request. `none` needs no token; `loopback` needs none if the listener is
/// bound to a loopback address, and `read` otherwise.
enum class control_right : std::uint8_t { none, loopback, read, write, operate };

std::string_view name_of(control_right right) noexcept;

/// Who asks, as the credential says.
struct control_caller {
  std::string token; ///< Its name, never its text. Empty without a token.
  std::vector<control_right> rights;
  bool any_scope = false;
  std::vector<std::string> scopes; ///< `zones/…`, `accounts/…`; sorted.

  bool may(control_right right) const noexcept;
};

struct control_request {
  std::string method;
  std::string path;
  std::vector<std::string> captures; ///< What stood for each `{…}` of the route.
  http::query_parameters query;
  std::string body;
  std::shared_ptr<const control_caller> caller; ///< Never null.

  /// The value of a query parameter, or nothing.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

/// Takes the response; from any thread, once, returns at once. A request whose responder is forgotten is
/// answered 503 after the listener's `answer_within`.
using control_responder = std::function<void(http::answer)>;
using control_handler = std::function<void(control_request, control_responder)>;

/// Which handler answers which request. Filled before the listener opens, then never changed.
class control_router {
 public:
  /// `path` may hold `{name}` in place of one segment. Handlers run on the listener's threads and must not
  /// block for long: what waits for an actor answers later, through the responder.
  void route(std::string method, std::string path, control_right right, control_handler handler);

  /// The same for a handler that knows its response at once.
  void answer(std::string method, std::string path, control_right right,
              std::function<http::answer(const control_request&)> handler);

  struct found {
    const control_handler* handler = nullptr;
    control_right right = control_right::operate;
    std::vector<std::string> captures;
  };
  struct missing {
    std::string allow; ///< Methods the path has; empty: no such path.
  };
  std::variant<found, missing> find(std::string_view method, std::string_view path) const;

 private:
  struct entry {
    std::string method;
    std::vector<std::string> segments;
    control_right right;
    control_handler handler;
  };
  std::vector<entry> entries_;
};

/// `?limit=` (1 to 1,000, default 100), `?cursor=` (the last key of the page before), `?sort=` (one of the
/// allowed keys, `-` before it for descending order).
struct page_request {
  std::size_t limit = 100;
  std::string cursor;
  std::string sort; ///< Empty: the handler's own order.
  bool descending = false;
};

/// The page a query asks for, or what is wrong with it. Other parameters are the handler's.
std::variant<page_request, http::problem> read_page(const control_request& request,
                                                    const std::vector<std::string_view>& sort_keys);

} // namespace weir
