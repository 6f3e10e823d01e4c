#include "actors/guard_rails.hpp"

#include <exception>
#include <utility>

#include <caf/error.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message_view.hpp>
#include <caf/result.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>
#include <caf/type_erased_tuple.hpp>

#include "messages/error.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

std::string describe(caf::scheduled_actor* self, const caf::error& x) {
  return self->system().render(x);
}

std::string type_names(const caf::type_erased_tuple& content) {
  std::string names;
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (i != 0)
      names += ", ";
    const auto* type = content.type(i).second;
    names += type ? type->name() : "builtin " + std::to_string(content.type_nr(i));
  }
  return names.empty() ? "nothing" : names;
}

std::string what(const std::exception_ptr& x) {
  try {
    std::rethrow_exception(x);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

} // namespace

void set_guard_rails(caf::scheduled_actor* self, std::string name) {
  self->set_error_handler([name](caf::scheduled_actor* me, caf::error& x) {
    log::warn("actor-error", "{} (actor {}) got an error nobody waited for: {}", name, me->id(), describe(me, x));
  });
  // Only the types are logged: content may be a customer's.
  self->set_default_handler([name](caf::scheduled_actor* me, caf::message_view& x) -> caf::result<caf::message> {
    log::warn("actor-unexpected-message", "{} (actor {}) has no handler for ({})", name, me->id(),
              type_names(x.content()));
    return caf::make_error(caf::sec::unexpected_message);
  });
  self->set_down_handler([name](caf::scheduled_actor* me, caf::down_msg& x) {
    log::warn("actor-peer-down", "{} (actor {}) heard that {} ended: {}", name, me->id(), to_string(x.source),
              describe(me, x.reason));
  });
  self->set_exit_handler([name](caf::scheduled_actor* me, caf::exit_msg& x) {
    if (x.reason && x.reason != caf::exit_reason::user_shutdown)
      log::warn("actor-told-to-exit", "{} (actor {}) ends: {}", name, me->id(), describe(me, x.reason));
    me->quit(std::move(x.reason));
  });
  self->set_exception_handler([name](caf::scheduled_actor* me, std::exception_ptr& x) {
    auto text = what(x);
    log::error("actor-exception", "{} (actor {}) ends: {}", name, me->id(), text);
    return caf::make_error(caf::sec::runtime_error, std::move(text));
  });
}

} // namespace weir
