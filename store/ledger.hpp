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

  /// Whether every accepted event is in exactly one place. It must hold at each instant.
  bool balances() const noexcept {
    return accepted == buffered + delivered + dead_lettered + expired + deleted + set_aside + lost;
  }
};

/// What became of a sender's bodies before any job: received = rejected + not entitled + offered (to
/// at least one job). A body that is repeated whole is answered from the stored answer and counted once.
struct sender_account {
  std::uint64_t received = 0, not_entitled = 0, offered = 0;
  std::array<std::uint64_t, reject_reason_count> rejected{};
};

struct ledger_totals {
  std::map<job_id, job_account> jobs;
  std::map<std::string, sender_account> senders; ///< By the name of their token.

  /// Whether the accounts of all jobs balance.
  bool balances() const noexcept {
    for (const auto& x : jobs)
      if (!x.second.balances())
        return false;
    return true;
  }
};

} // namespace weir::store
