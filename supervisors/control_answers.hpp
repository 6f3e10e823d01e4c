#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "actors/http/answer.hpp"

namespace google::protobuf {
class Message;
}

/// What handlers of `/v1` answer with.
namespace weir {

/// The error in the form all of Weir's listeners have. `error` is a stable name, `message` a sentence.
http::answer refusal(int status, std::string_view error, std::string message);

/// The message in protobuf's JSON form: names as in the .proto file, zeros shown, 64-bit numbers as strings.
http::answer json_answer(const google::protobuf::Message& message);

/// The whole text as a number; nothing if it is none.
std::optional<std::uint64_t> number_in(std::string_view text);

} // namespace weir
