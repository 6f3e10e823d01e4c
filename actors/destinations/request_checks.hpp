#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/environment.hpp"

namespace weir {

/// The last look at a request before it goes on the wire. The config has checked destinations when
/// they were made; these checks trust nobody before them. Answers say which part is wrong, never
/// its value.

/// Why the order cannot be sent over HTTP; nothing if it can. Only `https`, and `http` where the
/// order allows it; no byte in address, header or identity that could end a line; no header that
/// the sender sets itself.
std::optional<std::string> refuse_request(const upload_order& order);

/// Text from outside as one short line for a customer: printable ASCII, at most 200 bytes, with
/// whatever could be a secret of the order (header values, parameters) as `***`.
std::string sanitised(std::string_view text, const upload_order& order);

} // namespace weir
