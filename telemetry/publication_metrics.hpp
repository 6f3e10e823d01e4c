#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "telemetry/config_metrics.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

/// What the config publisher shows; see design section 6.
struct publication_metrics {
  config_refusal_counters refused; ///< `weir_config_refused_total{where="publisher"}`
  prometheus::Gauge& version;
  prometheus::Gauge& age_seconds;
  prometheus::Gauge& rollout_stage; ///< 0 idle, 1 receivers, 2 canary, 3 tenth, 4 all, 5 returning.
  prometheus::Gauge& frozen;
  prometheus::Gauge& jobs_on_hold;
  prometheus::Counter& published;
  prometheus::Counter& completed;
  prometheus::Counter& stopped;
  prometheus::Counter& source_failures;
  prometheus::Counter& removed_jobs; ///< Vanished, and so put on hold.
  prometheus::Counter& approvals;
  prometheus::Counter& history_failures;
  prometheus::Counter& good_copy_failures;
  prometheus::Counter& intervals; ///< Rounds of constant work: it grows as long as the publisher lives.

  /// `refusals`: names of all reasons to refuse; `guards`: names of all reasons to hold.
  publication_metrics(prometheus::Registry& registry, const std::vector<std::string_view>& refusals,
                      const std::vector<std::string_view>& guards);

  /// Changes that wait for an operator, by each of their reasons. All others become 0.
  void show_held(const std::vector<std::vector<std::string>>& reasons);
  /// Why what the source says now is refused, of the same reasons as `refused`; empty: it is not. All others become 0.
  /// The counter tells that something was refused, this that it still is.
  void show_refused(std::string_view reason);
  /// A guard held or refused a change.
  void count_guard(std::string_view reason);

 private:
  std::map<std::string, prometheus::Gauge*, std::less<>> held_;
  std::map<std::string, prometheus::Gauge*, std::less<>> refusing_;
  std::map<std::string, prometheus::Counter*, std::less<>> fired_;
};

} // namespace weir
