#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// Mailboxes of one role, summed up for metrics and alerts.
struct mailbox_summary {
  std::string role;            ///< The actor's name; a small fixed set, so it may be a label.
  std::uint64_t mailboxes = 0; ///< Actors alive now.
  std::uint64_t depth = 0;     ///< Counted messages waiting in all of them.
  std::uint64_t deepest = 0;   ///< In the fullest of them.
  std::uint64_t limit = 0;     ///< Of the one with the greatest share of its limit used.
  double fullest = 0;          ///< That share; above 1 only while urgent messages use their reserve.
  std::uint64_t refused = 0;   ///< Messages turned away since the process began, by dead actors too.
};

/// How many counted messages wait in one actor's mailbox, and how many may.
///
/// Senders of any thread `admit`, the actor `release`s; both are one atomic operation without a
/// lock. The gauges of a process know each other by role, because CAF builds actors from a config
/// that carries nothing of ours; that list is locked only when an actor begins, ends, or metrics
/// are read.
class mailbox_gauge {
 public:
  /// Far above what credit leaves under way on any edge (64 to 128 bodies at a shard, measured),
  /// and still only some hundred KiB of envelopes: whoever meets it has a missing credit.
  static constexpr std::uint64_t default_limit = 4096;
  /// Messages of high priority pass until this much above the limit, so that an operator or a
  /// supervisor reaches an actor whose mailbox is full.
  static constexpr std::uint64_t urgent_reserve = 64;

  /// `limit` must not be 0.
  mailbox_gauge(std::string_view role, std::uint64_t limit);
  ~mailbox_gauge();
  mailbox_gauge(const mailbox_gauge&) = delete;
  mailbox_gauge& operator=(const mailbox_gauge&) = delete;

  /// Counts a message in, or refuses it (and counts the refusal).
  bool admit(bool urgent) noexcept {
    const auto limit = limit_.load(std::memory_order_relaxed) + (urgent ? urgent_reserve : 0);
    if (depth_.fetch_add(1, std::memory_order_relaxed) < limit)
      return true;
    depth_.fetch_sub(1, std::memory_order_relaxed);
    count_refusal();
    return false;
  }
  /// The message left the mailbox.
  void release() noexcept { depth_.fetch_sub(1, std::memory_order_relaxed); }
  /// It was skipped and went back: it waits again, whatever the limit says.
  void restore() noexcept { depth_.fetch_add(1, std::memory_order_relaxed); }
  /// The actor ended: what still waited was destroyed. From now on the depth reads 0.
  void close() noexcept { closed_.store(true, std::memory_order_relaxed); }
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }

  /// A sender that is about to be refused is counted for an instant, so this may exceed the limit
  /// by the number of threads being refused.
  std::uint64_t depth() const noexcept { return closed() ? 0 : depth_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  void limit(std::uint64_t messages) noexcept { limit_.store(messages, std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  const std::string& role() const noexcept;

  /// All roles that ever had a mailbox, sorted by name. Walks every live gauge under its role's lock.
  static std::vector<mailbox_summary> summarize();

 private:
  struct family;
  struct directory;

  void count_refusal() noexcept;

  std::atomic<std::uint64_t> depth_{0};
  std::atomic<std::uint64_t> limit_;
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<bool> closed_{false};
  family* family_;
  mailbox_gauge* previous_ = nullptr; // the family's list; guarded by its mutex
  mailbox_gauge* next_ = nullptr;
};

} // namespace weir
