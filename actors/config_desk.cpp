#include "actors/config_desk.hpp"

#include <utility>

#include <caf/send.hpp>

namespace weir {

config_publisher_actor config_desk::publisher() const {
  std::lock_guard lock{mutex_};
  return publisher_;
}

std::shared_ptr<const publication_view> config_desk::view() const {
  std::lock_guard lock{mutex_};
  return view_;
}

void config_desk::changed() const {
  if (const auto to = publisher())
    caf::anon_send(to, source_changed{});
}

bool config_desk::order(config_command command, std::function<void(command_result)> answer) const {
  const auto to = publisher();
  if (to)
    caf::anon_send(
        to, config_order_ptr{std::make_shared<config_order>(config_order{std::move(command), std::move(answer)})});
  return static_cast<bool>(to);
}

bool config_desk::ask(std::function<void(config_publication&, config_history&)> question) const {
  const auto to = publisher();
  if (to)
    caf::anon_send(to, config_question_ptr{std::make_shared<config_question>(config_question{std::move(question)})});
  return static_cast<bool>(to);
}

void config_desk::enter(config_publisher_actor publisher) {
  std::lock_guard lock{mutex_};
  std::swap(publisher_, publisher); // the old one is let go of outside the lock
}

void config_desk::show(publication_view view) {
  auto next = std::make_shared<const publication_view>(std::move(view));
  std::lock_guard lock{mutex_};
  std::swap(view_, next);
}

} // namespace weir
