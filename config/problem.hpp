#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weir {

/// What kind of mistake it is, for those who must tell them apart.
enum class problem_kind : std::uint8_t { value, unknown_key, duplicate, missing };

/// One thing that is wrong with a config. All of them are reported at once, so that a file is fixed once.
struct config_problem {
  std::string path; ///< `limits.memory`, `jobs.job[3].destination_conf`, `jobs.ndjson:17: scope`
  std::string what; ///< What is wrong, what would be right, and an example. Never a secret.
  problem_kind kind = problem_kind::value;
};

/// Collects problems; keeps the first `most` and counts the rest, so that a job file with a million
/// bad lines neither fills the memory nor the terminal.
class problem_list {
 public:
  explicit problem_list(std::size_t most = 200) : most_(most) {}

  void add(std::string path, std::string what, problem_kind kind = problem_kind::value) {
    if (kept_.size() < most_)
      kept_.push_back({std::move(path), std::move(what), kind});
    ++count_;
  }

  bool empty() const noexcept { return count_ == 0; }
  std::size_t count() const noexcept { return count_; } ///< Of all, also those not kept.
  const std::vector<config_problem>& kept() const noexcept { return kept_; }

 private:
  std::vector<config_problem> kept_;
  std::size_t most_;
  std::size_t count_ = 0;
};

} // namespace weir
