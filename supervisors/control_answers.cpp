#include "supervisors/control_answers.hpp"

#include <charconv>

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

namespace weir {

http::answer refusal(int status, std::string_view error, std::string message) {
  http::problem wrong;
  wrong.status = status;
  wrong.error = error;
  wrong.message = std::move(message);
  return http::error_answer(wrong);
}

http::answer json_answer(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions how;
  how.always_print_primitive_fields = true;
  how.preserve_proto_field_names = true;
  http::answer result;
  if (!google::protobuf::util::MessageToJsonString(message, &result.body, how).ok())
    return refusal(500, "not_rendered", "the answer could not be rendered");
  result.body.push_back('\n');
  return result;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (why != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

} // namespace weir
