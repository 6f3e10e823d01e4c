#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "actors/publication/publication.hpp"

namespace weir {

/// The source may say something else now.
struct source_changed {};

/// An operator's order. `answer` is called once, on the publisher's thread; not if the publisher dies before.
struct config_order {
  config_command command;
  std::function<void(command_result)> answer;
};
using config_order_ptr = std::shared_ptr<const config_order>;

/// A question about versions, differences or the audit trail; `ask` is called on the publisher's thread and answers.
struct config_question {
  std::function<void(config_publication&, config_history&)> ask;
};
using config_question_ptr = std::shared_ptr<const config_question>;

/// What a role made of an offer.
struct role_answered {
  offered_role role{};
  std::size_t index = 0;
  std::uint64_t attempt = 0;
  config_answer answer;
};

/// The publisher's own timer.
struct publisher_tick {};

using config_publisher_actor = caf::typed_actor<
    // From whoever knows: a reload, the job API, the source's poller.
    caf::reacts_to<source_changed>,
    // From the control routes.
    caf::reacts_to<config_order_ptr>, caf::reacts_to<config_question_ptr>,
    // From forwarders and receivers, through their offers.
    caf::reacts_to<role_answered>,
    // Own timer.
    caf::reacts_to<publisher_tick>>;

/// Where everybody else meets the publisher, whichever instance of it lives just now. Thread-safe; nothing waits.
class config_desk {
 public:
  /// The state as of the last tenth of a second; null until the publisher has begun. It stays when the publisher dies.
  std::shared_ptr<const publication_view> view() const;

  /// Has the source read and judged soon: within a second, however often it is called.
  void changed() const;
  /// False if there is no publisher just now; then `answer` is not called.
  bool order(config_command command, std::function<void(command_result)> answer) const;
  bool ask(std::function<void(config_publication&, config_history&)> question) const;

  // For the publisher and its supervisor.
  void enter(config_publisher_actor publisher);
  void show(publication_view view);
  /// Lets go of the handle, so that the actor system can end.
  void clear() { enter(config_publisher_actor{}); }

 private:
  config_publisher_actor publisher() const;

  mutable std::mutex mutex_;
  config_publisher_actor publisher_;
  std::shared_ptr<const publication_view> view_;
};

} // namespace weir

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::source_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::config_order_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::config_question_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::role_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::publisher_tick)
