#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "config/forwarding_diff.hpp"
#include "messages/ids.hpp"

namespace weir {

/// `[guards]`: the largest change of the forwarding config that passes without a human look. Shares are
/// of the entries, and of yesterday's bytes, of the config compared with.
struct guard_settings {
  double max_shrink = 0.10;                            ///< Entries that are no longer pushed.
  double max_growth = 0.25;                            ///< Entries that are new or back.
  double max_moved = 0.10;                             ///< Entries whose events go to another destination.
  std::uint64_t free_entries = 10;                     ///< Shares count above so many changed entries.
  std::uint64_t explained_per_tenant_per_minute = 100; ///< Changes of an owner to its own jobs.
  std::uint64_t explained_per_minute = 1'000;          ///< The same of all owners.
};

/// What a guard thinks of a change.
enum class guard_outcome : std::uint8_t {
  pass,    ///< May be put in force.
  refused, ///< Never, whoever approves it.
  held,    ///< Once an operator approved exactly this change.
};

/// Why not. The names (`name_of`) are those of metrics, alerts and audit rows.
enum class guard_reason : std::uint8_t {
  none = 0,
  zero_entries,    ///< Refused: nobody would be entitled.
  beyond_capacity, ///< Held (the first config: refused): more jobs than `limits.buffers`.
  shrunk,          ///< Held: more than `max_shrink` of the entries.
  shrunk_bytes,    ///< Held: few entries, but more than `max_shrink` of yesterday's bytes.
  grown,
  grown_bytes,
  moved,
  moved_bytes,
};
constexpr std::size_t guard_reasons = 9;
std::string_view name_of(guard_reason x) noexcept;
std::string_view name_of(guard_outcome x) noexcept;

/// What a judge knows beyond the configs. Everything may be missing: a role has no bytes.
struct guard_facts {
  /// Yesterday's bytes of one job; asked for changed jobs only. Not set: bytes are not judged.
  std::function<std::uint64_t(job_id)> bytes_of;
  /// Yesterday's bytes of all jobs of the config compared with. 0: bytes are not judged.
  std::uint64_t total_bytes = 0;
  std::uint64_t capacity = 1'000'000; ///< `limits.buffers`
  /// True for a job whose change an audit row explains, within the rates (`explained_rates`). It counts in
  /// no share. Not set: the counts below are taken instead.
  std::function<bool(job_id)> explained;
  /// For a judge that is only told numbers: so many of the changes since the version in force, and of
  /// those since an hour ago, are explained. Believed up to the rates: `explained_per_minute`, and sixty times that.
  std::uint64_t explained_count = 0;
  std::uint64_t explained_count_hour = 0;
  /// What an operator approved: `approval_hash` of exactly this change. All zero: nothing.
  content_hash approved{};
};

struct guard_verdict {
  guard_outcome outcome = guard_outcome::pass;
  guard_reason reason = guard_reason::none;
  /// One sentence with numbers, both versions and what to do; empty for a pass. No secret.
  std::string text;
  bool by_approval = false;      ///< Passed only because an operator approved it.
  bool against_hour_ago = false; ///< The version in force would have let it pass.

  bool pass() const noexcept { return outcome == guard_outcome::pass; }
};

/// Judges `candidate` against the version in force and the one of an hour ago; the first that objects
/// decides. `hour_ago` may be null (nothing that old) or `in_force` itself.
///
/// - Without entitled entries: refused, always.
/// - `in_force` null or without a version: the first config, which passes up to `capacity` and is refused beyond.
/// - More jobs with a buffer than `capacity`, and more than before: held.
/// - More than `max_shrink`, `max_growth` or `max_moved` of the entries: held, if they are more than
///   `free_entries`. The same shares of yesterday's bytes count from the first job on, unless the whole config
///   has no more than `free_entries`: the largest customer alone is a large change.
/// - With the matching approval all that would be held passes; what is refused does not.
guard_verdict judge(const guard_settings& settings, const guard_facts& facts, const config_snapshot* in_force,
                    const config_snapshot* hour_ago, const config_snapshot& candidate);

/// The same with differences made already: `since` from the version in force, `since_hour` (may be null) from the
/// version of an hour ago, to the same candidate.
guard_verdict judge(const guard_settings& settings, const guard_facts& facts, const config_diff& since,
                    const config_diff* since_hour);
/// Of a first config, which has nothing to be compared with.
guard_verdict judge_first(const guard_facts& facts, const config_snapshot& candidate);

/// SHA-256 over the parent's content hash and the candidate's: names one change, wherever it is made.
/// `hold` of vanished jobs is part of a merged config's content, and its time of day with it; what is shown to
/// an operator is the hash of the config as it was generated, which stays the same each time it is generated.
content_hash approval_hash(const content_hash& parent, const content_hash& candidate) noexcept;
/// 64 hexadecimal digits.
std::string hex_text(const content_hash& hash);
/// Reads 64 hexadecimal digits; false for anything else.
bool parse_hex(std::string_view text, content_hash& into) noexcept;

/// How many changes owners may make to their own jobs without a share being counted: a bucket of one
/// minute for each tenant, and one for all. Not thread-safe.
class explained_rates {
 public:
  explicit explained_rates(const guard_settings& settings) : settings_(settings) {}

  /// Takes `changes` of a tenant; returns how many of them are within the rates. The others count as
  /// shares, like changes that nobody explained.
  std::uint64_t take(std::string_view tenant, std::uint64_t changes, std::chrono::steady_clock::time_point now);
  /// Tenants that changed something in the last minute; what memory this takes follows from
  /// `explained_per_minute`.
  std::size_t tenants() const noexcept { return tenants_.size(); }

 private:
  struct bucket {
    double used = 0; // of one minute's allowance
    std::chrono::steady_clock::time_point at{};
  };
  static double used_at(const bucket& x, std::uint64_t per_minute, std::chrono::steady_clock::time_point now) noexcept;
  void forget_idle(std::chrono::steady_clock::time_point now);

  guard_settings settings_;
  bucket all_;
  std::unordered_map<std::string, bucket> tenants_;
};

} // namespace weir
