#include "actors/sources/ingest_answers.hpp"

#include <numeric>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "actors/http/answer.hpp"

namespace weir {

namespace {

/// `"accepted":n,…,"rejected":{…}`: the account of a body, the same in a 200 and beside an error.
void append_counts(std::string& out, const receipt_outcome& x) {
  const auto add = std::back_inserter(out);
  fmt::format_to(add, R"("accepted":{},"filtered":{},"not_entitled":{},"repeated":{},"shed":{{)", x.accepted,
                 x.filtered, x.not_entitled, x.repeated);
  bool first = true;
  for (std::size_t i = 0; i < shed_reason_count; ++i) {
    if (x.shed[i] == 0)
      continue;
    fmt::format_to(add, R"({}"{}":{})", first ? "" : ",", name_of(static_cast<shed_reason>(i)), x.shed[i]);
    first = false;
  }
  fmt::format_to(add, R"(}},"rejected":{{"count":{},"first":[)", x.total_rejected());
  for (std::size_t i = 0; i < x.first_rejected.size(); ++i)
    fmt::format_to(add, R"({}{{"line":{},"reason":"{}"}})", i == 0 ? "" : ",", x.first_rejected[i].line,
                   name_of(x.first_rejected[i].reason));
  out += "]}";
}

void append_retry_scopes(std::string& out, const receipt_outcome& x) {
  out += R"(,"retry_scopes":[)";
  for (std::size_t i = 0; i < x.retry_scopes.size(); ++i) {
    if (i > 0)
      out += ',';
    http::append_json_string(out, x.retry_scopes[i]);
  }
  out += ']';
}

ingest_answer error_with_counts(int status, std::string_view error, std::string_view message, const receipt_outcome& x,
                                bool with_scopes = false) {
  ingest_answer result;
  result.status = status;
  result.events = x.received;
  result.body = "{\"error\":";
  http::append_json_string(result.body, error);
  result.body += ",\"message\":";
  http::append_json_string(result.body, message);
  result.body += ',';
  append_counts(result.body, x);
  if (with_scopes)
    append_retry_scopes(result.body, x);
  result.body += "}\n";
  return result;
}

ingest_answer plain_error(int status, std::string_view error, std::string_view message, int retry_after_seconds) {
  ingest_answer result;
  result.status = status;
  result.body = http::error_body(error, message);
  result.retry_after_seconds = retry_after_seconds;
  return result;
}

ingest_answer shed_answer(const receipt_outcome& x, const answer_context& context) {
  // A full disk is the server's trouble and no matter of this sender's rate.
  const bool disk = x.shed[static_cast<std::size_t>(shed_reason::disk_full)] > 0;
  auto result = error_with_counts(disk ? 507 : 429, "shed",
                                  "the scopes in retry_scopes were turned away for now; send the same body again, "
                                  "with the same Idempotency-Key",
                                  x, true);
  result.retry_after_seconds = context.retry_after_seconds;
  return result;
}

} // namespace

ingest_answer answer_for(const receipt_outcome& x, const answer_context& context) {
  if (x.failed) {
    auto result = plain_error(503, "not_stored",
                              "events of this body may not be on disk; send it again, with the same Idempotency-Key",
                              context.retry_after_seconds);
    result.events = x.received;
    return result;
  }
  if (x.received == 0)
    return plain_error(400, "empty_body", "the body has no events; send one JSON object per line", 0);
  const auto rejected = x.total_rejected();
  if (rejected == x.received && x.rejected[static_cast<std::size_t>(reject_reason::scope_forbidden)] == rejected)
    return error_with_counts(403, "scope_forbidden", "the token may not send for the scope of any line", x);
  const auto with_body = x.rejected[static_cast<std::size_t>(reject_reason::refused_with_body)];
  if (rejected == x.received && with_body == 0)
    return error_with_counts(400, "no_good_line", "no line is an event; rejected.first says why", x);
  if (context.strict && rejected > 0)
    return error_with_counts(400, "bad_line", "with strict=1 a bad line refuses the whole body; nothing was taken", x);
  const bool nothing_stored = x.accepted == 0 && x.repeated == 0;
  if (x.passing_shed() && (context.has_key || nothing_stored))
    return shed_answer(x, context);
  ingest_answer result;
  result.events = x.received;
  result.body = "{";
  append_counts(result.body, x);
  if (!x.retry_scopes.empty())
    append_retry_scopes(result.body, x);
  result.body += "}\n";
  return result;
}

ingest_answer key_reused_answer() {
  return plain_error(422, "key_reused", "this Idempotency-Key named another body; use a new key for a new body", 0);
}

ingest_answer answer_for(const ingest_refusal& refusal) {
  return plain_error(refusal.status, refusal.reason, "the node takes no events now; send the same again later",
                     refusal.retry_after_seconds);
}

} // namespace weir
