#include "config/job.hpp"

#include <openssl/sha.h>

#include <algorithm>

#include <fmt/format.h>

#include "config/config_snapshot.hpp"
#include "config/job_fields.hpp"
#include "config/scope.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

enum field : std::uint32_t {
  field_id = 1u << 0,
  field_revision = 1u << 1,
  field_dataset = 1u << 2,
  field_scope = 1u << 3,
  field_name = 1u << 4,
  field_destination = 1u << 5,
  field_enabled = 1u << 6,
  field_upload_bytes = 1u << 7,
  field_upload_records = 1u << 8,
  field_upload_interval = 1u << 9,
  field_buffer_bytes = 1u << 10,
  field_field_names = 1u << 11,
};

constexpr std::uint32_t needed_fields = field_id | field_dataset | field_scope | field_destination;

struct known_field {
  std::string_view key;
  std::uint32_t bit;
};

constexpr known_field known_fields[] = {
    {"id", field_id},
    {"revision", field_revision},
    {"dataset", field_dataset},
    {"scope", field_scope},
    {"name", field_name},
    {"destination_conf", field_destination},
    {"enabled", field_enabled},
    {"max_upload_bytes", field_upload_bytes},
    {"max_upload_records", field_upload_records},
    {"max_upload_interval_seconds", field_upload_interval},
    {"buffer_bytes", field_buffer_bytes},
    {"output_options.field_names", field_field_names},
};

// Keys of the job API that mean something this version does not do. To ignore them would deliver
// other events, or in another form, than the customer asked for.
constexpr std::string_view unsupported_keys[] = {"filter",     "filter_attack_traffic", "frequency",
                                                 "kind",       "logpull_options",       "last_complete",
                                                 "last_error", "error_message",         "ownership_challenge"};

// Clients of the job API write out what they leave unset.
bool means_unset(const field_value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value))
    return text->empty();
  if (const auto* flag = std::get_if<bool>(&value))
    return !*flag;
  return std::holds_alternative<std::monostate>(value);
}

std::string_view kind_of(const field_value& value) {
  static constexpr std::string_view names[] = {"null",   "true or false", "a whole number", "a number with a fraction",
                                               "a text", "a list"};
  if (const auto* other = std::get_if<other_value>(&value))
    return other->what;
  return names[value.index()];
}

// Keys and labels go to logs and terminals, so a hostile one is not repeated as it is.
std::string printable(std::string_view text) {
  std::string result{text.substr(0, 64)};
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return result;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

} // namespace

void job_fields::problem(std::string_view key, std::string what, problem_kind kind) {
  bad_ = true;
  problems_.add(fmt::format("{}: {}", path_, key), std::move(what), kind);
}

void job_fields::number_field(std::string_view key, const field_value& value, std::uint64_t& into) {
  const auto* x = std::get_if<std::int64_t>(&value);
  if (!x)
    problem(key, fmt::format("is {}; a whole number is needed", kind_of(value)));
  else if (*x < 0)
    problem(key, fmt::format("is {}; it may not be negative", *x));
  else
    into = static_cast<std::uint64_t>(*x);
}

void job_fields::size_field(std::string_view key, const field_value& value, std::uint64_t& into) {
  const auto* text = std::get_if<std::string_view>(&value);
  if (!text)
    return number_field(key, value, into);
  const auto bytes = parse_size(*text);
  if (!bytes)
    return problem(key, "is not a size; an example is \"10GiB\"");
  into = *bytes;
}

void job_fields::text_field(std::string_view key, const field_value& value, std::string& into) {
  if (const auto* text = std::get_if<std::string_view>(&value))
    into = *text;
  else
    problem(key, fmt::format("is {}; a text is needed", kind_of(value)));
}

