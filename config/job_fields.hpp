#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/job.hpp"
#include "config/problem.hpp"

namespace weir {

/// A value that is neither of the types a job has nor null; holds what it is instead.
struct other_value {
  std::string_view what; ///< "a date", "an object", …
};

/// A value as TOML or JSON has it, so that both texts of a job are judged by the same code. A list
/// holds text only; anything else is an `other_value`.
using field_value = std::variant<std::monostate, bool, std::int64_t, double, std::string_view,
                                 std::vector<std::string_view>, other_value>;

/// Takes the keys of one job, one by one. Nested keys are flat: `output_options.field_names`.
class job_fields {
 public:
  job_fields(job& into, const std::string& path, problem_list& problems)
      : job_(into), path_(path), problems_(problems) {}

  /// Sets the field `key` names, or adds a problem: unknown, there twice, unsupported, wrong type.
  void set(std::string_view key, const field_value& value);
  /// Adds the problems of fields that must be there and are not. True if there were no problems.
  bool finish();

 private:
  void problem(std::string_view key, std::string what, problem_kind kind = problem_kind::value);
  void number_field(std::string_view key, const field_value& value, std::uint64_t& into);
  void size_field(std::string_view key, const field_value& value, std::uint64_t& into);
  void text_field(std::string_view key, const field_value& value, std::string& into);

  job& job_;
  const std::string& path_;
  problem_list& problems_;
  std::uint32_t seen_ = 0;
  bool bad_ = false;
};

} // namespace weir
