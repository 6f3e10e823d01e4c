#include "messages/credit.hpp"

namespace weir {

credit_window::limits credit_window::granted() const {
  std::lock_guard lock{mutex_};
  return granted_;
}

credit_window::limits credit_window::used() const {
  std::lock_guard lock{mutex_};
  return used_;
}

void credit_window::grant(limits granted) {
  std::lock_guard lock{mutex_};
  granted_ = granted;
}

bool credit_window::take(std::uint64_t bytes) {
  std::lock_guard lock{mutex_};
  const bool fits = used_.bytes + bytes <= granted_.bytes && used_.messages < granted_.messages;
  const bool alone = used_.messages == 0 && granted_.messages > 0;
  if (!fits && !alone)
    return false;
  used_.bytes += bytes;
  ++used_.messages;
  return true;
}

void credit_window::give_back(std::uint64_t bytes) {
  std::lock_guard lock{mutex_};
  used_.bytes -= bytes;
  --used_.messages;
}

std::optional<credit> credit::acquire(const std::shared_ptr<credit_window>& window, std::uint64_t bytes) {
  if (!window->take(bytes))
    return std::nullopt;
  credit taken;
  taken.window_ = window;
  taken.bytes_ = bytes;
  return taken;
}

credit& credit::operator=(credit&& other) noexcept {
  if (this != &other) {
    release();
    window_ = std::move(other.window_);
    bytes_ = other.bytes_;
    second_ = std::move(other.second_);
  }
  return *this;
}

void credit::release() noexcept {
  if (auto window = std::move(window_))
    window->give_back(bytes_);
  second_.reset();
}

} // namespace weir
