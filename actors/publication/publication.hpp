#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/publication/change_judgement.hpp"
#include "actors/publication/config_targets.hpp"
#include "actors/publication/history.hpp"
#include "actors/publication/publication_view.hpp"
#include "actors/publication/rollout.hpp"
#include "config/forwarding_config.hpp"
#include "config/forwarding_merge.hpp"
#include "config/forwarding_signature.hpp"
#include "config/node_config.hpp"
#include "telemetry/publication_metrics.hpp"

namespace weir {

/// What the publisher works by.
struct publication_settings {
  publication_config publication;
  rollout_config rollout;
  guard_settings guards;
  std::uint64_t capacity = 1'000'000;    ///< `limits.buffers`
  bool judges_changes = true;            ///< `guard_switches::publisher_guards`
  forwarding_expectations readable;      ///< For contents of the history.
  const config_signer* signer = nullptr; ///< Signs the bytes in the history; null: they are not signed.
  std::size_t receivers = 1;
  std::size_t forwarders = 1;
};

/// The names that metrics know before anything happened.
const std::vector<std::string_view>& publication_refusals(); ///< Of documents.
const std::vector<std::string_view>& publication_guards();   ///< Of changes.

/// The config publisher without its actor: what was generated, orders and time go in; effects come out.
///
/// It judges what the source generates against what is in force, publishes what may go on under a new version, holds
/// back what an operator has to see, and brings versions to the roles in stages. Everything that it must not forget is
/// in the history before it has an effect, so that another one can begin where this one ended at any moment.
///
/// Pure but for the history: no actor, no clock, no thread. `effects` are done in order by whoever drives it.
class config_publication {
 public:
  /// `in_force` is what the node works by now; version 0 if it never had a config.
  config_publication(publication_settings how, config_history& history, publication_metrics& metrics,
                     snapshot_ptr in_force, publication_moment now);

  /// What the source says now. Comes every interval, and soon after `wants_reading`.
  void regenerated(config_reading reading, publication_moment now);
  /// True once after something happened that the source's config should be judged again for.
  bool wants_reading() noexcept { return std::exchange(wants_reading_, false); }

  /// Does it, or says why not. Takes effect with the effects that follow, or with the next reading.
  command_result order(const config_command& command, publication_moment now);

  /// Time passes. To be called several times a second.
  void tick(const rollout_health& health, publication_moment now);

  void answered(offered_role role, std::size_t index, std::uint64_t attempt, const config_answer& answer);
  void not_there(offered_role role, std::size_t index, std::uint64_t attempt) {
    rollout_.not_there(role, index, attempt);
  }
  /// Result of the effect of that name: empty, or why not.
  void kept_last_known_good(const std::string& problem, publication_moment now);
  /// Versions that the roles themselves report, by index; may be empty.
  void roles_have(const std::vector<config_version>& receivers, const std::vector<config_version>& forwarders);
  /// Once, after the first `roles_have`: puts back what is in force where the publisher before this one ended in the
  /// middle of a rollout.
  void take_over(publication_moment now);
  /// Totals per job, to weigh changes by yesterday's traffic.
  using totals = std::vector<std::pair<job_id, std::uint64_t>>;
  void traffic(totals since_ever, publication_moment now);

  std::vector<publication_effect> take_effects() { return std::exchange(effects_, {}); }

  publication_view view(publication_moment now) const;
  const snapshot_ptr& in_force() const noexcept { return in_force_; }

  struct difference {
    change_summary changes;
    std::vector<job_id> added, removed, moved, changed; ///< At most `most_jobs_shown` each.
    config_version from{}, to{};
  };
  static constexpr std::size_t most_jobs_shown = 1'000;
  /// Between two versions of the history or in force. `wrong` says why not.
  std::optional<difference> compare(config_version from, config_version to, std::string& wrong);
  /// What approving the hash would change.
  std::optional<difference> compare_held(const content_hash& hash, std::string& wrong);

 private:
  struct pending {
    config_version version{};
    std::string why, who;
    bool rebases = false; ///< An operator saw it: it is the measure of later changes.
    std::vector<job_id> put_on_hold, restored;
  };

