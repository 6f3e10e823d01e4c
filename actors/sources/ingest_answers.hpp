#pragma once

#include "actors/sources/ingest.hpp"
#include "messages/receipt.hpp"

namespace weir {

/// What decides an answer beside the outcome itself.
struct answer_context {
  bool has_key = false; ///< The body came with an `Idempotency-Key`.
  bool strict = false;  ///< `?strict=1`: a bad line refuses the body; nothing of it was offered to a job.
  int retry_after_seconds = 1;
};

/// The answer to a body whose slices are all settled: the partial-failure rules of design section 2.
///
/// | outcome | answer |
/// |---|---|
/// | some slice was lost | 503 `not_stored`, repeat |
/// | no event in the body | 400 `empty_body` |
/// | every line is of a scope the token may not send for | 403 `scope_forbidden` |
/// | no good line, or one bad line with `strict` | 400 `no_good_line`, `bad_line` |
/// | a passing refusal, and a repeat stores nothing twice | 429 `shed` (507 if the disk is full) with the scopes |
/// | everything else | 200 with the counts |
///
/// "A repeat stores nothing twice" holds with a key, and without one if nothing of the body was stored.
ingest_answer answer_for(const receipt_outcome& outcome, const answer_context& context);

/// 422: the key named another body before.
ingest_answer key_reused_answer();

/// For bodies that the gate turns away as a whole. `memory` → 429, `disk_full` → 507, and so on.
ingest_answer answer_for(const ingest_refusal& refusal);

} // namespace weir
