#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/expected.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

/// What supervisors are told and what they tell. The words are Erlang's and keep Erlang's meaning;
/// `parked` is ours. None of these messages leaves the process.
namespace weir {

/// Whether an ended child is started again.
enum class restart : std::uint8_t {
  permanent, ///< Always.
  transient, ///< After a crash only: any reason but none, `normal` and `user_shutdown`.
  temporary, ///< Never.
};

/// Makes a child, or says why it cannot; that, or an exception, counts as a crash. Runs on the
/// supervisor's thread, so it must not block. It is called again for each restart and has to take
/// everything it needs (handles of siblings, too) anew.
using start_function = std::function<caf::expected<caf::actor>()>;

struct child_spec {
  std::string id; ///< Unique among its siblings.
  start_function start;
  restart when = restart::permanent;
  /// From being asked to stop (exit message `user_shutdown`, behind what already waits in the
  /// mailbox) to being killed, ahead of it. A supervisor as a child needs the sum of its own children.
  std::chrono::milliseconds stop_within{5'000};
};

enum class child_state : std::uint8_t {
  running,
  stopping,   ///< Asked to stop, or killed but still in a handler.
  restarting, ///< Down; waits for its delay, or for siblings to stop first.
  parked,     ///< Crashed too often. Waits for `unpark_child` or a new `start_child`.
  stopped,    ///< Down and not to be restarted.
};

std::string_view name_of(child_state state) noexcept;

struct child_status {
  std::string id;
  child_state state{};
  std::uint64_t restarts = 0;                  ///< Since the supervisor began or the child was given anew.
  std::string reason;                          ///< Why it last went down; empty if it never did or ended well.
  std::chrono::system_clock::time_point since; ///< When it came into this state, by the wall clock.
};

/// One step of one child, as observers are told.
struct child_transition {
  std::string_view supervisor;
  const child_status& now;
  child_state before{};
  bool forgotten = false; ///< The last step: the child is no longer listed, or its supervisor ended.
};

// -- messages ---------------------------------------------------------------------------------

/// The answer to an order. (Not `caf::unit_t`: CAF 0.17.6 sends that as an empty message, which the
/// handler its own type check asks for does not match.)
struct order_done {};

struct list_children {};
struct children_status {
  std::vector<child_status> children; ///< In start order.
};
/// Starts a parked child again, with its whole restart budget.
struct unpark_child {
  std::string id;
};
/// A new child, or a new revision of one: an old one is asked to stop first, a parked one is
/// unparked. The restart budget is fresh.
struct start_child {
  child_spec spec;
};
/// Stops a child and forgets it, its budget and its reason.
struct stop_child {
  std::string id;
};
/// The time for an orderly stop is over: whatever is or will be asked to stop is killed at once.
struct hurry {};
/// A supervisor's own timer.
struct child_timer {
  std::uint64_t child = 0;
  std::uint64_t step = 0;
};

using supervisor_actor = caf::typed_actor<
    // From the console and metrics.
    caf::replies_to<list_children>::with<children_status>,
    // From an operator. Errors: not_found; refused, if it is not parked.
    caf::replies_to<unpark_child>::with<order_done>,
    // From whoever owns the child's settings. Answers when the order is taken, not when the child
    // runs. Errors: refused, while the supervisor stops.
    caf::replies_to<start_child>::with<order_done>,
    // From the same. Answers when the child is down. Errors: not_found.
    caf::replies_to<stop_child>::with<order_done>,
    // From the node, at a second SIGTERM.
    caf::reacts_to<hurry>,
    // Own timer.
    caf::reacts_to<child_timer>>;

} // namespace weir

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::order_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::list_children)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::children_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::unpark_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::start_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::stop_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::hurry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::child_timer)
