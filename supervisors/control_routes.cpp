#include "supervisors/control_routes.hpp"

#include <charconv>

#include <google/protobuf/util/json_util.h>

namespace weir {

namespace {

http::answer refusal(int status, std::string_view error, std::string message) {
  http::problem wrong;
  wrong.status = status;
  wrong.error = error;
  wrong.message = std::move(message);
  return http::error_answer(wrong);
}

http::answer json_answer(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions how;
  how.always_print_primitive_fields = true;
  how.preserve_proto_field_names = true;
  http::answer result;
  if (!google::protobuf::util::MessageToJsonString(message, &result.body, how).ok())
    return refusal(500, "not_rendered", "the answer could not be rendered");
  result.body.push_back('\n');
  return result;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (why != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

proto::SenderAccount render(const std::string& name, const store::sender_account& x) {
  proto::SenderAccount shown;
  shown.set_sender(name);
  shown.set_received(x.received);
  shown.set_not_entitled(x.not_entitled);
  shown.set_offered(x.offered);
  for (std::size_t i = 0; i < reject_reason_count; ++i)
    if (x.rejected[i] > 0)
      (*shown.mutable_rejected())[std::string{name_of(static_cast<reject_reason>(i))}] = x.rejected[i];
  return shown;
}

std::uint64_t total(const std::array<std::uint64_t, shed_reason_count>& counts) {
  std::uint64_t sum = 0;
  for (auto x : counts)
    sum += x;
  return sum;
}

proto::JobAccount render(job_id job, const store::job_account& x, const config_snapshot& snapshot) {
  proto::JobAccount shown;
  shown.set_job(number(job));
  if (const auto settings = snapshot.find_job(job))
    shown.set_tenant(std::string{snapshot.tenants.name(settings->tenant)});
  shown.set_offered(x.repeated + x.filtered + x.sampled_out + total(x.shed) + x.accepted);
  shown.set_repeated(x.repeated);
  shown.set_filtered(x.filtered);
  shown.set_sampled_out(x.sampled_out);
  for (std::size_t i = 0; i < shed_reason_count; ++i)
    if (x.shed[i] > 0)
      (*shown.mutable_shed())[std::string{name_of(static_cast<shed_reason>(i))}] = x.shed[i];
  shown.set_accepted(x.accepted);
  shown.set_buffered(x.buffered);
  shown.set_delivered(x.delivered);
  shown.set_dead_lettered(x.dead_lettered);
  shown.set_expired(x.expired);
  shown.set_deleted(x.deleted);
  shown.set_set_aside(x.set_aside);
  shown.set_lost(x.lost);
  shown.set_delivered_objects(x.delivered_objects);
  return shown;
}

/// Adds everything up; true if each account balances.
bool add_up(const store::ledger_totals& accounts, proto::LedgerTotals& sum) {
  bool balanced = true;
  for (const auto& [name, x] : accounts.senders) {
    std::uint64_t rejected = 0;
    for (auto events : x.rejected)
      rejected += events;
    balanced = balanced && x.received == rejected + x.not_entitled + x.offered;
    sum.set_received(sum.received() + x.received);
    sum.set_rejected(sum.rejected() + rejected);
    sum.set_not_entitled(sum.not_entitled() + x.not_entitled);
    sum.set_offered(sum.offered() + x.offered);
  }
  for (const auto& [job, x] : accounts.jobs) {
    balanced =
        balanced
        && x.accepted == x.buffered + x.delivered + x.dead_lettered + x.expired + x.deleted + x.set_aside + x.lost;
    sum.set_accepted(sum.accepted() + x.accepted);
    sum.set_buffered(sum.buffered() + x.buffered);
    sum.set_delivered(sum.delivered() + x.delivered);
    sum.set_dead_lettered(sum.dead_lettered() + x.dead_lettered);
    sum.set_expired(sum.expired() + x.expired);
    sum.set_deleted(sum.deleted() + x.deleted);
    sum.set_set_aside(sum.set_aside() + x.set_aside);
    sum.set_lost(sum.lost() + x.lost);
    sum.set_shed(sum.shed() + total(x.shed));
    sum.set_repeated(sum.repeated() + x.repeated);
  }
  return balanced;
}

http::answer answer_ledger(const node& running, const control_request& request) {
  const auto page = read_page(request, {});
  if (const auto* wrong = std::get_if<http::problem>(&page))
    return http::error_answer(*wrong);
  std::optional<job_id> only;
  if (const auto job = request.parameter("job")) {
    const auto id = number_in(*job);
    if (!id)
      return refusal(400, "bad_job", "job must be a number, as in ?job=1000001");
    only = job_id{*id};
  }
  return json_answer(render_ledger(running.ledger(), *running.snapshot(), std::get<page_request>(page), only));
}

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

} // namespace

proto::Ledger render_ledger(const store::ledger_totals& accounts, const config_snapshot& snapshot,
                            const page_request& page, std::optional<job_id> only) {
  proto::Ledger shown;
  shown.set_balanced(add_up(accounts, *shown.mutable_totals()));
  for (const auto& [name, x] : accounts.senders)
    *shown.add_senders() = render(name, x);
  auto from = accounts.jobs.begin();
  if (only)
    from = accounts.jobs.lower_bound(*only);
  else if (const auto after = number_in(page.cursor))
    from = accounts.jobs.upper_bound(job_id{*after});
  for (; from != accounts.jobs.end(); ++from) {
    if (only && from->first != *only)
      break;
    if (static_cast<std::size_t>(shown.jobs_size()) == page.limit) {
      shown.set_next_cursor(std::to_string(shown.jobs(shown.jobs_size() - 1).job()));
      break;
    }
    *shown.add_jobs() = render(from->first, from->second, snapshot);
  }
  return shown;
}

void add_node_routes(control_router& router, const node& running, std::string version, reload_action reload) {
  router.answer("GET", "/v1/ledger", control_right::read,
                [&running](const control_request& request) { return answer_ledger(running, request); });
  router.answer("GET", "/v1/node", control_right::read,
                [&running, version](const control_request&) { return answer_node(running, version); });
  router.route("POST", "/v1/buffers/{job}/unpark", control_right::operate,
               [&running](control_request request, const control_responder& respond) {
                 answer_unpark(running, request, respond);
               });
  router.answer("POST", "/v1/reload", control_right::operate, [reload](const control_request&) {
    const auto wrong = reload();
    if (!wrong.empty())
      return refusal(422, "not_reloaded", wrong);
    http::answer done;
    done.body = "{\"reloaded\":true}\n";
    return done;
  });
}

} // namespace weir