void job_fields::set(std::string_view key, const field_value& value) {
  const auto known = std::find_if(std::begin(known_fields), std::end(known_fields),
                                  [key](const known_field& x) { return x.key == key; });
  if (known == std::end(known_fields)) {
    const auto unsupported =
        key.substr(0, 15) == "output_options."
        || std::find(std::begin(unsupported_keys), std::end(unsupported_keys), key) != std::end(unsupported_keys);
    if (unsupported && means_unset(value))
      return;
    return problem(printable(key),
                   unsupported ? "is not supported by this version; leave it out"
                               : "is not a key of a job; see docs/configuration.md for those there are",
                   problem_kind::unknown_key);
  }
  if (seen_ & known->bit)
    return problem(key, "is there twice", problem_kind::duplicate);
  if (std::holds_alternative<std::monostate>(value) && !(needed_fields & known->bit))
    return;
  seen_ |= known->bit;
  std::uint64_t bare = 0;
  std::string text;
  switch (known->bit) {
    case field_id:
      number_field(key, value, bare);
      job_.id = job_id{bare};
      break;
    case field_revision:
      number_field(key, value, bare);
      job_.revision = weir::revision{bare};
      break;
    case field_dataset:
      return text_field(key, value, job_.dataset);
    case field_scope:
      return text_field(key, value, job_.scope);
    case field_name:
      return text_field(key, value, job_.name);
    case field_destination:
      text_field(key, value, text);
      job_.destination_conf = secret{std::move(text)};
      break;
    case field_enabled:
      if (const auto* x = std::get_if<bool>(&value))
        job_.enabled = *x;
      else
        problem(key, fmt::format("is {}; true or false is needed", kind_of(value)));
      break;
    case field_upload_bytes:
      return size_field(key, value, job_.max_upload_bytes);
    case field_upload_records:
      return number_field(key, value, job_.max_upload_records);
    case field_upload_interval:
      return number_field(key, value, job_.max_upload_interval_seconds);
    case field_buffer_bytes:
      return size_field(key, value, job_.max_buffer_bytes);
    case field_field_names:
      if (const auto* list = std::get_if<std::vector<std::string_view>>(&value))
        job_.field_names.assign(list->begin(), list->end());
      else
        problem(key, fmt::format("is {}; a list of names is needed", kind_of(value)));
      break;
  }
}

bool job_fields::finish() {
  for (const auto& x : known_fields)
    if ((needed_fields & x.bit) && !(seen_ & x.bit))
      problem(x.key, "is missing", problem_kind::missing);
  return !bad_;
}

