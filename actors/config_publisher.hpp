#pragma once

#include <memory>
#include <string>

#include "actors/bounded_mailbox.hpp"
#include "actors/config_desk.hpp"
#include "messages/environment.hpp"

namespace weir {

struct config_publisher_parts {
  publication_settings settings;
  std::shared_ptr<config_targets> targets;
  read_config_source source;
  std::shared_ptr<clock_source> clock;
  std::shared_ptr<publication_metrics> metrics;
  std::shared_ptr<config_desk> desk;
  std::string history_file; ///< `:memory:` in tests that restart nothing.
  history_limits limits;
  std::shared_ptr<const config_signer> signer; ///< May be null.
};

struct config_publisher_state {
  static constexpr const char* name = "config_publisher";

  config_publisher_parts parts;
  std::unique_ptr<config_history> history;
  std::unique_ptr<config_publication> publication;
  std::chrono::steady_clock::time_point next_reading; ///< At the latest.
  std::chrono::steady_clock::time_point last_reading;
  std::chrono::steady_clock::time_point next_traffic;
};

/// The separate system that says who is entitled: reads the source at a fixed pace, whether or not anything changed,
/// has `config_publication` judge it, and does what comes out: offers, snapshots, the last known good copy.
///
/// It lives in the control system and tells the data side by `anon_send` only (ADR 0001). It blocks for its history,
/// for the last known good copy and for as long as a million jobs take to be compared, so it is spawned detached. It
/// ends with an error if its history cannot be opened; a new one begins with all that the history holds. Without it
/// everybody goes on with what is in force.
config_publisher_actor::behavior_type config_publisher(
    bounded_pointer<config_publisher_actor, config_publisher_state> self, config_publisher_parts parts);

} // namespace weir
