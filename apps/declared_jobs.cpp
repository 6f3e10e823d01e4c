#include "apps/declared_jobs.hpp"

#include <condition_variable>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "config/forwarding_guards.hpp"

namespace weir {

namespace {

using steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds look_every{20};

/// The state after everything that the publisher has been told so far; nothing if it does not answer in time.
std::optional<publication_view> view_now(const config_desk& desk, steady::time_point until) {
  struct waiting {
    std::mutex mutex;
    std::condition_variable came;
    std::optional<publication_view> view;
  };
  const auto shared = std::make_shared<waiting>();
  const bool asked = desk.ask([shared](config_publication& publication, config_history&) {
    // Ages in it are of no interest here.
    auto view = publication.view({steady::now(), std::chrono::system_clock::now()});
    std::lock_guard lock{shared->mutex};
    shared->view = std::move(view);
    shared->came.notify_all();
  });
  if (!asked)
    return std::nullopt;
  std::unique_lock lock{shared->mutex};
  shared->came.wait_until(lock, until, [&] { return shared->view.has_value(); });
  return std::move(shared->view);
}

reload_result outcome(reload_result::what_became became, const publication_view& view, std::string text) {
  reload_result result;
  result.became = became;
  result.version = number(view.in_force);
  result.text = std::move(text);
  return result;
}

reload_result judge(const publication_view& view) {
  using became = reload_result::what_became;
  if (!view.source.ok)
    return outcome(
        became::refused, view,
        fmt::format("{}: {} Version {} stays in force.", view.source.reason, view.source.text, number(view.in_force)));
  if (!view.held.empty()) {
    auto result = outcome(became::held, view,
                          fmt::format("held: {} Version {} stays in force; `weir config approve {}` lets it pass.",
                                      view.held.front().text, number(view.in_force), hex_text(view.held.front().hash)));
    result.hash = hex_text(view.held.front().hash);
    return result;
  }
  if (view.frozen)
    return outcome(became::frozen, view,
                   fmt::format("{} has frozen the config; version {} stays in force until `weir config unfreeze`",
                               view.frozen->who, number(view.in_force)));
  if (view.stage != rollout_stage::idle) {
    auto result =
        outcome(became::rolling_out, view,
                fmt::format("version {} is being rolled out: it {}", number(view.rolling_out), view.rollout_text));
    result.version = number(view.rolling_out);
    return result;
  }
  return outcome(became::in_force, view, fmt::format("version {} is in force", number(view.in_force)));
}

} // namespace

void declared_jobs::set(config_snapshot_ptr snapshot, std::string who) {
  std::lock_guard lock{mutex_};
  now_ = {};
  now_.snapshot = std::move(snapshot);
  now_.who = std::move(who);
  read_ = false;
}

config_reading declared_jobs::read() {
  std::lock_guard lock{mutex_};
  read_ = true;
  return now_;
}

bool declared_jobs::was_read() const {
  std::lock_guard lock{mutex_};
  return read_;
}

reload_result await_judgement(const declared_jobs& jobs, const config_desk& desk, std::chrono::milliseconds patience) {
  const auto until = steady::now() + patience;
  desk.changed();
  while (!jobs.was_read() && steady::now() < until)
    std::this_thread::sleep_for(look_every);
  reload_result result;
  result.became = reload_result::what_became::not_judged;
  result.text = "the publisher has not judged the jobs yet; `weir config show` tells what became of them";
  while (jobs.was_read() && steady::now() < until) {
    const auto view = view_now(desk, until);
    if (!view)
      break;
    result = judge(*view);
    if (result.became != reload_result::what_became::rolling_out)
      break;
    std::this_thread::sleep_for(look_every);
  }
  return result;
}

} // namespace weir
