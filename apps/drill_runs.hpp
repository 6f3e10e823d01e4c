#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actors/publication/config_targets.hpp"
#include "config/node_config.hpp"
#include "messages/environment.hpp"
#include "telemetry/metrics.hpp"

namespace weir {

struct drill_runs_parts {
  drills_config settings;
  std::string directory; ///< For reports: `data_dir`/drills.
  std::shared_ptr<clock_source> clock;
  std::shared_ptr<config_targets> targets;
  /// Why the node is not fit for a drill now; empty: it is.
  std::function<std::vector<std::string>()> trouble;
  prometheus::Registry* metrics = nullptr;
};

/// What came of one run of a drill.
struct drill_outcome {
  enum class what { passed, failed, stopped } result = what::stopped;
  std::string text;   ///< A sentence.
  std::string report; ///< Path of the Markdown report; empty if it could not be written.
  std::chrono::system_clock::time_point at{};
};
std::string_view name_of(drill_outcome::what result) noexcept;

/// The drills that a running node does to itself: on order, and by `[drills]`. Its members are called from the
/// operators' desk, so a drill is never run twice at a time and holds up neither events nor the control listener.
///
/// `blank-config`: offers the canary, forwarder 0, a config that entitles nobody, as a mad publisher might. It must be
/// refused as `zero_entries`, and every forwarder must go on with what it had. No event is made, and no other
/// forwarder hears of it. A node that has trouble is left alone.
class drill_runs {
 public:
  explicit drill_runs(drill_runs_parts parts);

  /// Nothing for a name that is none. Blocks for a few seconds at most.
  std::optional<drill_outcome> run(const std::string& name);
  /// Runs what is due. The first time comes one interval after the start.
  void tick();
  /// JSON of `GET /v1/drills`; from any thread.
  std::string list() const;

  static const std::vector<std::string>& names();

 private:
  struct entry {
    std::chrono::steady_clock::time_point due{}; ///< Only of those that are scheduled.
    bool scheduled = false;
    std::optional<drill_outcome> last;
    prometheus::Gauge* last_success = nullptr;
    std::map<std::string, prometheus::Counter*> runs;
  };

  drill_outcome blank_config();
  void file_report(const std::string& name, drill_outcome& outcome) const;

  drill_runs_parts parts_;
  mutable std::mutex mutex_;
  std::map<std::string, entry> entries_;
};

/// JSON of an outcome, as `POST /v1/drills/{name}` answers.
std::string drill_json(const std::string& name, const drill_outcome& outcome);

} // namespace weir
