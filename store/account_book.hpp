#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "messages/store.pb.h"
#include "store/byte_codec.hpp"
#include "store/job_table.hpp"
#include "store/ledger.hpp"

namespace weir::store {

/// Where events that leave the buffer go.
enum class event_end : std::uint8_t { delivered, dead_lettered, expired, deleted, set_aside, lost };

/// The ledger in memory: 32 bytes a job, more only for jobs with uncommon outcomes. Jobs go by their
/// slot in the index. Not thread-safe.
class account_book {
 public:
  using slot = job_table::slot;

  void accept(slot job, std::uint64_t events);
  /// Events leave the buffer.
  void end(slot job, event_end how, std::uint64_t events);
  /// Accepted events whose block is bad and whose number is known from the gap they leave.
  void accept_damaged(slot job, std::uint64_t events);
  void deliver_object(slot job);

  /// One line of a body's account. `job` is its slot, if the line is about a job.
  void apply(const proto::LedgerDelta& line, std::optional<slot> job);

  std::uint64_t buffered(slot job) const { return job < jobs_.size() ? jobs_[job].buffered : 0; }
  std::uint64_t set_aside(slot job) const;

  job_account account(slot job) const;
  /// Looks at the next `most` jobs' accounts, and at all senders' when a round of them is complete. Returns how many
  /// did not balance in the last complete round, or in this one if that is more already. Short, however many jobs.
  std::uint64_t check_balance(std::size_t most);
  /// Adds the accounts of at most `most` jobs from slot `first` on, by id. Returns where to go on; at `jobs.size()`
  /// that was all.
  slot collect(const job_table& jobs, slot first, slot most, ledger_totals& into) const;
  /// Adds the accounts of all senders.
  void collect_senders(ledger_totals& into) const;

  // -- checkpoints -----------------------------------------------------------------------------

  void save_job(slot job, byte_writer& to) const;
  void load_job(slot job, byte_reader& from);
  std::size_t senders() const { return senders_.size(); }
  void save_sender(std::size_t index, byte_writer& to) const;
  void load_sender(byte_reader& from);
  /// What a sender's account did not have at first.
  void save_sender_more(std::size_t index, byte_writer& to) const;
  void load_sender_more(byte_reader& from);

  std::uint64_t bytes() const;

 private:
  struct rare_account {
    std::uint64_t repeated = 0, filtered = 0, sampled_out = 0;
    std::array<std::uint64_t, shed_reason_count> shed{};
    std::array<std::uint64_t, 6> ended{}; ///< By `event_end`; delivered is not kept here.
  };
  struct compact_account {
    std::uint64_t accepted = 0, buffered = 0, delivered = 0;
    std::uint32_t objects = 0;
    std::uint32_t rare = 0; ///< Index + 1; 0 = none.
  };

  compact_account& at(slot job);
  rare_account& rare(slot job);
  sender_account& sender(const std::string& name);

  std::deque<compact_account> jobs_;
  std::deque<rare_account> rare_;
  std::deque<sender_account> senders_;
  std::deque<std::string> sender_names_;
  std::unordered_map<std::string, std::uint32_t> sender_by_name_; ///< Looked up, never walked.
  slot checked_ = 0;                                              ///< Of this round of `check_balance`.
  std::uint64_t found_ = 0, found_last_ = 0;
};

} // namespace weir::store
