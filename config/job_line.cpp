#include <fmt/format.h>
#include <simdjson.h>

#include "config/job.hpp"
#include "config/job_fields.hpp"

namespace weir {

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

field_value value_of(element x) {
  switch (x.type()) {
    case element_type::NULL_VALUE:
      return std::monostate{};
    case element_type::BOOL:
      return bool{x};
    case element_type::INT64:
      return std::int64_t{x};
    case element_type::UINT64: // only those beyond the signed range
      return other_value{"a number beyond 2^63"};
    case element_type::DOUBLE:
      return double{x};
    case element_type::STRING:
      return std::string_view{x};
    case element_type::OBJECT:
      return other_value{"an object"};
    case element_type::ARRAY:
      break;
  }
  std::vector<std::string_view> list;
  for (element item : simdjson::dom::array(x)) {
    if (!item.is_string())
      return other_value{"a list with something else than texts in it"};
    list.push_back(std::string_view{item});
  }
  return list;
}

} // namespace

struct job_line_parser::parts {
  // Bounds the parser's own memory; the depth is more than any job has.
  simdjson::dom::parser parser{job_bounds::max_line_bytes};
  std::string key;
};

job_line_parser::job_line_parser() : parts_(std::make_unique<parts>()) {}
job_line_parser::~job_line_parser() = default;
job_line_parser::job_line_parser(job_line_parser&&) noexcept = default;
job_line_parser& job_line_parser::operator=(job_line_parser&&) noexcept = default;

bool job_line_parser::parse(std::string_view line, const std::string& path, job& into, problem_list& problems) {
  if (line.size() > job_bounds::max_line_bytes) {
    problems.add(path,
                 fmt::format("the line has {} bytes; a job has at most {}", line.size(), job_bounds::max_line_bytes));
    return false;
  }
  simdjson::dom::object object;
  element root;
  auto error = parts_->parser.parse(line.data(), line.size()).get(root);
  if (!error)
    error = root.get(object);
  if (error) {
    problems.add(path, fmt::format("is not a JSON object ({}); an example is {{\"id\":1,\"dataset\":\"http_requests\","
                                   "\"scope\":\"zones/ID\",\"destination_conf\":\"file:///var/log/push\"}}",
                                   simdjson::error_message(error)));
    return false;
  }
  job_fields fields(into, path, problems);
  for (const auto& [key, value] : object) {
    if (key != "output_options" || !value.is_object()) {
      if (key != "output_options" || !value.is_null())
        fields.set(key, value_of(value));
      continue;
    }
    for (const auto& [option, option_value] : simdjson::dom::object(value)) {
      parts_->key = "output_options.";
      parts_->key += option;
      fields.set(parts_->key, value_of(option_value));
    }
  }
  return fields.finish();
}

} // namespace weir
