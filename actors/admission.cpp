#include "actors/admission.hpp"

#include <algorithm>

namespace weir {

std::optional<shed_reason> buffer_admission::admit(time_point now) {
  std::lock_guard lock{mutex_};
  if (count_ >= limits_.buffers) {
    ++refused_;
    return shed_reason::buffer_count;
  }
  if (filled_ == time_point{})
    filled_ = now;
  const std::chrono::duration<double> passed = now - filled_;
  filled_ = now;
  const auto most = static_cast<double>(limits_.burst);
  if (tokens_ < most)
    tokens_ = std::min(most, tokens_ + passed.count() * static_cast<double>(limits_.creations_per_second));
  if (tokens_ < 1) {
    ++refused_;
    return shed_reason::creation_rate;
  }
  tokens_ -= 1;
  ++count_;
  return std::nullopt;
}

void buffer_admission::count_existing(std::uint64_t buffers) {
  std::lock_guard lock{mutex_};
  count_ += buffers;
}

void buffer_admission::released(std::uint64_t buffers) {
  std::lock_guard lock{mutex_};
  count_ -= buffers;
}

void buffer_admission::expect(std::uint64_t jobs) {
  std::lock_guard lock{mutex_};
  tokens_ = std::max(tokens_, static_cast<double>(jobs));
}

std::uint64_t buffer_admission::buffers() const {
  std::lock_guard lock{mutex_};
  return count_;
}

std::uint64_t buffer_admission::refused() const {
  std::lock_guard lock{mutex_};
  return refused_;
}

} // namespace weir
