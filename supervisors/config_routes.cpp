#include "supervisors/config_routes.hpp"

#include <variant>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "supervisors/control_answers.hpp"

namespace weir {

namespace {

using responder = control_responder;

http::answer nobody_there() {
  return refusal(503, "no_publisher",
                 "the config publisher is being started; the node works on by the config in force. Try again, or look "
                 "at /v1/config");
}

proto::ConfigVersion render(const version_row& x) {
  proto::ConfigVersion shown;
  shown.set_version(number(x.version));
  shown.set_parent(number(x.parent));
  shown.set_content_hash(hex_text(x.content));
  shown.set_created(time_text(x.created));
  shown.set_finished(time_text(x.finished));
  shown.set_why(x.why);
  shown.set_who(x.who);
  shown.set_outcome(std::string{name_of(x.outcome)});
  shown.set_text(x.text);
  shown.set_entries(x.entries);
  shown.set_jobs(x.jobs);
  shown.set_has_content(x.has_content);
  return shown;
}

proto::ConfigDiff render(const config_publication::difference& x) {
  proto::ConfigDiff shown;
  shown.set_from(number(x.from));
  shown.set_to(number(x.to));
  *shown.mutable_changes() = render_changes(x.changes);
  for (const auto job : x.added)
    shown.add_added(number(job));
  for (const auto job : x.removed)
    shown.add_removed(number(job));
  for (const auto job : x.moved)
    shown.add_moved(number(job));
  for (const auto job : x.changed)
    shown.add_changed(number(job));
  return shown;
}

http::answer render(const command_result& x) {
  proto::ConfigOrderResult shown;
  shown.set_done(x.done());
  shown.set_error(x.error);
  shown.set_text(x.text);
  shown.set_version(number(x.version));
  auto answer = json_answer(shown);
  if (x.error == "unknown_version")
    answer.status = 404;
  else if (x.error == "history_failed")
    answer.status = 503;
  else if (x.error == "zero_entries")
    answer.status = 422;
  else if (!x.done())
    answer.status = 409;
  return answer;
}

/// The rows of a page and where the next one begins; `get` reads one more than the page holds.
template <class Rows, class Get>
std::string page_of(Rows& rows, std::size_t limit, Get&& key) {
  if (rows.size() <= limit)
    return {};
  rows.resize(limit);
  return std::to_string(key(rows.back()));
}

http::answer answer_versions(config_history& history, const page_request& page) {
  auto rows = history.versions(page.limit + 1, config_version{number_in(page.cursor).value_or(0)});
  proto::ConfigVersions shown;
  shown.set_next_cursor(page_of(rows, page.limit, [](const version_row& x) { return number(x.version); }));
  for (const auto& x : rows)
    *shown.add_versions() = render(x);
  return json_answer(shown);
}

http::answer answer_audit(config_history& history, const page_request& page) {
  auto rows = history.audit(page.limit + 1, number_in(page.cursor).value_or(0));
  proto::Audit shown;
  shown.set_next_cursor(page_of(rows, page.limit, [](const audit_row& x) { return x.id; }));
  for (const auto& x : rows) {
    auto* row = shown.add_rows();
    row->set_id(x.id);
    row->set_at(time_text(x.at));
    row->set_who(x.who);
    row->set_what(x.what);
    row->set_version(number(x.version));
    row->set_hash(x.hash);
    row->set_result(x.result);
    row->set_text(x.text);
  }
  return json_answer(shown);
}

using page_answer = http::answer (*)(config_history&, const page_request&);

void answer_page(const config_desk& desk, const control_request& request, const responder& respond, page_answer how) {
  const auto page = read_page(request, {});
  if (const auto* wrong = std::get_if<http::problem>(&page)) {
    respond(http::error_answer(*wrong));
    return;
  }
  if (!desk.ask([respond, how, page = std::get<page_request>(page)](config_publication&, config_history& history) {
        respond(how(history, page));
      }))
    respond(nobody_there());
}

void answer_version(const config_desk& desk, const control_request& request, const responder& respond) {
  const auto version = number_in(request.captures.at(0));
  if (!version) {
    respond(refusal(400, "bad_version", "the version must be a number, as in /v1/config/versions/12"));
    return;
  }
  if (!desk.ask([respond, version = config_version{*version}](config_publication&, config_history& history) {
        const auto row = history.version(version);
        respond(row ? json_answer(render(*row))
                    : refusal(404, "unknown_version", "the history has no such version; see /v1/config/versions"));
      }))
    respond(nobody_there());
}

void answer_diff(const config_desk& desk, const control_request& request, const responder& respond) {
  const auto held = request.parameter("held");
  const auto from = number_in(request.parameter("from").value_or(""));
  const auto to = number_in(request.parameter("to").value_or(""));
  content_hash hash{};
  if (held ? !parse_hex(*held, hash) : (!from || !to)) {
    respond(refusal(400, "bad_query", "give from and to, or held: ?from=3&to=4, ?held=<64 hex digits>"));
    return;
  }
  const bool asked = desk.ask([=, of_held = held.has_value()](config_publication& publication, config_history&) {
    std::string wrong;
    const auto x = of_held ? publication.compare_held(hash, wrong)
                           : publication.compare(config_version{*from}, config_version{*to}, wrong);
    if (!x) {
      respond(refusal(404, of_held ? "not_held" : "unknown_version", wrong));
      return;
    }
    auto shown = render(*x);
    if (of_held)
      shown.set_held(hex_text(hash));
    respond(json_answer(shown));
  });
  if (!asked)
    respond(nobody_there());
}

/// What stands in the body of an order, or what is wrong with it.
std::variant<config_command, http::answer> read_order(config_command::order what, const control_request& request) {
  constexpr std::size_t longest_why = 500;
  config_command command;
  command.what = what;
  command.who = request.caller->token;
  proto::ConfigOrder body;
  if (!request.body.empty())
    if (const auto wrong = google::protobuf::util::JsonStringToMessage(request.body, &body); !wrong.ok())
      return refusal(400, "bad_body", "the body must be JSON such as {\"hash\": \"…\"} or {\"version\": 12}");
  command.why = body.why().substr(0, longest_why);
  command.version = config_version{body.version()};
  if (!body.hash().empty() && !parse_hex(body.hash(), command.hash))
    return refusal(400, "bad_hash", "the hash must be the 64 hex digits that /v1/config shows");
  const bool needs_hash = what == config_command::order::approve || what == config_command::order::reject;
  if (needs_hash && body.hash().empty())
    return refusal(400, "bad_hash", "which change? Give {\"hash\": \"<64 hex digits>\"} as /v1/config shows it");
  if (what == config_command::order::rollback && body.version() == 0)
    return refusal(400, "bad_version", "to which version? Give {\"version\": 12}; /v1/config/versions lists them");
  return command;
}

void take_order(const config_desk& desk, config_command::order what, const control_request& request,
                const responder& respond) {
  auto command = read_order(what, request);
  if (const auto* wrong = std::get_if<http::answer>(&command)) {
    respond(*wrong);
    return;
  }
  if (!desk.order(std::get<config_command>(std::move(command)),
                  [respond](const command_result& result) { respond(render(result)); }))
    respond(nobody_there());
}

} // namespace

std::string time_text(std::chrono::system_clock::time_point at) {
  const auto seconds = std::chrono::system_clock::to_time_t(at);
  return seconds == 0 ? std::string{} : fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

proto::ConfigChanges render_changes(const change_summary& changes) {
  proto::ConfigChanges shown;
  const auto put = [](const tenant_change& x, proto::ConfigTenantChange& to) {
    to.set_tenant(x.tenant);
    to.set_added(x.added);
    to.set_removed(x.removed);
    to.set_moved(x.moved);
    to.set_changed(x.changed);
  };
  put(changes.in_all, *shown.mutable_in_all());
  for (const auto& x : changes.by_tenant)
    put(x, *shown.add_by_tenant());
  shown.set_tenants(changes.tenants);
  return shown;
}

proto::ConfigState render_config(const publication_view& x) {
  proto::ConfigState shown;
  shown.set_version(number(x.in_force));
  shown.set_content_hash(hex_text(x.content));
  shown.set_in_force_since(time_text(x.in_force_since));
  shown.set_age_seconds(static_cast<std::uint64_t>(x.age.count()));
  shown.set_stale(x.stale);
  shown.set_entries(x.entries);
  shown.set_jobs(x.jobs);
  shown.set_jobs_on_hold(x.on_hold);
  for (const auto job : x.on_hold_jobs)
    shown.add_on_hold(number(job));
  shown.set_rollout_stage(std::string{name_of(x.stage)});
  shown.set_rolling_out(number(x.rolling_out));
  shown.set_rollout_text(x.rollout_text);
  if (x.frozen) {
    shown.mutable_frozen()->set_who(x.frozen->who);
    shown.mutable_frozen()->set_why(x.frozen->why);
    shown.mutable_frozen()->set_since(time_text(x.frozen->since));
  }
  for (const auto& change : x.held) {
    auto* held = shown.add_held();
    held->set_hash(hex_text(change.hash));
    for (const auto& reason : change.reasons)
      held->add_reasons(reason);
    held->set_text(change.text);
    *held->mutable_changes() = render_changes(change.changes);
    held->set_parent(number(change.parent));
    held->set_since(time_text(change.since));
    held->set_who(change.who);
    if (change.approved) {
      held->mutable_approved()->set_who(change.approved->who);
      held->mutable_approved()->set_at(time_text(change.approved->at));
      held->mutable_approved()->set_expires(time_text(change.approved->expires));
    }
  }
  auto* source = shown.mutable_source();
  source->set_ok(x.source.ok);
  source->set_reason(x.source.reason);
  source->set_text(x.source.text);
  source->set_last_good(time_text(x.source.last_good));
  source->set_failures(x.source.failures);
  for (const auto& role : x.roles) {
    auto* one = shown.add_roles();
    one->set_role(role.role);
    one->set_index(static_cast<std::uint32_t>(role.index));
    one->set_version(number(role.version));
    one->set_reason(role.reason);
  }
  shown.set_last_known_good_problem(x.last_known_good_problem);
  shown.set_history_problem(x.history_problem);
  return shown;
}

void add_config_routes(control_router& router, const config_desk& desk) {
  using order = config_command::order;
  router.answer("GET", "/v1/config", control_right::read, [&desk](const control_request&) {
    const auto view = desk.view();
    return view ? json_answer(render_config(*view)) : nobody_there();
  });
  const auto ask = [&](const char* path, auto how) {
    router.route(
        "GET", path, control_right::read,
        [&desk, how](const control_request& request, const responder& respond) { how(desk, request, respond); });
  };
  ask("/v1/config/versions", [](const config_desk& to, const control_request& request, const responder& respond) {
    answer_page(to, request, respond, answer_versions);
  });
  ask("/v1/config/versions/{version}", answer_version);
  ask("/v1/config/diff", answer_diff);
  ask("/v1/audit", [](const config_desk& to, const control_request& request, const responder& respond) {
    answer_page(to, request, respond, answer_audit);
  });
  for (const auto what :
       {order::approve, order::reject, order::rollback, order::freeze, order::unfreeze, order::publish})
    router.route("POST", fmt::format("/v1/config/{}", name_of(what)), control_right::operate,
                 [&desk, what](const control_request& request, const responder& respond) {
                   take_order(desk, what, request, respond);
                 });
}

} // namespace weir
