#pragma once

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/push_policy/fair_queue.hpp"
#include "actors/push_policy/push_scheduler.hpp"

/// The inside of `push_scheduler`. A waiting job stands in its destination's queue; a destination
/// *offers* no more jobs than it could start now, and the offered ones of all destinations stand in
/// one queue that is fair over tenants. So a job whose destination is busy, slow or down is never
/// looked at while slots are given out, and each step costs O(log n) whatever the state of things.
namespace weir::push_policy {

class push_scheduler::core {
 public:
  core(const push_settings& settings, random_source& random);

  void want(job_id id, std::string_view tenant, destination_key key, std::uint64_t bytes, time_point now);
  std::optional<grant> next(time_point now);
  std::optional<job_id> revoke(time_point now);
  void progressed(job_id id, time_point now);
  verdict finished(job_id id, const upload_outcome& outcome, time_point now);
  void forget(job_id id, time_point now);
  bool probe_now(destination_key key, time_point now);
  std::optional<time_point> next_wakeup() const;
  push_totals totals() const;
  std::optional<destination_report> report(destination_key key) const;
  std::vector<destination_report> reports(bool troubled_only, std::size_t most) const;

 private:
  enum class phase : std::uint8_t { queued, offered, flying, backing_off };
  enum class slot_class : std::uint8_t { proven, unproven, slow };
  static constexpr std::size_t classes = 3;

  struct tenant {
    std::string name;
    tenant_number number{};
    std::uint64_t jobs = 0;
    std::uint32_t used = 0;                ///< Slots: offered and flying.
    std::deque<destination_key> suspended; ///< Destinations whose queue leaves this tenant out.
  };

  struct destination;

  struct wish {
    std::string tenant;
    destination_key destination{};
    std::uint64_t bytes = 0;
  };

  struct job {
    job_id id{};
    tenant* owner = nullptr;
    destination* target = nullptr;
    std::uint64_t bytes = 0;
    std::uint64_t order = 0; ///< Age: kept through retries, so that the oldest go first.
    phase now_in = phase::queued;
    grant_kind kind = grant_kind::first;
    std::uint32_t failures = 0; ///< In a row.
    bool forgotten = false;
    bool revoked = false;
    time_point started{};
    time_point due{};         ///< Of a job backing off.
    std::optional<wish> more; ///< Wanted again while flying.
  };

  struct destination {
    destination(destination_key k, const push_settings& s) : key(k), breaker(s.breaker), limit(s.concurrency) {}

    destination_key key;
    circuit_breaker breaker;
    concurrency_limit limit;
    fair_queue queue;
    std::uint64_t jobs = 0;
    std::vector<job*> offered;
    std::vector<job*> flying;
    bool probe_flying = false;
    bool slow = false;
    bool tried = false;
    bool last_push_succeeded = false;
    std::uint32_t failures = 0;
    slot_class slots = slot_class::unproven;
    destination_health health = destination_health::untried;
    time_point since{};
    std::string reason;
    time_point last_progress{};
    std::optional<time_point> last_success;
    time_point floor_at{};           ///< From here on an attempt needs no retry budget.
    std::optional<time_point> timer; ///< Armed for the next probe.
    /// Its place among those that wait for a slot of their class.
    std::optional<std::pair<slot_class, fair_queue::item>> standing_by;
    job_id sample{};
    tenant_number last_tenant{};
    duration usual_silence{};                      ///< From the last sign of life to a good end; 0 = not known.
    time_point overdue_at{};                       ///< Its place in `overdue_`.
    std::list<destination*>::iterator in_motion{}; ///< In `moving_` or `stalled_`, while flying.
    std::optional<std::list<destination*>::iterator> idle;
    time_point idle_since{};
  };

  using timer = std::pair<time_point, std::pair<bool, std::uint64_t>>; ///< (when, (is a job, id)).

  // push_scheduler.cpp: jobs and outcomes
  tenant& tenant_named(std::string_view name);
  destination& destination_at(destination_key key, time_point now);
  void attach(job& x, std::string_view tenant_name, destination_key key, time_point now);
  void detach(job& x, time_point now);
  void take_out(job& x, time_point now);
  void drop(job& x, time_point now);
  void enter(job& x, phase to);
  void land(job& x, time_point now);
  void learn(job& x, const upload_outcome& outcome, time_point now);
  void learn_success(job& x, time_point now);
  void learn_failure(job& x, const upload_outcome& outcome, time_point now);
  verdict decide(job& x, const upload_outcome& outcome, time_point now);

  // push_slots.cpp: who may start
  void place(job& x, time_point now);
  void offer(destination& d, time_point now);
  bool may_try(destination& d, time_point now);
  void withdraw(job& x);
  void release(tenant& t, time_point now);
  void settle(time_point now);
  void stand_by(destination& d);
  void stop_standing_by(destination& d);
  std::uint32_t free_slots(const destination& d) const;
  bool class_has_room(slot_class c, bool count_offers) const;
  std::uint32_t slow_slots() const;
  void take_back(job& x, time_point now);
  void launch(job& x, time_point now);
  void refresh(destination& d, time_point now);
  void advance(time_point now);
  void enter_class(destination& d, time_point now);
  job* hopeless_upload(time_point now);
  void retry_due(job& x, time_point now);
  void start_watch(destination& d, time_point now);
  void stop_watch(destination& d);
  void saw_progress(destination& d, time_point now);
  void find_stalled(time_point now);
  void call_slow(destination& d, duration silence, time_point now);
  duration patience_with(const destination& d) const;
  void expire_idle(time_point now);
  void arm(destination& d, time_point when);
  void disarm(destination& d);
  bool others_wait_for_slots() const;
  duration jittered_floor();
  destination_report report_of(const destination& d) const;
  fair_queue::item item_of(const job& x) const;

  push_settings settings_;
  random_source& random_;
  retry_budget budget_;
  std::unordered_map<std::uint64_t, job> jobs_;
  std::unordered_map<std::uint64_t, destination> destinations_;
  std::unordered_map<std::string, tenant> tenants_;
  std::uint64_t next_order_ = 1;
  std::uint64_t next_tenant_ = 1;

  fair_queue ready_;                            ///< Offered jobs.
  std::array<fair_queue, classes> standing_by_; ///< Destinations that could start one but for their class.
  std::set<timer> timers_;
  std::list<destination*> moving_;                         ///< Flying, not slow; by last progress.
  std::set<std::pair<time_point, std::uint64_t>> overdue_; ///< Those of `moving_`, by when they are late.
  std::list<destination*> stalled_;                        ///< Flying and slow; the longest first.
  std::list<destination*> idle_;                           ///< Without jobs; the longest first.
  std::array<std::uint32_t, classes> flying_{};
  std::array<std::uint32_t, classes> offered_{};
  std::array<std::uint64_t, 4> in_phase_{};
  std::uint32_t revoking_ = 0;
  std::uint64_t slow_ = 0, open_ = 0;
  std::uint64_t firsts_ = 0, retries_ = 0, probes_ = 0, revoked_ = 0;
};

} // namespace weir::push_policy
