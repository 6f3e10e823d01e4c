#include "drills/node_observer.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "drills/load_sender.hpp"

namespace weir::drills {

namespace {

constexpr std::chrono::milliseconds look_every{200};

struct overload_view {
  std::vector<std::string> active;
  double buffers = 0;
};

overload_view read_overload(const std::string& text) {
  overload_view seen;
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  if (!answer.is_object())
    return seen;
  for (const auto& state : answer.value("states", nlohmann::json::array())) {
    if (!state.is_object())
      continue;
    const auto name = state.value("name", "");
    if (state.value("state", "") == "active")
      seen.active.push_back(name);
    if (name == "buffers_full")
      seen.buffers = state.value("value", 0.0);
  }
  return seen;
}

} // namespace

node_observer::node_observer(const scratch_node& of, std::string expected)
    : node_(of), expected_(std::move(expected)), thread_([this] { run(); }) {}

node_observer::~node_observer() {
  stop();
}

void node_observer::stop() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
}

void node_observer::run() {
  auto next = std::chrono::steady_clock::now();
  while (!stopping_) {
    look seen;
    seen.at_ns = wall_now_ns();
    const auto health = node_.call("GET", "/healthz");
    const auto overload = node_.call("GET", "/v1/overload");
    seen.healthz_s = health.status == 200 ? health.took.count() : unanswered;
    seen.overload_s = overload.status == 200 ? overload.took.count() : unanswered;
    auto shown = read_overload(overload.body);
    seen.normal = overload.status == 200
                  && std::all_of(shown.active.begin(), shown.active.end(),
                                 [this](const auto& name) { return name == expected_; });
    seen.resident_bytes = node_.resident_bytes();
    {
      std::lock_guard lock{mutex_};
      looks_.push_back(seen);
      for (const auto& name : shown.active)
        if (std::find(states_.begin(), states_.end(), name) == states_.end())
          states_.push_back(name);
      now_ = std::move(shown.active);
      most_buffers_ = std::max(most_buffers_, shown.buffers);
    }
    next = std::max(next + look_every, std::chrono::steady_clock::now());
    std::this_thread::sleep_until(next);
  }
}

std::vector<node_observer::look> node_observer::looks() const {
  std::lock_guard lock{mutex_};
  return looks_;
}

std::vector<std::string> node_observer::states_seen() const {
  std::lock_guard lock{mutex_};
  return states_;
}

std::vector<std::string> node_observer::states_now() const {
  std::lock_guard lock{mutex_};
  return now_;
}

std::uint64_t node_observer::most_buffers() const {
  std::lock_guard lock{mutex_};
  return static_cast<std::uint64_t>(most_buffers_);
}

node_observer::look node_observer::latest() const {
  std::lock_guard lock{mutex_};
  return looks_.empty() ? look{} : looks_.back();
}

} // namespace weir::drills
