#include "actors/publication/rollout.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weir {

namespace {

using steady_point = std::chrono::steady_clock::time_point;

constexpr int tries = 3;                                     // A role that is restarted is back by then.
constexpr int tries_of_return = 12;                          // Then it goes on without the role, see below.
constexpr std::chrono::seconds between_samples{1};           // of normal health
constexpr std::size_t most_samples = 600;                    // Ten minutes, should a stage be as long.
constexpr std::uint64_t bodies_for_a_share_of_refusals = 20; // Fewer are chance.

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Totals only grow, but for a node that was put together anew.
std::uint64_t grown(std::uint64_t before, std::uint64_t after) {
  return after >= before ? after - before : after;
}

} // namespace

std::string_view name_of(offered_role role) noexcept {
  return role == offered_role::receiver ? "receiver" : "forwarder";
}

stage_health stage_health::between(const rollout_health& before, const rollout_health& after,
                                   std::chrono::nanoseconds took) {
  stage_health x;
  x.seconds = std::chrono::duration<double>(took).count();
  x.counts.received = grown(before.received, after.received);
  x.counts.not_entitled = grown(before.not_entitled, after.not_entitled);
  x.counts.shed = grown(before.shed, after.shed);
  x.counts.delivered = grown(before.delivered, after.delivered);
  x.counts.bodies = grown(before.bodies, after.bodies);
  x.counts.refused_bodies = grown(before.refused_bodies, after.refused_bodies);
  return x;
}

std::string worse_than(const rollout_config& limits, const stage_health& before, const stage_health& now, bool over) {
  const auto& a = before.counts;
  const auto& b = now.counts;
  const auto rise = [](const char* what, double from, double to, double most) {
    return to > from + most ? fmt::format("{} rose from {:.1f} % to {:.1f} %", what, 100 * from, 100 * to)
                            : std::string{};
  };
  if (a.bodies + a.refused_bodies >= bodies_for_a_share_of_refusals
      && b.bodies + b.refused_bodies >= bodies_for_a_share_of_refusals)
    if (auto wrong = rise("the share of refused bodies", share(a.refused_bodies, a.bodies + a.refused_bodies),
                          share(b.refused_bodies, b.bodies + b.refused_bodies), limits.max_shed_rise);
        !wrong.empty())
      return wrong;
  if (a.received < limits.min_events || b.received < limits.min_events)
    return {};
  if (auto wrong =
          rise("the share of shed events", share(a.shed, a.received), share(b.shed, b.received), limits.max_shed_rise);
      !wrong.empty())
    return wrong;
  if (auto wrong = rise("the share of events that are not entitled", share(a.not_entitled, a.received),
                        share(b.not_entitled, b.received), limits.max_not_entitled_rise);
      !wrong.empty())
    return wrong;
  if (!over || a.delivered < limits.min_events || before.seconds < now.seconds / 2 || now.seconds <= 0)
    return {};
  const auto least = 1 - limits.max_delivered_fall;
  const auto delivered_before = static_cast<double>(a.delivered) / before.seconds;
  const auto delivered_now = static_cast<double>(b.delivered) / now.seconds;
  const auto received_before = static_cast<double>(a.received) / before.seconds;
  const auto received_now = static_cast<double>(b.received) / now.seconds;
  // When less comes in, less goes out: that is no fault of a config.
  if (delivered_now < delivered_before * least && received_now >= received_before * least)
    return fmt::format("delivery fell from {:.0f} to {:.0f} events/s", delivered_before, delivered_now);
  return {};
}

config_rollout::config_rollout(rollout_config how, std::size_t receivers, std::size_t forwarders) : how_(how) {
  for (std::size_t i = 0; i < receivers; ++i)
    members_.push_back({offered_role::receiver, i, {}, {}});
  for (std::size_t i = 0; i < forwarders; ++i)
    members_.push_back({offered_role::forwarder, i, {}, {}});
  groups_.push_back({rollout_stage::receivers, 0, receivers, std::chrono::milliseconds{0}});
  const auto tenth = std::max<std::size_t>(1, (forwarders + 9) / 10);
  const auto add = [&](rollout_stage stage, std::size_t first, std::size_t last, std::chrono::milliseconds watch) {
    if (first < last) // Few forwarders have few stages.
      groups_.push_back({stage, receivers + first, receivers + last, watch});
  };
  add(rollout_stage::canary, 0, std::min<std::size_t>(1, forwarders), how_.canary);
  add(rollout_stage::tenth, 1, tenth, how_.tenth);
  add(rollout_stage::all, tenth, forwarders, how_.all);
}

void config_rollout::note_health(const rollout_health& now, steady_point at) {
  if (!normal_.empty() && at - normal_.back().at < between_samples)
    return;
  normal_.push_back({at, now});
  const auto window = std::max<std::chrono::milliseconds>(how_.canary, between_samples);
  while (normal_.size() > 2 && (at - normal_[1].at >= window || normal_.size() > most_samples))
    normal_.pop_front();
}

void config_rollout::begin(rollout_order order) {
  order_ = std::move(order);
  state_ = progress::running;
  at_ = 0;
  watching_ = false;
  touched_ = false;
  text_.clear();
  stopped_by_.clear();
  for (auto& x : members_) {
    x.now = member::step::waiting;
    x.first_try = x.last_try = steady_point{};
    x.reason.clear();
  }
  before_.reset();
  if (normal_.size() >= 2 && normal_.back().at > normal_.front().at)
    before_ =
        stage_health::between(normal_.front().health, normal_.back().health, normal_.back().at - normal_.front().at);
  normal_.clear(); // What is sampled from now on is under another config.
}

