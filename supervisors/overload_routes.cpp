#include "supervisors/overload_routes.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "supervisors/control_answers.hpp"

namespace weir {

proto::Overload render_overload(const std::vector<overload_row>& rows) {
  proto::Overload shown;
  bool normal = true;
  for (const auto& x : rows) {
    auto* state = shown.add_states();
    state->set_name(std::string{name_of(x.state)});
    state->set_limit_path(x.limit_path);
    state->set_value(x.value);
    state->set_limit(x.limit);
    state->set_unit(x.unit);
    state->set_state(x.active ? "active" : "normal");
    const auto since = std::chrono::time_point_cast<std::chrono::seconds>(x.since);
    state->set_since(fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(since))));
    state->set_action(x.action);
    normal = normal && !x.active;
  }
  shown.set_normal(normal);
  return shown;
}

void add_overload_routes(control_router& router, std::shared_ptr<overload_board> board) {
  router.answer("GET", "/v1/overload", control_right::read, [board = std::move(board)](const control_request&) {
    board->look();
    return json_answer(render_overload(board->report()));
  });
}

} // namespace weir
