#include "supervisors/ledger_routes.hpp"

#include "supervisors/control_answers.hpp"
#include "supervisors/ledger_view.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

std::variant<ledger_query, http::answer> read_query(const control_request& request) {
  ledger_query query;
  const auto page = read_page(request, {});
  if (const auto* wrong = std::get_if<http::problem>(&page))
    return http::error_answer(*wrong);
  query.page = std::get<page_request>(page);
  if (const auto job = request.parameter("job")) {
    const auto id = number_in(*job);
    if (!id)
      return refusal(400, "bad_job", "job must be a number, as in ?job=1000001");
    query.job = job_id{*id};
  }
  if (const auto tenant = request.parameter("tenant"))
    query.tenant = std::string{*tenant};
  if (const auto by = request.parameter("by")) {
    if (*by != "job" && *by != "tenant")
      return refusal(400, "bad_by", "by is job or tenant");
    query.by_tenant = *by == "tenant";
  }
  if (query.by_tenant && query.job)
    return refusal(400, "bad_by", "one job has no rows by tenant; leave out one of the two");
  return query;
}

http::answer answer_ledger(const node& running, ledger_marks& marks, const clock_source& clock,
                           const control_request& request) {
  const auto asked = read_query(request);
  if (const auto* wrong = std::get_if<http::answer>(&asked))
    return *wrong;
  const auto& query = std::get<ledger_query>(asked);
  std::optional<ledger_marks::mark> before;
  if (const auto since = request.parameter("since")) {
    const auto moment = read_moment(*since, clock.wall());
    if (!moment)
      return refusal(400, "bad_since",
                     "since is a moment as 2026-11-22T18:00:00Z, seconds since 1970, or an age as 36h");
    auto found = marks.at(*moment);
    if (const auto* wrong = std::get_if<ledger_marks::problem>(&found))
      return wrong->missing ? refusal(404, "no_mark", "no mark of the ledger is that old: " + wrong->text)
                            : refusal(503, "mark_unusable", wrong->text);
    before = std::get<ledger_marks::mark>(std::move(found));
  }
  // The bodies first: one that is accounted meanwhile is then seen twice rather than nowhere.
  const auto bodies = running.bodies_on_their_way();
  const auto& gauges = running.gauges();
  const auto open_blocks = gauges.shard.open_blocks.Value(), open_bytes = gauges.shard.open_bytes.Value(),
             queued_bytes = gauges.store.queued_bytes.Value();
  const auto now = running.ledger();
  if (before && !follows(now, before->totals))
    return refusal(409, "mark_of_another_store",
                   "the mark of " + render_moment(before->at)
                       + " says more than the ledger: the store was replaced since; ask for a later time");
  auto shown = render_ledger(now, before ? &before->totals : nullptr, *running.snapshot(), query);
  if (before)
    shown.set_since(render_moment(before->at));
  add_under_way(bodies, shown);
  auto& under_way = *shown.mutable_under_way();
  under_way.set_open_blocks(static_cast<std::uint64_t>(open_blocks));
  under_way.set_open_bytes(static_cast<std::uint64_t>(open_bytes));
  under_way.set_queued_bytes(static_cast<std::uint64_t>(queued_bytes));
  return json_answer(shown);
}

http::answer answer_marks(ledger_marks& marks) {
  proto::LedgerMarks shown;
  for (const auto& x : marks.list()) {
    auto& mark = *shown.add_marks();
    mark.set_at(render_moment(x.at));
    mark.set_bytes(x.bytes);
  }
  return json_answer(shown);
}

http::answer make_mark(const node& running, ledger_marks& marks, const clock_source& clock) {
  const auto now = clock.wall();
  if (const auto wrong = marks.make(now, running.ledger()); !wrong.empty())
    return refusal(503, "mark_not_made", wrong);
  proto::LedgerMark shown;
  shown.set_at(render_moment(now));
  for (const auto& x : marks.list())
    if (render_moment(x.at) == shown.at())
      shown.set_bytes(x.bytes);
  return json_answer(shown);
}

} // namespace

void add_ledger_routes(control_router& router, const node& running, ledger_marks& marks, operator_desk& desk,
                       std::shared_ptr<clock_source> clock) {
  const auto at_desk = [&desk](std::function<http::answer(const control_request&)> handler) {
    return [&desk, handler = std::move(handler)](control_request request, const control_responder& respond) {
      auto asked = std::make_shared<control_request>(std::move(request));
      if (!desk.post([handler, asked, respond] { respond(handler(*asked)); }))
        respond(refusal(503, "busy", "many questions of this kind wait already; ask again in a second"));
    };
  };
  router.route("GET", "/v1/ledger", control_right::read,
               at_desk([&running, &marks, clock](const control_request& request) {
                 return answer_ledger(running, marks, *clock, request);
               }));
  router.route("GET", "/v1/ledger/marks", control_right::read,
               at_desk([&marks](const control_request&) { return answer_marks(marks); }));
  router.route(
      "POST", "/v1/ledger/marks", control_right::operate,
      at_desk([&running, &marks, clock](const control_request&) { return make_mark(running, marks, *clock); }));
}

operator_desk::work hourly_marks(const node& running, ledger_marks& marks, std::shared_ptr<clock_source> clock) {
  using std::chrono::hours;
  return [&running, &marks, clock = std::move(clock),
          failed = std::optional<std::chrono::steady_clock::time_point>{}]() mutable {
    if (failed && clock->steady() - *failed < hours{1})
      return;
    const auto now = clock->wall();
    if (!marks.due(now))
      return;
    failed.reset();
    if (const auto wrong = marks.make(now, running.ledger()); !wrong.empty()) {
      failed = clock->steady();
      log::warn("ledger-mark-not-made", "{}; `since` has to do without it", wrong);
    }
  };
}

} // namespace weir