rollout_stage config_rollout::stage() const noexcept {
  if (state_ != progress::running)
    return rollout_stage::idle;
  return order_.returning ? rollout_stage::returning : groups_[std::min(at_, groups_.size() - 1)].stage;
}

void config_rollout::offer(member& to, steady_point at, std::vector<publication_effect>& effects) {
  if (to.first_try == steady_point{})
    to.first_try = at;
  to.now = member::step::offered;
  to.last_try = at;
  to.attempt = ++attempts_;
  touched_ = true;
  publication_effect effect;
  effect.role = to.role;
  effect.index = to.index;
  effect.attempt = to.attempt;
  effect.snapshot = order_.next;
  effect.explained = order_.explained;
  if (order_.approval)
    effect.approved = order_.approval(to.has);
  effects.push_back(std::move(effect));
}

bool config_rollout::offer_group(const group& current, steady_point at, std::vector<publication_effect>& effects) {
  bool all = true;
  for (auto i = current.first; i < current.last; ++i) {
    auto& x = members_[i];
    if (x.now == member::step::adopted)
      continue;
    const bool tried = x.first_try != steady_point{};
    // A return must not wait for a role that is parked: who missed it is offered it each interval.
    if (order_.returning && tried && at - x.first_try >= tries_of_return * how_.answer_within)
      continue;
    all = false;
    if (tried && at - x.first_try >= tries * how_.answer_within && !order_.returning) {
      stop("no_answer", fmt::format("{} {} did not answer within {} s", name_of(x.role), x.index,
                                    std::chrono::duration<double>(tries * how_.answer_within).count()));
      return false;
    }
    if (!tried || at - x.last_try >= how_.answer_within)
      offer(x, at, effects);
    text_ = fmt::format("waits for {} {}", name_of(x.role), x.index);
  }
  return all;
}

bool config_rollout::watch_group(const group& current, const rollout_health& health, steady_point at) {
  const auto watch = order_.quick ? std::chrono::milliseconds{0} : current.watch;
  if (!watching_) {
    watching_ = true;
    watch_began_ = at;
    watch_from_ = health;
  }
  const bool over = at - watch_began_ >= watch;
  if (watch > std::chrono::milliseconds{0}) {
    const auto now = stage_health::between(watch_from_, health, at - watch_began_);
    if (before_)
      if (const auto wrong = worse_than(how_, *before_, now, over); !wrong.empty()) {
        stop("health", fmt::format("after stage {}, {}", name_of(current.stage), wrong));
        return false;
      }
    if (over && now.counts.received >= how_.min_events)
      before_ = now;
    text_ =
        fmt::format("watches stage {} for {} s", name_of(current.stage), std::chrono::duration<double>(watch).count());
  }
  if (over)
    watching_ = false;
  return over;
}

void config_rollout::step(const rollout_health& health, steady_point at, std::vector<publication_effect>& effects) {
  while (state_ == progress::running) {
    const auto& current = groups_[at_];
    if (!watching_ && !offer_group(current, at, effects))
      return;
    if (current.stage != rollout_stage::receivers && !watch_group(current, health, at))
      return;
    const auto apply = [&](publication_effect::kind what) {
      publication_effect effect;
      effect.what = what;
      effect.snapshot = order_.next;
      effects.push_back(std::move(effect));
    };
    if (current.stage == rollout_stage::receivers)
      apply(publication_effect::kind::apply_to_buffers);
    if (++at_ < groups_.size())
      continue;
    apply(publication_effect::kind::apply_to_intake);
    state_ = progress::complete;
    text_.clear();
  }
}

void config_rollout::stop(std::string reason, std::string text) {
  state_ = progress::stopped;
  stopped_by_ = std::move(reason);
  text_ = std::move(text);
}

config_rollout::member& config_rollout::find(offered_role role, std::size_t index) {
  return *std::find_if(members_.begin(), members_.end(),
                       [&](const member& x) { return x.role == role && x.index == index; });
}

void config_rollout::learn(offered_role role, std::size_t index, config_version has) {
  for (auto& x : members_)
    if (x.role == role && x.index == index)
      x.has = has;
}

bool config_rollout::answered(offered_role role, std::size_t index, std::uint64_t attempt,
                              const config_answer& answer) {
  auto& x = find(role, index);
  x.has = answer.in_force;
  if (state_ != progress::running || x.now != member::step::offered || x.attempt != attempt)
    return false;
  // A role whose first answer came too late says "not newer" to the second offer, and has it.
  if (answer.adopted || answer.in_force == order_.next->version) {
    x.now = member::step::adopted;
    x.reason.clear();
    return true;
  }
  x.reason = answer.reason;
  if (!order_.returning)
    stop("refused", fmt::format("{} {} refused it ({}): {}", name_of(role), index, answer.reason, answer.text));
  return true;
}

void config_rollout::not_there(offered_role role, std::size_t index, std::uint64_t attempt) {
  auto& x = find(role, index);
  if (state_ == progress::running && x.now == member::step::offered && x.attempt == attempt)
    x.last_try = steady_point{}; // The next step tries again; `first_try` stays, so patience runs.
}

} // namespace weir
