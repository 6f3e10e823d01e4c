#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/invoke_message_result.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/system_messages.hpp>
#include <caf/type_nr.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/mailbox_gauge.hpp"
#include "messages/error.hpp"

namespace weir {

namespace detail {

template <class State, class = void>
struct mailbox_traits {
  static constexpr std::uint64_t limit = mailbox_gauge::default_limit;
};
template <class State>
struct mailbox_traits<State, std::void_t<decltype(State::mailbox_limit)>> {
  static constexpr std::uint64_t limit = State::mailbox_limit;
  static_assert(limit > 0, "a mailbox that takes nothing is a mistake");
};

/// Messages CAF must always be able to deliver: an actor that cannot be told to stop or that its
/// peer is down would be lost. Each is bounded by the number of peers, not by their load.
inline bool is_system_message(const caf::type_erased_tuple& content) {
  if (content.size() != 1)
    return false;
  const auto type = content.type_nr(0);
  return type == caf::type_nr<caf::exit_msg>::value || type == caf::type_nr<caf::down_msg>::value
         || type == caf::type_nr<caf::timeout_msg>::value;
}

} // namespace detail

/// A stateful actor whose mailbox has an end: the backstop behind credit (ADR 0002).
///
/// Counted are plain messages and requests of others. Not counted: responses (bounded by what the
/// actor asked for), its own timers, exit and down messages. At the limit a request is answered
/// `errc::busy` at once and a plain message is destroyed on the sender's thread: the tickets in it
/// fail their receipts and the credit in it flows back, which is what the sender has to notice.
///
/// The slot is given back by CAF's own dispatch (`consume`), so handlers need no wrapper and
/// exceptions, default handlers, skipping and delegation need no care.
///
/// Use it through a function, as any stateful actor:
///
///     buffer_actor::behavior_type buffer(bounded_pointer<buffer_actor, buffer_state> self, …);
///     system.spawn(buffer, …);
///
/// The limit is `State::mailbox_limit` if there is one, else `mailbox_gauge::default_limit`;
/// `self->backstop().limit(n)` changes it. `State::name`, if there is one, must be a static
/// constant; it names the role in metrics.
template <class State, class Base>
class bounded_stateful_actor : public caf::stateful_actor<State, Base> {
 public:
  using super = caf::stateful_actor<State, Base>;

  explicit bounded_stateful_actor(caf::actor_config& config)
      : super(config), backstop_(super::name(), detail::mailbox_traits<State>::limit) {}

  /// Depth and limit; may be read from any thread while a handle is held.
  mailbox_gauge& backstop() noexcept { return backstop_; }

  using super::enqueue;

  /// Runs on the sender's thread.
  void enqueue(caf::mailbox_element_ptr message, caf::execution_unit* unit) override {
    if (counts(*message) && !backstop_.closed() && !backstop_.admit(message->mid.is_urgent_message())) {
      refuse(std::move(message), unit);
      return;
    }
    super::enqueue(std::move(message), unit);
  }

  /// Called by CAF for each message, on the actor's thread. A message may come twice if it was
  /// skipped. Whether it counts is asked first, since handlers take the sender out of it.
  caf::invoke_message_result consume(caf::mailbox_element& message) override {
    if (!counts(message))
      return super::consume(message);
    backstop_.release();
    const auto result = super::consume(message);
    if (result == caf::invoke_message_result::skipped)
      backstop_.restore();
    return result;
  }

  bool cleanup(caf::error&& reason, caf::execution_unit* unit) override {
    backstop_.close();
    return super::cleanup(std::move(reason), unit);
  }

 private:
  bool counts(const caf::mailbox_element& message) const {
    return !message.mid.is_response() && !message.mid.is_stream_message() && message.sender.get() != this->ctrl()
           && !detail::is_system_message(message.content());
  }

  void refuse(caf::mailbox_element_ptr message, caf::execution_unit* unit) {
    if (!message->mid.is_request() || !message->sender)
      return;
    auto asker = std::move(message->sender);
    const auto answer = message->mid.response_id();
    message.reset(); // what it holds is free before the asker hears of it
    asker->enqueue(caf::make_mailbox_element(this->ctrl(), answer, {}, make_error(errc::busy, "mailbox full")), unit);
  }

  mailbox_gauge backstop_;
};

/// With a typed interface of `messages/interfaces.hpp`.
template <class Interface, class State>
using bounded_actor = bounded_stateful_actor<State, typename Interface::base>;
template <class Interface, class State>
using bounded_pointer = bounded_actor<Interface, State>*;

/// Without one.
template <class State>
using bounded_event_actor = bounded_stateful_actor<State, caf::event_based_actor>;

} // namespace weir
