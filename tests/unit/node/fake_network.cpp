#include "tests/unit/node/fake_network.hpp"

#include <algorithm>

namespace weir {

namespace {

constexpr std::size_t largest_window = 256 << 10;

} // namespace

void fake_network::start(std::uint64_t id, upload_order order, std::shared_ptr<upload_listener> listener) {
  ++started_;
  urls_.push_back(order.url);
  const auto now = clock_->steady();
  if (!running_.try_emplace(id, under_way{{std::move(order), {}}, std::move(listener), phase::wants, now, now}).second)
    misuse_.push_back("upload " + std::to_string(id) + " begun twice");
}

void fake_network::supply(std::uint64_t id, std::string window, bool last) {
  const auto found = running_.find(id);
  if (found == running_.end())
    return; // it ended while the window was under way
  auto& x = found->second;
  if (x.now == phase::cancelled)
    return;
  if (x.now != phase::waits)
    misuse_.push_back("a window that was not asked for");
  if (window.size() > largest_window)
    misuse_.push_back("a window of " + std::to_string(window.size()) + " bytes");
  x.what.bytes += window;
  x.now = last ? phase::complete : phase::wants;
  x.moved = clock_->steady();
}

void fake_network::cancel(std::uint64_t id) {
  const auto found = running_.find(id);
  if (found != running_.end())
    found->second.now = phase::cancelled;
}

void fake_network::behave(const std::string& part, judge how) {
  if (how)
    judges_[part] = std::move(how);
  else
    judges_.erase(part);
}

void fake_network::then(const std::string& part, std::vector<verdict_on_upload> verdicts) {
  auto& script = scripts_[part];
  script.insert(script.end(), verdicts.begin(), verdicts.end());
}

std::uint64_t fake_network::started(const std::string& part) const {
  return static_cast<std::uint64_t>(
      std::count_if(urls_.begin(), urls_.end(), [&](const auto& url) { return url.find(part) != url.npos; }));
}

bool fake_network::ready(const under_way& x) const {
  const auto now = clock_->steady();
  return x.now == phase::wants || x.now == phase::complete || x.now == phase::cancelled
         || now - x.moved >= x.what.order.stall_timeout || now - x.since >= x.what.order.whole_timeout;
}

bool fake_network::step(std::uint64_t pick) {
  std::vector<std::uint64_t> choice;
  for (const auto& [id, x] : running_)
    if (ready(x))
      choice.push_back(id);
  if (choice.empty())
    return false;
  const auto id = choice[pick % choice.size()];
  auto& x = running_.at(id);
  upload_outcome outcome;
  switch (x.now) {
    case phase::wants: {
      x.now = phase::waits;
      const auto listener = x.listener;
      listener->on_wants_window(id);
      return true;
    }
    case phase::waits:
    case phase::silent:
      outcome.error = "timed out";
      break;
    case phase::cancelled:
      outcome.error = "cancelled";
      break;
    case phase::complete: {
      auto verdict = judge_of(x.what);
      if (!verdict.answers) {
        x.now = phase::silent;
        return true;
      }
      outcome = std::move(verdict.answer);
      const auto taken = std::find_if(objects_.begin(), objects_.end(),
                                      [&](const object& known) { return known.url == x.what.order.url; });
      if (verdict.keeps && taken == objects_.end()) {
        objects_.push_back({x.what.order.url, x.what.order.object_name, x.what.order.identity, x.what.bytes});
      } else if (verdict.keeps && outcome.result == upload_result::stored) {
        outcome.result = upload_result::exists;
        outcome.existing_identity = taken->identity;
      }
      break;
    }
  }
  finish(id, std::move(outcome));
  return true;
}

verdict_on_upload fake_network::judge_of(const upload& x) {
  for (auto& [part, script] : scripts_) {
    if (script.empty() || x.order.url.find(part) == std::string::npos)
      continue;
    auto next = std::move(script.front());
    script.pop_front();
    return next;
  }
  for (const auto& [part, how] : judges_)
    if (x.order.url.find(part) != std::string::npos)
      return how(x);
  return says::stored();
}

void fake_network::finish(std::uint64_t id, upload_outcome outcome) {
  const auto listener = running_.at(id).listener;
  running_.erase(id);
  listener->on_finished(id, std::move(outcome));
}

void fake_network::forget() {
  running_.clear();
}

} // namespace weir
