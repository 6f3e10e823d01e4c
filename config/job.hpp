#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/destination.hpp"
#include "config/problem.hpp"
#include "messages/ids.hpp"
#include "messages/secret.hpp"

namespace weir {

struct dataset_config;

/// One customer's order as it is written down: in `[[jobs.job]]`, as a line of a job file, or over
/// the API. 0 of a limit means that the default applies.
struct job {
  job_id id{};
  weir::revision revision{}; ///< 0 in the text: derived from the settings, see `settings_revision`.
  std::string dataset;
  std::string scope;                    ///< `zones/<id>` or `accounts/<id>`.
  std::string name;                     ///< Label of at most 512 bytes, need not be unique.
  secret destination_conf;              ///< Kept as written; may hold passwords.
  std::vector<std::string> field_names; ///< `output_options.field_names`; empty: the event as it came.
  bool enabled = true;                  ///< Declared jobs are on unless they say otherwise; the API's are off.
  std::uint64_t max_upload_bytes = 0;
  std::uint64_t max_upload_records = 0;
  std::uint64_t max_upload_interval_seconds = 0;
  std::uint64_t max_buffer_bytes = 0; ///< `buffer_bytes`: quota in the store.
  std::uint32_t on_hold_since = 0;    ///< Seconds since 1970; set by the publisher only. 0: not on hold.
};

/// Who wrote the job: what an operator may do in his own file, a customer may not. Jobs of an external
/// generator (`forwarding.source`) are judged like declared ones, but may have any id.
enum class job_origin : std::uint8_t { declared, api, external };

/// Bounds of one job, in bytes or numbers. The API's ranges are those of the Logpush job API; for
/// declared jobs only the upper ones hold, and an interval may go down to 1 s.
struct job_bounds {
  static constexpr std::uint64_t first_api_id = 1'000'001;
  static constexpr std::size_t max_destination_bytes = 4096;
  static constexpr std::size_t max_name_bytes = 512;
  static constexpr std::size_t max_field_names = 500; ///< http_requests has over 100 fields.
  static constexpr std::size_t max_field_name_bytes = 128;
  static constexpr std::size_t max_line_bytes = 128u << 10; ///< 500 field names of 128 bytes and a destination.
};

/// What a job is checked against.
struct job_rules {
  const std::vector<dataset_config>& datasets;
  const destination_rules& destinations;
  std::uint64_t store_max_bytes = 0; ///< Upper bound of a job's quota; 0 = not known.
  job_origin origin = job_origin::declared;
};

/// Adds every problem of `x` under `path`. Never repeats the destination, which may hold passwords.
/// Returns the destination taken apart, unless that is one of the problems.
std::optional<destination> check(const job& x, const job_rules& rules, const std::string& path, problem_list& problems);

/// What `revision` becomes for a job that names none: a hash of all its settings but the id, so that
/// equal settings have equal revisions across restarts. Compare such revisions for equality only.
revision settings_revision(const job& x);

/// Reads one line of a job file: a JSON object with the keys of the job API (`id`, `dataset`, `scope`,
/// `destination_conf`, `output_options`, …). Nothing and one problem or more under `path` if the line
/// is not a job; unknown, doubled or unsupported keys are problems. Keeps a parser: one per thread.
class job_line_parser {
 public:
  job_line_parser();
  ~job_line_parser();
  job_line_parser(job_line_parser&&) noexcept;
  job_line_parser& operator=(job_line_parser&&) noexcept;

  bool parse(std::string_view line, const std::string& path, job& into, problem_list& problems);

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace weir
