#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "actors/publication/config_targets.hpp"
#include "actors/publication/publication_view.hpp"
#include "config/node_config.hpp"

namespace weir {

enum class offered_role : std::uint8_t { receiver, forwarder };
std::string_view name_of(offered_role role) noexcept;

/// What the publisher wants done, in this order. Whoever drives it does so and reports back.
struct publication_effect {
  enum class kind : std::uint8_t {
    offer, ///< To `role` number `index`; then `answered`, or `not_there`.
    apply_to_buffers,
    apply_to_intake,
    keep_last_known_good, ///< Then `kept_last_known_good`.
  };
  kind what = kind::offer;
  offered_role role = offered_role::receiver;
  std::size_t index = 0;
  std::uint64_t attempt = 0; ///< Comes back with the answer.
  snapshot_ptr snapshot;
  content_hash approved{};     ///< As in `config_offer`.
  std::uint64_t explained = 0; ///< As in `config_offer`.
};

/// What a stretch of time was like, from two samples of totals.
struct stage_health {
  double seconds = 0;
  rollout_health counts; ///< Within the stretch.

  static stage_health between(const rollout_health& before, const rollout_health& after, std::chrono::nanoseconds took);
};

/// What is worse in `now` than in `before`, in a sentence; empty: nothing. Shares are judged as soon as there are
/// `min_events`; delivery, which comes in bursts, only when the stage is over. Without enough events in `before` there
/// is nothing to compare with, and the gate stays open.
std::string worse_than(const rollout_config& limits, const stage_health& before, const stage_health& now, bool over);

struct rollout_order {
  snapshot_ptr next;
  /// Passes the stages without waiting: small explained changes, rollbacks, returns.
  bool quick = false;
  /// Returns do not give up: a role that does not adopt is offered it again and again.
  bool returning = false;
  std::uint64_t explained = 0;
  /// The approval that goes with an offer to a role that works by this version; empty: none does.
  std::function<content_hash(config_version has)> approval;
};

/// Brings one version to all roles: receivers, then buffers, then forwarders in stages with a watch after each.
/// Time and health come from outside; what is to be done goes out as effects.
class config_rollout {
 public:
  enum class progress : std::uint8_t { idle, running, complete, stopped };

  config_rollout(rollout_config how, std::size_t receivers, std::size_t forwarders);

  /// While idle: remembers what normal looks like, at most one sample a second.
  void note_health(const rollout_health& now, std::chrono::steady_clock::time_point at);

  /// Begins anew, whatever ran before. `versions` are what the roles work by, as far as it is known.
  void begin(rollout_order order);
  /// Ends it where it is; nobody is offered anything any more.
  void abandon() noexcept { state_ = progress::idle; }
  /// Takes the result: idle again.
  void acknowledge() noexcept { state_ = progress::idle; }

  void step(const rollout_health& health, std::chrono::steady_clock::time_point at,
            std::vector<publication_effect>& effects);
  /// True if it was an answer to the offer that is out.
  bool answered(offered_role role, std::size_t index, std::uint64_t attempt, const config_answer& answer);
  /// The role was not there to be offered anything.
  void not_there(offered_role role, std::size_t index, std::uint64_t attempt);

  progress state() const noexcept { return state_; }
  rollout_stage stage() const noexcept;
  const snapshot_ptr& next() const noexcept { return order_.next; }
  bool returning() const noexcept { return order_.returning; }
  /// Why it was stopped, or what it waits for.
  const std::string& text() const noexcept { return text_; }
  const std::string& stopped_by() const noexcept { return stopped_by_; }
  /// Whether anybody may have adopted it.
  bool touched() const noexcept { return touched_; }

  struct member {
    offered_role role{};
    std::size_t index = 0;
    config_version has{}; ///< 0: not known.
    std::string reason;   ///< Why it refused the last offer.

    enum class step : std::uint8_t { waiting, offered, adopted } now = step::waiting;
    std::uint64_t attempt = 0;
    std::chrono::steady_clock::time_point first_try{};
    std::chrono::steady_clock::time_point last_try{};
  };
  const std::vector<member>& members() const noexcept { return members_; }
  void learn(offered_role role, std::size_t index, config_version has);

 private:
  struct group {
    rollout_stage stage;
    std::size_t first, last; // of members_
    std::chrono::milliseconds watch;
  };

  void offer(member& to, std::chrono::steady_clock::time_point at, std::vector<publication_effect>& effects);
  bool offer_group(const group& current, std::chrono::steady_clock::time_point at,
                   std::vector<publication_effect>& effects);
  bool watch_group(const group& current, const rollout_health& health, std::chrono::steady_clock::time_point at);
  void stop(std::string reason, std::string text);
  member& find(offered_role role, std::size_t index);

  rollout_config how_;
  std::vector<member> members_; // receivers, then forwarders
  std::vector<group> groups_;
  rollout_order order_;
  progress state_ = progress::idle;
  std::size_t at_ = 0; // group
  bool watching_ = false;
  bool touched_ = false;
  std::string text_, stopped_by_;
  std::uint64_t attempts_ = 0;
  std::chrono::steady_clock::time_point watch_began_{};
  rollout_health watch_from_;
  std::optional<stage_health> before_;
  struct sample {
    std::chrono::steady_clock::time_point at;
    rollout_health health;
  };
  std::deque<sample> normal_;
};

} // namespace weir
