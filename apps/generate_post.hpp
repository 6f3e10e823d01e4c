#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "drills/generate_bodies.hpp"
#include "drills/generate_receipts.hpp"
#include "messages/secret.hpp"

namespace weir::generate {

struct post_options {
  std::string url;                        ///< `http://HOST:PORT/v1/ingest/DATASET`, or https.
  secret token;                           ///< Bearer token; empty: none is sent.
  std::string ca_file;                    ///< PEM, for https; empty: the system's.
  unsigned connections = 4;               ///< Each has one body under way.
  double events_per_second = 0;           ///< 0 = as fast as the node takes them.
  std::string run;                        ///< Part of each `Idempotency-Key`; another one for every run.
  std::chrono::seconds patience{60};      ///< Without any acknowledgement for this long: give up.
  std::chrono::seconds answer_within{30}; ///< Else the body counts as unanswered and is repeated.
  std::function<void(const acknowledged_body&)> on_acknowledged; ///< Before the connection goes on.
};

struct post_counts {
  std::uint64_t bodies = 0; ///< Acknowledged; and so on.
  std::uint64_t events = 0;
  std::uint64_t accepted = 0;
  std::uint64_t not_entitled = 0;
  std::uint64_t filtered = 0;
  std::uint64_t shed = 0;
  std::uint64_t rejected = 0;
  std::uint64_t busy_answers = 0; ///< 408, 429 and 5xx, after which the body was repeated.
  std::uint64_t broken = 0;       ///< Connections that failed, or that could not be made.
  std::uint64_t sent_bytes = 0;   ///< Of bodies, repeats included.
};

struct post_result {
  post_counts counts;
  bool all_acknowledged = false;
  std::string error;                    ///< Why not, in one sentence.
  std::chrono::duration<double> took{}; ///< From the start to the last acknowledgement.
};

/// Sends every body until it is acknowledged, in one thread. A body that is not answered, or
/// answered with 408, 429 or 5xx, is sent again under the same `Idempotency-Key` after the longer of
/// `Retry-After` (at most a minute) and a jittered backoff of at most 5 s. Any other refusal ends it
/// all. SIGINT and SIGTERM end it after the bodies under way; a second one at once. `on_progress`
/// is called twice a second. Throws `std::invalid_argument` for a URL that is none.
post_result post_bodies(body_source& from, const post_options& how,
                        const std::function<void(const post_counts&)>& on_progress);

} // namespace weir::generate
