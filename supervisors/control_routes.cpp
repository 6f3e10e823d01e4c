#include "supervisors/control_routes.hpp"

#include "messages/control.pb.h"
#include "supervisors/control_answers.hpp"

namespace weir {

namespace {

std::string_view name_of_step(node_status::memory_step step) {
  constexpr std::string_view names[] = {"normal", "seal_early", "shrink_credit", "refuse_ingest"};
  return names[static_cast<std::size_t>(step)];
}

std::string_view name_of_state(store::disk_state state) {
  constexpr std::string_view names[] = {"normal", "low", "refuse_new_buffers", "refuse_appends"};
  return names[static_cast<std::size_t>(state)];
}

constexpr std::size_t most_parked = 1'000;

http::answer answer_node(const node& running, const std::string& version) {
  const auto snapshot = running.snapshot();
  const auto used = running.store_usage();
  proto::NodeState shown;
  shown.set_node(running.name());
  shown.set_version(version);
  shown.set_config_version(number(snapshot->version));
  shown.set_jobs(snapshot->jobs.size());
  shown.set_memory_step(std::string{name_of_step(running.status().memory.load())});
  shown.set_disk_state(std::string{name_of_state(used.state)});
  shown.set_in_flight_bytes(running.memory_in_flight().bytes);
  shown.set_buffers(used.buffers);
  shown.set_blocks(used.blocks);
  shown.set_live_bytes(used.live_bytes);
  shown.set_segments(used.segments);
  shown.set_free_segments(used.free_segments);
  shown.set_index_bytes(used.index_bytes);
  shown.set_set_aside_records(used.set_aside_records);
  shown.set_recovery_ms(static_cast<std::uint64_t>(running.recovery().took.count()));
  shown.set_unsafe(running.unsafe());
  for (const auto& name : names_of_off(running.guards()))
    shown.add_guards_off(name);
  for (const auto& x : running.destinations()) {
    auto* trouble = shown.add_destinations();
    trouble->set_job(number(x.job));
    trouble->set_health(std::string{name_of(x.health)});
    trouble->set_reason(x.reason);
    trouble->set_waiting_jobs(x.waiting);
    trouble->set_in_flight(x.in_flight);
    trouble->set_failures(x.failures);
  }
  for (const auto& x : running.parked(most_parked)) {
    auto* parked = shown.add_parked();
    parked->set_job(number_in(x.child.id).value_or(0));
    parked->set_reason(x.child.reason);
  }
  return json_answer(shown);
}

void answer_unpark(const node& running, const control_request& request, const control_responder& respond) {
  const auto job = number_in(request.captures.at(0));
  if (!job) {
    respond(refusal(400, "bad_job", "job must be a number, as in /v1/buffers/1000001/unpark"));
    return;
  }
  running.unpark(job_id{*job}, [respond](const caf::error& why) {
    http::answer done;
    done.body = "{\"unparked\":true}\n";
    if (!why)
      respond(std::move(done));
    else if (code_of(why) == errc::not_found || code_of(why) == errc::refused)
      respond(refusal(409, "not_parked", "the job's buffer is not parked; /v1/node lists those that are"));
    else
      respond(refusal(503, "no_answer", "the buffers' supervisor did not answer; look at /v1/node and try again"));
  });
}

http::answer answer_reload(const reload_result& result) {
  if (result.became == reload_result::what_became::refused)
    return refusal(422, "not_reloaded", result.text);
  proto::Reload shown;
  shown.set_reloaded(true);
  shown.set_jobs(std::string{name_of(result.became)});
  shown.set_version(result.version);
  shown.set_hash(result.hash);
  shown.set_text(result.text);
  auto answer = json_answer(shown);
  if (result.became != reload_result::what_became::in_force)
    answer.status = 202;
  return answer;
}

} // namespace

void add_node_routes(control_router& router, const node& running, std::string version, reload_action reload) {
  router.answer("GET", "/v1/node", control_right::read,
                [&running, version](const control_request&) { return answer_node(running, version); });
  router.route("POST", "/v1/buffers/{job}/unpark", control_right::operate,
               [&running](control_request request, const control_responder& respond) {
                 answer_unpark(running, request, respond);
               });
  router.route("POST", "/v1/reload", control_right::operate,
               [reload](const control_request&, const control_responder& respond) {
                 reload([respond](const reload_result& result) { respond(answer_reload(result)); });
               });
}

std::string_view name_of(reload_result::what_became x) noexcept {
  constexpr std::string_view names[] = {"in_force", "rolling_out", "held", "frozen", "not_judged", "refused"};
  return names[static_cast<std::size_t>(x)];
}

} // namespace weir
