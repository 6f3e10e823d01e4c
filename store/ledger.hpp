#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "messages/ids.hpp"
#include "messages/receipt.hpp"
#include "messages/store.pb.h"

namespace weir::store {

/// What became of a job's events. `accepted` comes from block headers and is never counted twice;
/// in flight is a column: accepted = buffered + delivered + dead_lettered + expired + deleted + set_aside + lost.
struct job_account {
  std::uint64_t repeated = 0, filtered = 0, sampled_out = 0;
  std::array<std::uint64_t, shed_reason_count> shed{};
  std::uint64_t accepted = 0, buffered = 0, delivered = 0, dead_lettered = 0, expired = 0, deleted = 0, set_aside = 0,
                lost = 0;
  std::uint64_t delivered_objects = 0;
  std::uint64_t leased = 0; ///< Of `buffered`: in the job's open cut. Of this moment, kept nowhere.

  /// Whether every accepted event is in exactly one place. It must hold at each instant. More events that left the
  /// buffer than ever were in it show as a buffer below zero, which is a very large one.
  bool balances() const noexcept {
    return buffered <= accepted
           && accepted == buffered + delivered + dead_lettered + expired + deleted + set_aside + lost;
  }
};

/// What became of a sender's bodies before any job: received = rejected + not entitled + offered (to
/// at least one job) + turned back. A body that is repeated whole is answered from the stored answer and
/// counted once; one that has to be sent again counts as turned back with each try.
struct sender_account {
  std::uint64_t received = 0, not_entitled = 0, offered = 0, turned_back = 0;
  std::array<std::uint64_t, reject_reason_count> rejected{};

  bool balances() const noexcept {
    auto sum = not_entitled + offered + turned_back;
    for (auto events : rejected)
      sum += events;
    return received == sum;
  }
};

struct ledger_totals {
  std::map<job_id, job_account> jobs;
  std::map<std::string, sender_account> senders; ///< By the name of their token.

  /// Whether all accounts balance.
  bool balances() const noexcept {
    for (const auto& x : jobs)
      if (!x.second.balances())
        return false;
    for (const auto& x : senders)
      if (!x.second.balances())
        return false;
    return true;
  }
};

} // namespace weir::store
