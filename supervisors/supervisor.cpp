#include "supervisors/supervisor.hpp"

#include <utility>

#include <caf/typed_response_promise.hpp>

#include "actors/guard_rails.hpp"
#include "messages/error.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using self_pointer = bounded_pointer<supervisor_actor, supervisor_state>;

caf::result<order_done> answer(caf::error problem) {
  if (problem)
    return problem;
  return order_done{};
}

void pass_on_system_messages(self_pointer self, const std::string& name) {
  self->set_down_handler([self, name](caf::down_msg& down) {
    if (!self->state.children->child_down(down))
      log::warn("supervisor-stranger", "{} heard that {} ended, which is none of its children", name,
                to_string(down.source));
  });
  self->set_exit_handler([self](caf::exit_msg& exit) { self->state.children->stop_all(std::move(exit.reason)); });
}

} // namespace

supervisor_actor::behavior_type supervisor(self_pointer self, supervisor_spec spec, environment outside) {
  set_guard_rails(self, "supervisor " + spec.name);
  if (auto problem = problem_of(spec)) {
    log::error("supervisor-spec", "supervisor {} cannot begin: {}", spec.name, *problem);
    self->quit(make_error(errc::refused, *problem));
    return supervisor_actor::behavior_type::make_empty_behavior();
  }
  const auto name = spec.name;
  auto& children = self->state.children;
  children.emplace(self, std::move(spec), outside, [self](caf::error reason) { self->quit(std::move(reason)); });
  pass_on_system_messages(self, name);
  children->start();
  return {
      [self](list_children) { return self->state.children->list(); },
      [self](const unpark_child& order) { return answer(self->state.children->unpark_child(order.id)); },
      [self](const start_child& order) { return answer(self->state.children->start_child(order.spec)); },
      [self](const stop_child& order) -> caf::result<order_done> {
        auto promise = self->make_response_promise<order_done>();
        auto problem =
            self->state.children->stop_child(order.id, [promise]() mutable { promise.deliver(order_done{}); });
        if (problem)
          promise.deliver(std::move(problem));
        return promise;
      },
      [self](hurry) { self->state.children->hurry(); },
      [self](child_timer due) { self->state.children->timer(due); },
  };
}

} // namespace weir