namespace {

struct range_rule {
  std::string_view key;
  std::uint64_t value;
  std::uint64_t least;
  std::uint64_t most;
};

void check_uploads(const job& x, job_origin origin, const std::string& path, problem_list& problems) {
  const auto api = origin == job_origin::api;
  // The upper bounds are the job API's for both; an operator's own jobs may be quicker and smaller.
  const range_rule rules[] = {
      {"max_upload_bytes", x.max_upload_bytes, api ? 5'000'000u : 1u, 1'000'000'000},
      {"max_upload_records", x.max_upload_records, api ? 1'000u : 1u, 1'000'000},
      {"max_upload_interval_seconds", x.max_upload_interval_seconds, api ? 30u : 1u, 300},
  };
  for (const auto& rule : rules)
    if (rule.value != 0 && (rule.value < rule.least || rule.value > rule.most))
      problems.add(fmt::format("{}: {}", path, rule.key),
                   fmt::format("is {}; {} to {} are allowed, or 0 for the default", rule.value, rule.least, rule.most));
}

void check_field_names(const job& x, const std::string& path, problem_list& problems) {
  const auto key = path + ": output_options.field_names";
  if (x.field_names.size() > job_bounds::max_field_names)
    return problems.add(
        key, fmt::format("has {} names; at most {} are allowed", x.field_names.size(), job_bounds::max_field_names));
  auto sorted = x.field_names;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    problems.add(key, fmt::format("has '{}' twice", printable(*twice)));
  for (const auto& name : x.field_names)
    if (name.empty() || name.size() > job_bounds::max_field_name_bytes || has_control_character(name))
      return problems.add(key, fmt::format("'{}' is not the name of a field (1 to {} bytes)", printable(name),
                                           job_bounds::max_field_name_bytes));
}

void check_scope(const job& x, const job_rules& rules, const std::string& path, problem_list& problems) {
  const auto scope = parse_scope(x.scope);
  if (!scope)
    problems.add(path + ": scope", fmt::format("'{}' is no scope; write zones/ID or accounts/ID with an id of 1 to {} "
                                               "letters, digits, '-' or '_'",
                                               printable(x.scope), max_scope_id_bytes));
  const auto dataset = std::find_if(rules.datasets.begin(), rules.datasets.end(),
                                    [&](const dataset_config& d) { return d.name == x.dataset; });
  if (dataset == rules.datasets.end())
    return problems.add(path + ": dataset", fmt::format("'{}' is not in the config; add [datasets.NAME] or use one of "
                                                        "those there",
                                                        printable(x.dataset)));
  if (scope && scope->kind != dataset->scopes)
    problems.add(path + ": scope", fmt::format("'{}' can never match: events of {} belong to {}", printable(x.scope),
                                               x.dataset, name_of(dataset->scopes)));
  if (!dataset->fields.empty())
    for (const auto& name : x.field_names)
      if (dataset->fields.count(name) == 0)
        return problems.add(path + ": output_options.field_names",
                            fmt::format("'{}' is not a field of {}", printable(name), x.dataset));
}

} // namespace

std::optional<destination> check(const job& x, const job_rules& rules, const std::string& path,
                                 problem_list& problems) {
  const auto id = number(x.id);
  if (id == 0 && rules.origin == job_origin::external)
    problems.add(path + ": id", "is 0; ids begin at 1");
  else if (rules.origin != job_origin::external
           && (id == 0 || (rules.origin == job_origin::declared) != (id < job_bounds::first_api_id)))
    problems.add(path + ": id",
                 rules.origin == job_origin::declared
                     ? fmt::format("is {}; declared jobs have ids of 1 to {}", id, job_bounds::first_api_id - 1)
                     : fmt::format("is {}; jobs of the API begin at {}", id, job_bounds::first_api_id));
  check_scope(x, rules, path, problems);
  if (x.name.size() > job_bounds::max_name_bytes || has_control_character(x.name))
    problems.add(path + ": name",
                 fmt::format("is longer than {} bytes or has a control character", job_bounds::max_name_bytes));
  auto to = parse_destination(x.destination_conf.reveal(), rules.destinations);
  if (!to.value)
    problems.add(path + ": destination_conf", std::move(to.error));
  check_uploads(x, rules.origin, path, problems);
  check_field_names(x, path, problems);
  if (rules.store_max_bytes != 0 && x.max_buffer_bytes > rules.store_max_bytes)
    problems.add(path + ": buffer_bytes", fmt::format("is {}, more than the whole store may hold ({})",
                                                      size_text(x.max_buffer_bytes), size_text(rules.store_max_bytes)));
  return std::move(to.value);
}

revision settings_revision(const job& x) {
  std::string all;
  const auto eat_number = [&](std::uint64_t value) { all += fmt::format("{}\n", value); };
  const auto eat = [&](const std::string& text) {
    eat_number(text.size());
    all += text;
  };
  eat(x.dataset);
  eat(x.scope);
  eat(x.name);
  eat(x.destination_conf.reveal());
  eat_number(x.field_names.size());
  for (const auto& name : x.field_names)
    eat(name);
  for (const std::uint64_t value : {std::uint64_t{x.enabled}, x.max_upload_bytes, x.max_upload_records,
                                    x.max_upload_interval_seconds, x.max_buffer_bytes})
    eat_number(value);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  std::uint64_t result = 0;
  for (int i = 0; i < 8; ++i)
    result = result << 8 | digest[i];
  return weir::revision{(result >> 1) | 1}; // fits a signed column, and is never 0
}

} // namespace weir
