#include "actors/sources/fair_turns.hpp"

#include <algorithm>
#include <utility>

namespace weir {

namespace {

constexpr std::chrono::milliseconds measuring_interval{250};
constexpr double newest_body_weight = 0.125; // of averages over bodies
constexpr double newest_rate_weight = 0.3;   // of intervals: a single burst, or a single pause, is no change

} // namespace

fair_turns::turn::turn(std::shared_ptr<fair_turns> from, std::string sender, std::uint64_t expected,
                       std::uint64_t bytes, bool at_ease)
    : from_(std::move(from)),
      sender_(std::move(sender)),
      expected_(expected),
      bytes_(bytes),
      began_(from_->clock_->steady()),
      at_ease_(at_ease) {}

fair_turns::turn::~turn() {
  if (!over_.exchange(true))
    from_->over(*this);
}

void fair_turns::turn::weigh(std::uint64_t bytes) {
  if (!over_.load())
    from_->weighed(*this, bytes);
}

void fair_turns::turn::answered() {
  if (over_.exchange(true))
    return;
  from_->answered(*this);
  from_->over(*this);
}

std::uint64_t fair_turns::allowed() const {
  const auto target = std::chrono::duration<double>(how_.target).count();
  const auto longest = std::chrono::duration<double>(how_.longest_target).count();
  // Waiting for a disk that takes long anyway is no queue: less under way would only make it idle.
  const auto seconds = std::clamp(2 * ease_seconds_, target, longest);
  const auto done_in_time = std::max(how_.least_bytes, static_cast<std::uint64_t>(rate_ * seconds));
  return how_.memory ? std::min(done_in_time, how_.memory() / 2) : done_in_time;
}

/// One body passes whatever its size, so that none can starve for ever.
bool fair_turns::room(std::uint64_t bytes) const {
  return under_way_ == 0 || bytes_ + bytes <= allowed();
}

std::uint64_t fair_turns::held_by(const account& sender, std::uint64_t reserves) {
  return std::max(static_cast<std::uint64_t>(sender.body_bytes), reserves);
}

fair_turns::turn_ptr fair_turns::give(const std::string& sender, account& to, std::uint64_t reserves) {
  const auto bytes = held_by(to, reserves);
  auto given = std::make_shared<turn>(shared_from_this(), sender, static_cast<std::uint64_t>(to.body_bytes), bytes,
                                      bytes_ + bytes <= how_.least_bytes / 2);
  most_had_ = std::max(most_had_, to.had);
  to.had += to.body_bytes;
  ++to.under_way;
  ++under_way_;
  bytes_ += bytes;
  given->place_ = reading_.insert(reading_.end(), given.get());
  return given;
}

void fair_turns::end_reading(turn& of) {
  if (std::exchange(of.reading_, false))
    reading_.erase(of.place_);
}

void fair_turns::pass_over_slow() {
  const auto now = clock_->steady();
  while (!reading_.empty() && now - reading_.front()->began_ >= how_.reading_patience) {
    auto& slow = *reading_.front();
    end_reading(slow);
    slow.counted_ = slow.at_ease_ = false;
    --under_way_;
    bytes_ -= slow.bytes_;
  }
}

void fair_turns::look_again() {
  std::vector<granted> next;
  {
    std::lock_guard lock{mutex_};
    next = give_waiting();
  }
  for (auto& x : next)
    x.go(std::move(x.given));
}

fair_turns::turn_ptr fair_turns::ask(const std::string& sender, std::uint64_t reserves,
                                     std::function<void(turn_ptr)> go, waiter_id& waits) {
  std::vector<granted> next;
  turn_ptr mine_at_once;
  {
    std::lock_guard lock{mutex_};
    next = give_waiting(); // who came before, if a body under way has turned out to be slow
    waits = 0;
    auto& mine = senders_[sender];
    if (mine.body_bytes == 0)
      mine.body_bytes = static_cast<double>(how_.first_body_bytes);
    // Who sent little for long has not saved all of it up: it comes first, but not with everything at once.
    mine.had = std::max(mine.had, most_had_ - static_cast<double>(allowed()));
    if (waiting_ == 0 && room(held_by(mine, reserves))) {
      mine_at_once = give(sender, mine, reserves);
    } else {
      waits = ++last_id_;
      mine.waiting.push_back({waits, reserves, std::move(go)});
      ++waiting_;
    }
  }
  for (auto& x : next)
    x.go(std::move(x.given));
  return mine_at_once;
}

bool fair_turns::withdraw(waiter_id waits) {
  std::lock_guard lock{mutex_};
  for (auto& [name, x] : senders_) {
    const auto found =
        std::find_if(x.waiting.begin(), x.waiting.end(), [&](const waiter& each) { return each.id == waits; });
    if (found == x.waiting.end())
      continue;
    x.waiting.erase(found);
    --waiting_;
    return true;
  }
  return false;
}

std::vector<fair_turns::granted> fair_turns::give_waiting() {
  std::vector<granted> result;
  pass_over_slow();
  while (waiting_ > 0) {
    std::pair<const std::string, account>* next = nullptr;
    for (auto& each : senders_)
      if (!each.second.waiting.empty() && (next == nullptr || each.second.had < next->second.had))
        next = &each;
    if (!room(held_by(next->second, next->second.waiting.front().reserves)))
      break;
    auto first = std::move(next->second.waiting.front());
    next->second.waiting.pop_front();
    --waiting_;
    result.push_back({std::move(first.go), give(next->first, next->second, first.reserves)});
  }
  return result;
}

void fair_turns::weighed(turn& of, std::uint64_t bytes) {
  std::vector<granted> next;
  {
    std::lock_guard lock{mutex_};
    auto& mine = senders_.at(of.sender_);
    mine.had += static_cast<double>(bytes) - static_cast<double>(of.expected_);
    mine.body_bytes =
        std::max(1.0, mine.body_bytes + newest_body_weight * (static_cast<double>(bytes) - mine.body_bytes));
    end_reading(of);
    if (!std::exchange(of.counted_, true)) {
      ++under_way_;
      bytes_ += of.bytes_;
    }
    bytes_ += bytes - of.bytes_; // modulo 2^64, as both are unsigned
    of.expected_ = of.bytes_ = bytes;
    of.weighed_ = true;
    next = give_waiting(); // most hold less than was reserved for them
  }
  for (auto& x : next)
    x.go(std::move(x.given));
}

void fair_turns::answered(const turn& of) {
  const auto now = clock_->steady();
  std::lock_guard lock{mutex_};
  answered_bytes_ += of.bytes_;
  if (of.at_ease_)
    ease_seconds_ += newest_body_weight * (std::chrono::duration<double>(now - of.began_).count() - ease_seconds_);
  if (interval_began_ == time{})
    interval_began_ = of.began_;
  if (now - interval_began_ < measuring_interval)
    return;
  const auto rate = static_cast<double>(answered_bytes_) / std::chrono::duration<double>(now - interval_began_).count();
  rate_ += newest_rate_weight * (rate - rate_);
  answered_bytes_ = 0;
  interval_began_ = now;
}

void fair_turns::over(turn& of) {
  std::vector<granted> next;
  {
    std::lock_guard lock{mutex_};
    auto& mine = senders_.at(of.sender_);
    --mine.under_way;
    end_reading(of);
    if (of.counted_) {
      --under_way_;
      bytes_ -= of.bytes_;
    }
    if (!of.weighed_) // nothing was read of it
      mine.had -= static_cast<double>(of.expected_);
    next = give_waiting();
  }
  for (auto& x : next)
    x.go(std::move(x.given));
}

fair_turns::report fair_turns::look() const {
  std::lock_guard lock{mutex_};
  return {waiting_, under_way_, bytes_, allowed()};
}

} // namespace weir
