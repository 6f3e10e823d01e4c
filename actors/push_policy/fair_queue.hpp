#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace weir::push_policy {

/// A tenant, numbered by whoever holds its name.
enum class tenant_number : std::uint64_t {};

/// Waiting things, fair over tenants by cost (start-time fair queueing), first in first out within
/// one. A tenant that returns after a pause has no credit for it, so that it cannot crowd out the
/// others; its debt is kept while anybody waits. All calls are O(log n).
class fair_queue {
 public:
  struct item {
    std::uint64_t id = 0; ///< The caller's.
    tenant_number tenant{};
    std::uint64_t cost = 1;  ///< Bytes, or 1 for each.
    std::uint64_t order = 0; ///< Lower goes first within the tenant; unique within this queue.
  };

  void push(const item& x);
  /// Takes the first item of the tenant that has had least, and charges it. Suspended tenants wait.
  std::optional<item> pop();
  /// What `pop` would take.
  std::optional<item> front() const;
  /// Undoes a `pop`: the item is back at its place and nothing was charged.
  void give_back(const item& x);
  /// False if it is not here.
  bool remove(tenant_number tenant, std::uint64_t order);

  /// Leaves a tenant out of `pop` until `resume`. Both answer whether that changed anything.
  bool suspend(tenant_number tenant);
  bool resume(tenant_number tenant);

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  struct lane {
    std::uint64_t start = 0; ///< Virtual time at which its next item starts, in cost.
    bool suspended = false;
    std::map<std::uint64_t, item> items; ///< By order.
  };
  using lane_map = std::unordered_map<std::uint64_t, lane>;

  void enlist(std::uint64_t key, const lane& x);
  void delist(std::uint64_t key, const lane& x);
  void forget_paid_debts();

  lane_map lanes_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> ready_; ///< (start, tenant): has items, not suspended.
  std::set<std::pair<std::uint64_t, std::uint64_t>> debts_; ///< (start, tenant): no items, but served ahead.
  std::uint64_t virtual_time_ = 0;
  std::size_t size_ = 0;
};

} // namespace weir::push_policy
