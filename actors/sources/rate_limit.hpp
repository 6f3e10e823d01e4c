#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace weir {

/// What one token may send. Safe by default and far above what one node takes, so that only a runaway
/// sender notices; a tenant's plan sets its own.
struct rate_limits {
  double requests_per_second = 10'000;
  double bytes_per_second = 2.0 * (1ull << 30); ///< Decoded bytes.
  double events_per_second = 5'000'000;         ///< Known only after a body was read: counted afterwards.
};

/// A bucket of one second's worth that fills at `rate`. It may be overdrawn, since sizes are known late: a
/// debtor waits until the debt is paid, so the average holds whatever the size of a single body. Pure.
class token_bucket {
 public:
  using time = std::chrono::steady_clock::time_point;

  explicit token_bucket(double rate) : rate_(rate), level_(rate) {}

  /// How long until something may be taken; zero = now.
  std::chrono::nanoseconds wait(time now) {
    fill(now);
    if (level_ > 0)
      return std::chrono::nanoseconds{0};
    return std::chrono::nanoseconds{static_cast<std::int64_t>(std::ceil(-level_ / rate_ * 1e9)) + 1};
  }
  void take(double amount, time now) {
    fill(now);
    level_ -= amount;
  }

 private:
  void fill(time now) {
    if (last_ != time{} && now > last_)
      level_ = std::min(rate_, level_ + rate_ * std::chrono::duration<double>(now - last_).count());
    last_ = std::max(last_, now);
  }

  double rate_;
  double level_;
  time last_{};
};

/// The three rates of one token together. Pure.
class token_rates {
 public:
  using time = token_bucket::time;

  explicit token_rates(const rate_limits& limits)
      : requests_(limits.requests_per_second), bytes_(limits.bytes_per_second), events_(limits.events_per_second) {}

  /// Takes one request, or says how long the sender has to wait.
  std::optional<std::chrono::nanoseconds> admit(time now) {
    const auto wait = std::max({requests_.wait(now), bytes_.wait(now), events_.wait(now)});
    if (wait.count() > 0)
      return wait;
    requests_.take(1, now);
    return std::nullopt;
  }
  void charge(std::uint64_t bytes, std::uint64_t events, time now) {
    bytes_.take(static_cast<double>(bytes), now);
    events_.take(static_cast<double>(events), now);
  }

 private:
  token_bucket requests_, bytes_, events_;
};

/// The rates of all tokens, shared by the threads of a source. One short lock per request.
class rate_limiter {
 public:
  using time = token_bucket::time;

  /// `named` are the tokens with rates of their own.
  rate_limiter(rate_limits standard, std::map<std::string, rate_limits> named)
      : standard_(standard), named_(std::move(named)) {}

  std::optional<std::chrono::nanoseconds> admit(const std::string& token, time now) {
    std::lock_guard lock{mutex_};
    return rates_of(token).admit(now);
  }
  void charge(const std::string& token, std::uint64_t bytes, std::uint64_t events, time now) {
    std::lock_guard lock{mutex_};
    rates_of(token).charge(bytes, events, now);
  }
  /// New limits; all buckets start full again.
  void reset(rate_limits standard, std::map<std::string, rate_limits> named) {
    std::lock_guard lock{mutex_};
    standard_ = standard;
    named_ = std::move(named);
    tokens_.clear();
  }

 private:
  /// Token names come from the node's config, so their number is bounded by it.
  token_rates& rates_of(const std::string& token) {
    const auto known = tokens_.find(token);
    if (known != tokens_.end())
      return known->second;
    const auto own = named_.find(token);
    return tokens_.emplace(token, token_rates{own != named_.end() ? own->second : standard_}).first->second;
  }

  std::mutex mutex_;
  rate_limits standard_;
  std::map<std::string, rate_limits> named_;
  std::map<std::string, token_rates> tokens_;
};

} // namespace weir
