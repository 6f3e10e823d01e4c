#include "config/toml_section.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/text_values.hpp"

namespace weir {

namespace {

// "64MiB to 1GiB is allowed (the machine has 8GiB); for example memory = "1GiB""
template <class T, class Text>
std::string allowed(std::string_view key, const bounds<T>& in, const std::string& example, Text&& text) {
  return fmt::format("{} to {} is allowed{}; for example {} = {}", text(in.least), text(in.most),
                     in.why.empty() ? std::string{} : fmt::format(" ({})", in.why), key, example);
}

std::string share_text(double x) {
  return fmt::format("{:g}", x);
}

std::string count_text(std::uint64_t x) {
  return fmt::format("{}", x);
}

std::string quoted(std::string text) {
  return fmt::format("\"{}\"", text);
}

} // namespace

std::string shown_key(std::string_view key) {
  std::string result{key.substr(0, 64)};
  std::replace_if(
      result.begin(), result.end(),
      [](unsigned char c) { return !(std::isalnum(c) && c < 0x80) && c != '_' && c != '-' && c != '.'; }, '?');
  return result;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string toml_section::path_of(std::string_view key) const {
  return path_.empty() ? std::string{key} : fmt::format("{}.{}", path_, key);
}

void toml_section::problem(std::string_view key, std::string what) {
  result_.problems.add(path_of(key), std::move(what));
}

const toml::node* toml_section::get(std::string_view key) {
  asked_.emplace(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

void toml_section::in_force(std::string_view key, std::string value) {
  result_.limits.push_back({path_of(key), std::move(value), !has(key)});
}

void toml_section::text(std::string_view key, std::string& into) {
  const auto* node = get(key);
  if (node == nullptr)
    return;
  const auto* value = node->as_string();
  if (value == nullptr)
    return problem(key, fmt::format("is {}; a text in quotes is needed", kind_of(*node)));
  into = value->get();
}

void toml_section::flag(std::string_view key, bool& into) {
  const auto* node = get(key);
  if (node == nullptr)
    return;
  const auto* value = node->as_boolean();
  if (value == nullptr)
    return problem(key, fmt::format("is {}; true or false is needed", kind_of(*node)));
  into = value->get();
}

void toml_section::texts(std::string_view key, std::vector<std::string>& into, std::string_view example) {
  const auto* node = get(key);
  if (node == nullptr)
    return;
  const auto* list = node->as_array();
  if (list == nullptr || !std::all_of(list->begin(), list->end(), [](const toml::node& x) { return x.is_string(); }))
    return problem(key, fmt::format("must be a list of texts; for example {} = {}", key, example));
  into.clear();
  for (const auto& x : *list)
    into.push_back(x.as_string()->get());
}

void toml_section::size(std::string_view key, std::uint64_t& into, const bounds<std::uint64_t>& in) {
  const auto rule = allowed(key, in, quoted(size_text(std::clamp(into, in.least, in.most))), size_text);
  auto given = into;
  if (const auto* node = get(key)) {
    const auto* value = node->as_string();
    if (value == nullptr)
      return problem(key, fmt::format("is {}; a size is a text with its unit: {}", kind_of(*node), rule));
    const auto bytes = parse_size(value->get());
    if (!bytes)
      return problem(key, fmt::format("'{}' is not a size: {}", shown_key(value->get()), rule));
    given = *bytes;
  }
  if (given < in.least || given > in.most)
    return problem(key, fmt::format("is {}; {}", size_text(given), rule));
  into = given;
  in_force(key, size_text(into));
}

void toml_section::count(std::string_view key, std::uint64_t& into, const bounds<std::uint64_t>& in) {
  const auto rule = allowed(key, in, count_text(std::clamp(into, in.least, in.most)), count_text);
  auto given = into;
  if (const auto* node = get(key)) {
    const auto* value = node->as_integer();
    if (value == nullptr)
      return problem(key, fmt::format("is {}; a whole number is needed: {}", kind_of(*node), rule));
    if (value->get() < 0)
      return problem(key, fmt::format("is {}; {}", value->get(), rule));
    given = static_cast<std::uint64_t>(value->get());
  }
  if (given < in.least || given > in.most)
    return problem(key, fmt::format("is {}; {}", given, rule));
  into = given;
  in_force(key, count_text(into));
}

void toml_section::count(std::string_view key, std::uint32_t& into, const bounds<std::uint64_t>& in) {
  std::uint64_t value = into;
  auto narrow = in;
  narrow.most = std::min<std::uint64_t>(in.most, 0xffff'ffff);
  count(key, value, narrow);
  into = static_cast<std::uint32_t>(std::min<std::uint64_t>(value, 0xffff'ffff));
}

void toml_section::share(std::string_view key, double& into, const bounds<double>& in) {
  const auto rule = allowed(key, in, share_text(std::clamp(into, in.least, in.most)), share_text);
  auto given = into;
  if (const auto* node = get(key)) {
    if (!node->is_number())
      return problem(key, fmt::format("is {}; a share of 1 is needed: {}", kind_of(*node), rule));
    given = node->is_integer() ? static_cast<double>(node->as_integer()->get()) : node->as_floating_point()->get();
  }
  if (!(given >= in.least && given <= in.most)) // not a number is out of bounds too
    return problem(key, fmt::format("is {:g}; {}", given, rule));
  into = given;
  in_force(key, share_text(into));
}

void toml_section::milliseconds(std::string_view key, std::chrono::milliseconds& into,
                                const bounds<std::chrono::milliseconds>& in) {
  const auto rule = allowed(key, in, quoted(duration_text(std::clamp(into, in.least, in.most))), duration_text);
  auto given = into;
  if (const auto* node = get(key)) {
    const auto* value = node->as_string();
    if (value == nullptr)
      return problem(key, fmt::format("is {}; a time is a text with its unit: {}", kind_of(*node), rule));
    const auto time = parse_duration(value->get());
    if (!time)
      return problem(key, fmt::format("'{}' is not a time: {}", shown_key(value->get()), rule));
    given = *time;
  }
  if (given < in.least || given > in.most)
    return problem(key, fmt::format("is {}; {}", duration_text(given), rule));
  into = given;
  in_force(key, duration_text(into));
}

toml_section toml_section::section(std::string_view key) {
  const auto* node = get(key);
  if (node != nullptr && !node->is_table())
    problem(key, fmt::format("is {}; a table is needed: [{}]", kind_of(*node), path_of(key)));
  return {node == nullptr ? nullptr : node->as_table(), path_of(key), result_};
}

void toml_section::each_of_array(std::string_view key, const std::function<void(toml_section&)>& visit) {
  const auto* node = get(key);
  if (node == nullptr)
    return;
  const auto* list = node->as_array();
  if (list == nullptr || !std::all_of(list->begin(), list->end(), [](const toml::node& x) { return x.is_table(); }))
    return problem(key, fmt::format("must be written as tables: [[{}]]", path_of(key)));
  for (std::size_t i = 0; i < list->size(); ++i) {
    toml_section item((*list)[i].as_table(), fmt::format("{}[{}]", path_of(key), i), result_);
    visit(item);
    item.finish();
  }
}

void toml_section::each_of_table(std::string_view key,
                                 const std::function<void(const std::string& name, toml_section&)>& visit) {
  auto outer = section(key);
  if (!outer.there())
    return;
  for (const auto& [name, node] : *outer.table_) {
    outer.asked_.emplace(name.str());
    const auto* table = node.as_table();
    if (table == nullptr) {
      outer.problem(shown_key(name.str()), fmt::format("must be written as a table: [{}.NAME]", path_of(key)));
      continue;
    }
    toml_section item(table, outer.path_of(shown_key(name.str())), result_);
    visit(std::string{name.str()}, item);
    item.finish();
  }
}

void toml_section::each(const std::function<void(std::string_view key, const toml::node&)>& visit) {
  if (table_ == nullptr)
    return;
  for (const auto& [key, node] : *table_) {
    asked_.emplace(key.str());
    visit(key.str(), node);
  }
}

void toml_section::finish() {
  if (table_ == nullptr)
    return;
  for (const auto& [key, node] : *table_)
    if (asked_.find(key.str()) == asked_.end())
      problem(
          shown_key(key.str()), "is not a key of this section; known here: " + [&] {
            std::string all;
            for (const auto& known : asked_)
              all += (all.empty() ? "" : ", ") + known;
            return all;
          }());
}

} // namespace weir
