#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/push_policy/backoff.hpp"
#include "actors/push_policy/circuit_breaker.hpp"
#include "actors/push_policy/concurrency_limit.hpp"
#include "actors/push_policy/retry_budget.hpp"
#include "messages/environment.hpp"
#include "messages/ids.hpp"

/// When which job may upload: decided by pure classes that know no actor, no thread and no clock.
namespace weir::push_policy {

/// One destination, as far as health and limits go: everything behind one key succeeds or fails
/// together. Taken from the customer's whole destination, so that a wrong credential of one
/// customer does not open the circuit of another one who pushes to the same host.
enum class destination_key : std::uint64_t {};

/// 64 bits of the SHA-256 of a destination without its object name; nobody can choose a
/// destination that falls on another customer's key.
destination_key destination_key_of(std::string_view destination);

struct push_settings {
  /// Uploads at once on this node. Each may hold a window of 256 KiB and as much in libcurl: 64 MiB.
  std::uint32_t slots = 128;
  /// Of one tenant. Half: the only tenant of a node still fills its uplink.
  std::uint32_t tenant_slots = 64;
  /// Kept for destinations whose last push succeeded: a quarter of the slots.
  double proven_share = 0.25;
  /// Most that slow and failing destinations hold together, probes included.
  double slow_share = 0.25;
  /// Without progress for this long a destination is slow: one probe slot until a push goes well.
  std::chrono::milliseconds slow_after{5'000};
  /// A destination that usually answers sooner is found out sooner while others wait for slots:
  /// after four times its usual silence, but not before this.
  std::chrono::milliseconds overdue_after{1'000};
  /// Of one job whose destination works otherwise.
  backoff_settings retries{std::chrono::milliseconds{1'000}, std::chrono::milliseconds{300'000}};
  /// A destination is probed this often at least, whatever the retry budget says.
  std::chrono::seconds probe_within{30};
  /// What an object costs in the fair queue beside its bytes: connection, headers, fsync.
  std::uint64_t object_cost_bytes = 64 << 10;
  /// A destination nobody pushes to is forgotten after this.
  std::chrono::minutes forget_after{10};
  breaker_settings breaker;
  concurrency_settings concurrency;
  retry_budget_settings budget;
};

enum class grant_kind : std::uint8_t {
  first, ///< The job's last push went well, or there was none.
  retry, ///< Its last attempt failed.
  probe, ///< The one attempt that decides whether the destination is back.
};

/// One slot: start this job's upload now.
struct grant {
  job_id job{};
  destination_key destination{};
  grant_kind kind = grant_kind::first;
};

enum class push_step : std::uint8_t {
  done,   ///< The object is there; commit. `want` the job again when it has more.
  again,  ///< Perhaps there, perhaps not, or the destination refuses everything: the same cut is granted again.
  poison, ///< This body is refused: split it or dead-letter it, then `want` the job again.
};

struct verdict {
  push_step step = push_step::done;
  /// Of `again`: not before this; later if the destination, the budget or the slots say so.
  time_point at{};
  /// Of `poison`: the destination has taken other bodies lately, so that it is this body's fault.
  /// While it is false a single event should not be dead-lettered before others were tried.
  bool destination_accepts = false;
};

enum class destination_health : std::uint8_t {
  untried, ///< No push has ended yet.
  healthy, ///< The last push succeeded.
  failing, ///< The last push failed, but not often enough in a row.
  slow,    ///< No progress for `slow_after`; one upload at a time.
  open,    ///< The circuit is open: only probes.
};

std::string_view name_of(destination_health health) noexcept;

/// What an operator and the customer see of a destination. Holds no URL; `job` names one that pushes there.
struct destination_report {
  destination_key destination{};
  job_id job{};
  destination_health health = destination_health::untried;
  time_point since{};                 ///< In this health.
  std::string reason;                 ///< The destination's last complaint; empty when healthy.
  std::optional<time_point> next_try; ///< Of open ones.
  std::uint32_t in_flight = 0;
  std::uint32_t limit = 0;    ///< Uploads at once that it gets at present.
  std::uint64_t waiting = 0;  ///< Jobs, those in backoff included.
  std::uint32_t failures = 0; ///< In a row.
};

/// For metrics.
struct push_totals {
  std::uint32_t slots = 0, in_flight = 0;
  std::uint32_t in_flight_slow = 0;     ///< At slow and open destinations.
  std::uint32_t in_flight_unproven = 0; ///< At untried and failing ones.
  std::uint64_t waiting = 0;            ///< Jobs that want a slot.
  std::uint64_t backing_off = 0;        ///< Jobs between two attempts.
  std::uint64_t destinations = 0, slow = 0, open = 0;
  std::uint64_t firsts = 0, retries = 0, probes = 0, revoked = 0; ///< Since the start.
};

/// Shares the upload slots. One upload a job at a time. The owner calls, in its own thread:
///
///     want(job …)                   when a job has something to push
///     while (auto g = next(now))    start g's upload
///     while (auto j = revoke(now))  cancel j's upload; its `finished` follows as for any other
///     progressed(job, now)          whenever the destination took a window
///     finished(job, outcome, now)   at the end, once per grant
///     next_wakeup(now)              then call `revoke` and `next` again, even if nothing happened
///
/// A grant that is not needed after all is returned by `forget` and `finished` with any outcome.
///
/// Promises: tenants share by bytes; a job whose destination cannot take it holds no slot and
/// delays nobody; a quarter of the slots is always kept for destinations whose last push succeeded;
/// slow and failing ones together hold at most a quarter once anybody else waits, though a
/// destination that has just fallen silent is known as slow only after `overdue_after`; one that
/// comes back is ramped up from one upload. Every call is O(log n) but the reports.
class push_scheduler {
 public:
  /// `random` must outlive the scheduler.
  push_scheduler(const push_settings& settings, random_source& random);
  ~push_scheduler();
  push_scheduler(const push_scheduler&) = delete;
  push_scheduler& operator=(const push_scheduler&) = delete;

  /// The job has about `bytes` to push. Again while it waits: only tenant, destination and bytes
  /// are brought up to date, its place is kept. While it uploads: it is queued again afterwards
  /// once that cut is done or forgotten (a poisoned job waits for a new `want`).
  void want(job_id job, std::string_view tenant, destination_key destination, std::uint64_t bytes, time_point now);

  /// The next job to start. None: no slot, or nobody who could use one now.
  std::optional<grant> next(time_point now);

  /// An upload that makes no progress and holds a slot others wait for. Named once.
  std::optional<job_id> revoke(time_point now);

  void progressed(job_id job, time_point now);

  /// How the job's upload ended; frees its slot. `exists` counts as stored: whether it is the same
  /// object is the caller's to compare. Without a running upload of the job: `done`, no effect.
  verdict finished(job_id job, const upload_outcome& outcome, time_point now);

  /// The job is gone or on hold. A running upload keeps its slot until `finished`, which then says `done`.
  void forget(job_id job, time_point now);

  /// Lets a destination's next probe go at once (an operator says that it is back). False if unknown.
  bool probe_now(destination_key destination, time_point now);

  /// When `next` or `revoke` could have something new without any other call; none: never.
  std::optional<time_point> next_wakeup() const;

  push_totals totals() const;
  std::optional<destination_report> report(destination_key destination) const;
  /// All destinations that are not healthy, or all; unsorted, at most `most`. O(destinations).
  std::vector<destination_report> reports(bool troubled_only, std::size_t most) const;

 private:
  class core;
  std::unique_ptr<core> core_;
};

} // namespace weir::push_policy
