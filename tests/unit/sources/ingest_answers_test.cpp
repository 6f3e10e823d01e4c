#include <doctest/doctest.h>

#include <string>

#include "actors/sources/ingest_answers.hpp"

using namespace weir;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

receipt_outcome with_shed(shed_reason reason, std::uint64_t events, std::uint64_t accepted) {
  receipt_outcome x;
  x.received = events + accepted;
  x.accepted = accepted;
  x.shed[static_cast<std::size_t>(reason)] = events;
  if (is_passing(reason))
    x.retry_scopes = {"zones/a"};
  return x;
}

constexpr answer_context keyed{true, false, 2};
constexpr answer_context keyless{false, false, 2};

} // namespace

TEST_CASE("a body that is wholly on disk is answered 200 with its counts") {
  receipt_outcome x;
  x.received = 10;
  x.accepted = 6;
  x.repeated = 1;
  x.filtered = 1;
  x.not_entitled = 2;
  const auto answer = answer_for(x, keyless);
  CHECK_EQ(answer.status, 200);
  CHECK_EQ(answer.events, 10u);
  CHECK_EQ(answer.retry_after_seconds, 0);
  CHECK_EQ(answer.body,
           "{\"accepted\":6,\"filtered\":1,\"not_entitled\":2,\"repeated\":1,\"shed\":{},"
           "\"rejected\":{\"count\":0,\"first\":[]}}\n");
}

TEST_CASE("bad lines amid good ones are named with line and reason in the 200") {
  receipt_outcome x;
  x.received = 3;
  x.accepted = 1;
  x.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 1;
  x.rejected[static_cast<std::size_t>(reject_reason::too_large)] = 1;
  x.first_rejected = {{2, reject_reason::not_json}, {3, reject_reason::too_large}};
  const auto answer = answer_for(x, keyless);
  CHECK_EQ(answer.status, 200);
  CHECK(contains(answer.body,
                 "\"rejected\":{\"count\":2,\"first\":[{\"line\":2,\"reason\":\"not_json\"},"
                 "{\"line\":3,\"reason\":\"too_large\"}]}"));
  auto strict = keyless;
  strict.strict = true;
  const auto refused = answer_for(x, strict);
  CHECK_EQ(refused.status, 400);
  CHECK(contains(refused.body, "\"error\":\"bad_line\""));
  CHECK(contains(refused.body, "\"line\":2"));
}

TEST_CASE("a strict body with one good and one bad line is refused for the bad one") {
  receipt_outcome x;
  x.received = 2;
  x.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 1;
  x.rejected[static_cast<std::size_t>(reject_reason::refused_with_body)] = 1;
  auto strict = keyless;
  strict.strict = true;
  CHECK_EQ(answer_for(x, strict).status, 400);
  CHECK(contains(answer_for(x, strict).body, "\"error\":\"bad_line\""));
  x.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 2;
  x.rejected[static_cast<std::size_t>(reject_reason::refused_with_body)] = 0;
  CHECK(contains(answer_for(x, strict).body, "\"error\":\"no_good_line\""));
}

TEST_CASE("a body without a good line is answered 400, and 403 if only scopes are at fault") {
  receipt_outcome x;
  x.received = 2;
  x.rejected[static_cast<std::size_t>(reject_reason::scope_forbidden)] = 2;
  CHECK_EQ(answer_for(x, keyless).status, 403);
  x.received = 3;
  x.rejected[static_cast<std::size_t>(reject_reason::not_json)] = 1;
  CHECK_EQ(answer_for(x, keyless).status, 400);
  CHECK(contains(answer_for(x, keyless).body, "no_good_line"));
  CHECK_EQ(answer_for(receipt_outcome{}, keyless).status, 400);
  CHECK(contains(answer_for(receipt_outcome{}, keyless).body, "empty_body"));
}

TEST_CASE("a body of which a slice was lost is answered 503, whatever else became of it") {
  auto x = with_shed(shed_reason::job_quota, 5, 5);
  x.failed = true;
  const auto answer = answer_for(x, keyed);
  CHECK_EQ(answer.status, 503);
  CHECK_EQ(answer.retry_after_seconds, 2);
  CHECK_FALSE(contains(answer.body, "accepted"));
}

TEST_CASE("a lasting refusal never fails a body, so one job at its quota stops no other tenant") {
  for (const auto reason : {shed_reason::job_quota, shed_reason::buffer_count})
    for (const auto& context : {keyed, keyless}) {
      const auto answer = answer_for(with_shed(reason, 3, 0), context);
      CHECK_EQ(answer.status, 200);
      CHECK(contains(answer.body, "\"shed\":{\"" + std::string{name_of(reason)} + "\":3}"));
    }
}

TEST_CASE("a passing refusal of a body with a key is answered 429 with the scopes to repeat") {
  const auto answer = answer_for(with_shed(shed_reason::tenant_share, 3, 4), keyed);
  CHECK_EQ(answer.status, 429);
  CHECK_EQ(answer.retry_after_seconds, 2);
  CHECK(contains(answer.body, "\"shed\":{\"tenant_share\":3}"));
  CHECK(contains(answer.body, "\"retry_scopes\":[\"zones/a\"]"));
}

TEST_CASE("without a key 429 is answered only if a repeat would store nothing twice") {
  CHECK_EQ(answer_for(with_shed(shed_reason::memory, 3, 0), keyless).status, 429);
  CHECK_EQ(answer_for(with_shed(shed_reason::memory, 3, 3), keyless).status, 200);
}

TEST_CASE("DSK-01 a full disk is answered 507, since the sender's rate is not at fault") {
  const auto answer = answer_for(with_shed(shed_reason::disk_full, 3, 0), keyed);
  CHECK_EQ(answer.status, 507);
  CHECK_EQ(answer.retry_after_seconds, 2);
}

TEST_CASE("a scope in an answer cannot break its JSON") {
  auto x = with_shed(shed_reason::memory, 3, 0);
  x.retry_scopes = {"zones/\"\n"};
  CHECK(contains(answer_for(x, keyed).body, "[\"zones/\\\"\\u000a\"]"));
}

TEST_CASE("a key that named another body is answered 422") {
  CHECK_EQ(key_reused_answer().status, 422);
  CHECK(contains(key_reused_answer().body, "key_reused"));
}

TEST_CASE("a refusal of the gate keeps its status, reason and time") {
  const auto answer = answer_for(ingest_refusal{503, "no_config", 30});
  CHECK_EQ(answer.status, 503);
  CHECK_EQ(answer.retry_after_seconds, 30);
  CHECK(contains(answer.body, "\"error\":\"no_config\""));
}