  void restore(publication_moment now);
  void record_start(publication_moment now);
  void restore_measure(const std::vector<version_row>& rows, publication_moment now);
  void restore_stopped(const std::vector<version_row>& rows);
  void note_refusal(const std::string& reason, const std::string& text, const std::string& who, publication_moment now);
  void consider(config_reading& reading, publication_moment now);
  guard_facts facts_of(const config_reading& reading, const config_diff& since, publication_moment now);
  std::vector<job_id> stopped_jobs(const config_snapshot& candidate, const config_diff& since);
  std::optional<held_change::approval> hold(const config_reading& reading, const change_judgement& judged,
                                            const config_diff& since, publication_moment now, content_hash& approved);
  void withdraw_held(const std::string& why, publication_moment now);
  void publish_change(merge_result merged, const snapshot_ptr& generated, const std::string& who,
                      const guard_facts& facts, const std::optional<held_change::approval>& approval,
                      const content_hash& used, publication_moment now);
  void expire_approvals(publication_moment now);

  snapshot_identity next_identity(publication_moment now);
  bool publish(snapshot_ptr next, pending about, rollout_order order, const content_hash* used, publication_moment now);
  void note_removed(const pending& about, config_version version, publication_moment now);
  void put_back(const std::string& text, publication_moment now);
  void completed(publication_moment now);
  void stopped(publication_moment now);
  void finish(version_outcome outcome, const std::string& text, publication_moment now);
  void age_base(publication_moment now);
  void rebase(publication_moment now);
  std::uint64_t yesterday_of(job_id job) const;
  std::function<content_hash(config_version)> approval_for(const config_snapshot& next) const;

  command_result approve(const config_command& command, publication_moment now);
  command_result reject(const config_command& command, publication_moment now);
  command_result roll_back(const config_command& command, publication_moment now);
  command_result freeze(const config_command& command, publication_moment now);
  command_result unfreeze(const config_command& command, publication_moment now);
  command_result publish_now(const config_command& command, publication_moment now);
  bool set_frozen(const std::string& who, const std::string& why, publication_moment now);

  bool audit(const std::string& who, const std::string& what, config_version version, const std::string& hash,
             const std::string& result, const std::string& text, publication_moment now);
  bool remembered(bool written);
  /// The version as its file, packed; for the history.
  std::optional<std::string> content_of(const config_snapshot& version) const;
  snapshot_ptr load(config_version version, std::string& wrong);
  snapshot_ptr snapshot_of(config_version version, std::string& wrong);
  void show_metrics(publication_moment now) const;

  publication_settings how_;
  config_history& history_;
  publication_metrics& metrics_;
  config_rollout rollout_;
  std::vector<publication_effect> effects_;

  snapshot_ptr in_force_;
  std::chrono::system_clock::time_point in_force_since_;
  jobs_on_hold on_hold_;
  config_version last_version_{};                   ///< The highest ever given.
  std::map<config_version, content_hash> contents_; ///< Of versions that roles may have.

  // The measure beside what is in force: an hour old, up to two.
  snapshot_ptr hour_ago_, next_hour_;
  std::chrono::steady_clock::time_point hour_taken_;

  std::optional<pending> rolling_;
  std::vector<config_history::held_row> held_;
  snapshot_ptr held_candidate_; ///< For `compare_held`; of the one change that is held.
  std::vector<job_id> held_jobs_;
  std::unordered_map<job_id, content_hash> stopped_; ///< What the health gate turned back; waits for an operator.
  std::optional<publication_view::frozen_state> frozen_;

  publication_view::source_state source_;
  std::chrono::steady_clock::time_point confirmed_;
  std::string last_refusal_; ///< So that a lasting one is one audit row.
  std::string good_problem_, history_problem_;
  bool wants_reading_ = false;
  bool again_ = false; ///< A reading came during a rollout.

  explained_rates rates_;
  struct explanation {
    content_hash state; ///< What the owner made of the job; another change of it is not explained.
    std::chrono::steady_clock::time_point at;
  };
  std::unordered_map<job_id, explanation> explained_;

  // Yesterday's traffic, by job.
  totals day_began_, yesterday_; ///< Sorted by job.
  std::uint64_t yesterday_in_all_ = 0;
  std::optional<std::chrono::steady_clock::time_point> day_taken_;
  bool had_a_day_ = false;
};

} // namespace weir
