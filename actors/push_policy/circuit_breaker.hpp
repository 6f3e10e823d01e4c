#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "actors/push_policy/backoff.hpp"

namespace weir::push_policy {

/// What a failed attempt says about its destination.
enum class failure_kind : std::uint8_t {
  answered, ///< It answered that it cannot at present: 408, 429, 5xx.
  silent,   ///< No answer: timeout, broken or refused connection, no such host.
  content,  ///< It refused this body (400, 413, 422). Says little about the next body.
  rejected, ///< It refuses whatever is sent (401, 403, 404, a bad certificate, …).
};

struct breaker_settings {
  /// Failures in a row that open the circuit. Five: two jobs that fail at once are no proof.
  std::uint32_t failures_to_open = 5;
  /// Refused bodies in a row that open it. To find one poison event in a million takes 21 refusals
  /// in a row, so more than that means that the destination refuses everything.
  std::uint32_t contents_to_open = 24;
  /// Between probes. At most 30 s, so that a destination which is back gets its data within a minute.
  backoff_settings probes{std::chrono::milliseconds{1'000}, std::chrono::milliseconds{30'000}};
  /// A destination may ask for a longer pause (`Retry-After`), but not for a longer one than this.
  std::chrono::seconds retry_after_cap{300};
};

/// Whether a destination is tried at all. Closed: yes. Open: not before `probe_at`. Half open: one
/// attempt is under way or due, and its end decides. Knows no clock and no threads.
class circuit_breaker {
 public:
  enum class state : std::uint8_t { closed, open, half_open };

  explicit circuit_breaker(const breaker_settings& settings) : settings_(&settings) {}

  state now_in() const noexcept { return state_; }
  time_point since() const noexcept { return since_; }       ///< Of the first opening; while not closed.
  time_point probe_at() const noexcept { return probe_at_; } ///< While open.
  const std::string& reason() const noexcept { return reason_; }
  std::uint32_t failures() const noexcept { return failures_; } ///< In a row.

  /// An attempt reached its end well. Closes the circuit; true if it was not closed.
  bool succeeded();

  /// An attempt failed. `was_probe` says that it was the half-open one; others that end while the
  /// circuit is open change nothing but the reason. `at_once` opens without waiting for the count.
  /// A pause the destination asked for opens it too. True if the circuit is open now and was not.
  bool failed(failure_kind kind, bool was_probe, bool at_once, std::optional<std::chrono::seconds> retry_after,
              const std::string& reason, time_point now, random_source& random);

  /// Lets one attempt through; only while open.
  void begin_probe();
  /// The probe came to nothing (its job is gone): the next one may go at once.
  void abandon_probe(time_point now);
  /// Puts the next probe off, because no retry is left in the budget.
  void postpone(time_point until) { probe_at_ = until; }

 private:
  void open(std::optional<std::chrono::seconds> retry_after, time_point now, random_source& random);

  const breaker_settings* settings_;
  state state_ = state::closed;
  std::uint32_t failures_ = 0;
  std::uint32_t contents_ = 0;
  std::uint32_t openings_ = 0; ///< In a row, for the backoff.
  time_point since_{};
  time_point probe_at_{};
  std::string reason_;
};

} // namespace weir::push_policy
