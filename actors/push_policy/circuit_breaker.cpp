#include "actors/push_policy/circuit_breaker.hpp"

namespace weir::push_policy {

bool circuit_breaker::succeeded() {
  const auto was_closed = state_ == state::closed;
  state_ = state::closed;
  failures_ = contents_ = openings_ = 0;
  reason_.clear();
  return !was_closed;
}

bool circuit_breaker::failed(failure_kind kind, bool was_probe, bool at_once,
                             std::optional<std::chrono::seconds> retry_after, const std::string& reason, time_point now,
                             random_source& random) {
  reason_ = reason;
  if (kind == failure_kind::content) {
    ++contents_;
    // A refused body is an answer all the same: whatever kept the destination silent is over.
    failures_ = 0;
  } else {
    ++failures_;
  }
  if (state_ == state::open || (state_ == state::half_open && !was_probe))
    return false;
  const auto enough = failures_ >= settings_->failures_to_open || contents_ >= settings_->contents_to_open;
  if (state_ == state::half_open) {
    // One poison body that happens to be the probe after an outage shows that the outage is over;
    // where refused bodies opened the circuit, another one keeps it open.
    if (kind == failure_kind::content && contents_ < settings_->contents_to_open) {
      state_ = state::closed;
      openings_ = 0;
      return false;
    }
    open(retry_after, now, random);
    return false;
  }
  if (!enough && !at_once && !retry_after && kind != failure_kind::rejected)
    return false;
  since_ = now;
  open(retry_after, now, random);
  return true;
}

void circuit_breaker::begin_probe() {
  state_ = state::half_open;
}

void circuit_breaker::abandon_probe(time_point now) {
  if (state_ != state::half_open)
    return;
  state_ = state::open;
  probe_at_ = now;
}

void circuit_breaker::open(std::optional<std::chrono::seconds> retry_after, time_point now, random_source& random) {
  state_ = state::open;
  ++openings_;
  auto wait = backoff_delay(settings_->probes, openings_, random);
  if (retry_after) {
    const auto asked = std::chrono::milliseconds{std::min(*retry_after, settings_->retry_after_cap)};
    // A tenth of jitter on top, so that those who were told the same second do not return in it.
    const auto jitter = std::chrono::milliseconds{random.below(static_cast<std::uint64_t>(asked.count()) / 10 + 1)};
    wait = std::max(wait, asked + jitter);
  }
  probe_at_ = now + wait;
}

} // namespace weir::push_policy
