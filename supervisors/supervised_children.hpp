#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>

#include "messages/environment.hpp"
#include "messages/supervision.hpp"
#include "supervisors/restart_policy.hpp"

namespace weir {

enum class strategy : std::uint8_t {
  one_for_one,  ///< A child that went down is restarted alone.
  rest_for_one, ///< All that were started after it are stopped before and restarted with it.
};

enum class when_exhausted : std::uint8_t {
  escalate, ///< One budget for all children; when it is spent all stop and the supervisor ends.
  park,     ///< A budget for each child; when it is spent the child is parked and nobody else notices.
};

struct supervisor_spec {
  std::string name; ///< In log lines and for observers.
  strategy how = strategy::one_for_one;
  when_exhausted exhausted = when_exhausted::escalate; ///< `park` needs `one_for_one`.
  restart_limits limits;
  std::vector<child_spec> children; ///< In start order.
  /// Told about every step of every child, on the supervisor's thread; must return at once.
  std::function<void(const child_transition&)> observe;
};

/// What is wrong with the spec, or nothing.
std::optional<std::string> problem_of(const supervisor_spec& spec);

/// The children of one supervising actor: who runs, who waits, who is parked. It is part of that
/// actor's state and used from its handlers only; `supervisor` is the plain one, roles which do
/// more than supervise (the buffers') hold one too.
///
/// The actor must pass on `down_msg` and `child_timer`, and call `stop_all` from its exit handler.
/// If it is killed or collected, the destructor kills the children: none outlives its supervisor.
class supervised_children {
 public:
  /// `ended` is called once, when no child is left alive after `stop_all` or an escalation, with the
  /// reason to quit with. `environment` gives chance and wall clock; timers are the actor's own.
  supervised_children(caf::scheduled_actor* self, supervisor_spec spec, const environment& outside,
                      std::function<void(caf::error)> ended);
  ~supervised_children();
  supervised_children(const supervised_children&) = delete;
  supervised_children& operator=(const supervised_children&) = delete;

  /// Starts what the spec names; once.
  void start();

  /// See the messages of the same names.
  caf::error start_child(child_spec spec);
  caf::error unpark_child(const std::string& id);
  /// `down` is called when the child is down, at once if it is already. Error: not_found.
  caf::error stop_child(const std::string& id, std::function<void()> down);
  void hurry();
  children_status list() const;
  /// Null unless it runs.
  caf::actor find(const std::string& id) const;

  /// False if the actor was none of the children.
  bool child_down(const caf::down_msg& down);
  void timer(const child_timer& due);

  /// Stops all: one after the other in reverse start order, or all at once if they are parked one
  /// by one and so do not depend on each other. Then `ended(reason)`.
  void stop_all(caf::error reason);

 private:
  struct child {
    child(child_spec wanted, const restart_limits& limits) : spec(std::move(wanted)), budget(limits) {}

    child_spec spec;
    caf::actor handle; // while running or stopping
    child_status status;
    restart_policy budget;
    std::uint64_t step = 0; // of the last timer that counts
    bool again = false;     // stopping: start when down
    bool forget = false;    // stopping: erase when down
    bool killed = false;
    std::vector<std::function<void()>> when_down;
  };
  using number = std::uint64_t; // of a child, in start order
  using iterator = std::map<number, child>::iterator;

  iterator add(child_spec spec);
  iterator at(const std::string& id);
  void erase(iterator which);
  void enter(child& which, child_state state, std::string reason = {});
  void tell_forgotten(const child& which) const;
  void launch(iterator which);
  void ask_to_stop(iterator which);
  void kill(iterator which);
  void crashed(iterator which, std::string reason);
  void ended_well(iterator which);
  void give_up(const child& which);
  void stopped_as_asked(iterator which);
  void settle();
  void restart_rest();
  void arm(iterator which, std::chrono::milliseconds delay);

  caf::scheduled_actor* self_;
  supervisor_spec spec_;
  std::shared_ptr<random_source> random_;
  std::shared_ptr<clock_source> clock_;
  std::function<void(caf::error)> ended_;
  std::map<number, child> children_;
  std::unordered_map<std::string, number> by_id_;
  std::unordered_map<caf::actor_addr, number> by_address_;
  number last_number_ = 0;
  restart_policy budget_;              // of all, if they escalate
  std::optional<number> restart_from_; // rest_for_one: the first that is down
  std::chrono::milliseconds delay_{0}; // before that restart
  std::optional<caf::error> ending_;
  bool hurried_ = false;
};

} // namespace weir
