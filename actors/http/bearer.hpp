#pragma once

#include <optional>
#include <string_view>

#include "actors/http/head.hpp"

namespace weir::http {

/// The token of `Authorization: Bearer …`, pointing into the head; nothing if there is none.
std::optional<std::string_view> bearer_token(const request_head& head);

} // namespace weir::http
