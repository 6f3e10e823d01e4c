#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace weir {

/// How much one side of an edge may have under way, and how much it has: bytes and messages.
///
/// Inside a process credit is an object, not a message (ADR 0002): it travels with what it paid for
/// and returns when that is destroyed, whoever destroys it; so the death of an actor cannot leak it.
/// Thread-safe. The lock is taken once per message, never per event.
class credit_window : public std::enable_shared_from_this<credit_window> {
 public:
  struct limits {
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
  };

  explicit credit_window(limits granted) : granted_(granted) {}

  limits granted() const;
  limits used() const;
  /// Changes the grant; what is under way beyond a smaller one drains by itself.
  void grant(limits granted);

 private:
  friend class credit;
  bool take(std::uint64_t bytes);
  void give_back(std::uint64_t bytes);

  mutable std::mutex mutex_;
  limits granted_;
  limits used_;
};

/// A part of a window, given back on destruction. Move-only.
class credit {
 public:
  credit() = default;
  credit(credit&& other) noexcept = default;
  credit& operator=(credit&& other) noexcept;
  ~credit() { release(); }

  /// One message of `bytes`, or nothing when the window is spent. A message larger than the whole
  /// window passes only while nothing else is under way, so that it cannot starve for ever.
  static std::optional<credit> acquire(const std::shared_ptr<credit_window>& window, std::uint64_t bytes);

  std::uint64_t bytes() const noexcept { return bytes_; }
  void release() noexcept;
  /// Holds another one, too, until this one is given back: a share within a whole.
  void also(credit other) { second_ = std::make_unique<credit>(std::move(other)); }

 private:
  std::shared_ptr<credit_window> window_;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<credit> second_;
};

} // namespace weir
