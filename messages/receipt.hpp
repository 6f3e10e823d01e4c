#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messages/ids.hpp"

namespace weir {

/// Why events of a job were turned away before the acknowledgement. The names (see `name_of`) are
/// part of the API: they stand in answers, in the ledger, in metrics and in docs/operations.md.
enum class shed_reason : std::uint8_t {
  job_quota,     ///< The job's byte quota is used up. Lasting.
  buffer_count,  ///< The node holds as many buffers as it may. Lasting.
  creation_rate, ///< Too many new buffers a second. Passing.
  tenant_share,  ///< The tenant's share of memory is used up. Passing.
  memory,        ///< The node's memory budget is used up. Passing.
  no_credit,     ///< The next role takes no more at present. Passing.
  disk_full,     ///< Beyond the watermark at which appends are refused. Passing.
};
constexpr std::size_t shed_reason_count = 7;

std::string_view name_of(shed_reason reason) noexcept;

/// A passing refusal is worth a repeat soon; a lasting one is not.
constexpr bool is_passing(shed_reason reason) noexcept {
  return reason >= shed_reason::creation_rate;
}

/// Why a line was not an event.
enum class reject_reason : std::uint8_t {
  not_json,          ///< Not one complete, valid JSON object.
  too_large,         ///< Longer than `limits.max_event_bytes`.
  too_deep,          ///< Nested deeper than 64 levels.
  no_scope,          ///< Without the dataset's scope field, or that is not a string of 1–32 safe characters.
  scope_twice,       ///< Two scope fields: which one counts would be a guess.
  scope_forbidden,   ///< The token may not send for this scope.
  refused_with_body, ///< A good line of a body that was refused as a whole (`?strict=1`).
};
constexpr std::size_t reject_reason_count = 7;

std::string_view name_of(reject_reason reason) noexcept;

/// What a body's events came to so far. Counts of accepted, repeated, filtered and shed events are
/// per job: an event that two jobs want counts once for each.
struct receipt_outcome {
  bool failed = false;        ///< Some slice was never settled: answer 503, nothing is promised.
  std::uint64_t received = 0; ///< Lines of the body, without empty ones.
  std::uint64_t not_entitled = 0;
  std::uint64_t accepted = 0; ///< On disk now.
  std::uint64_t repeated = 0; ///< Were on disk already under the same batch id.
  std::uint64_t filtered = 0;
  std::array<std::uint64_t, shed_reason_count> shed{};
  std::array<std::uint64_t, reject_reason_count> rejected{};
  struct rejected_line {
    std::uint32_t line = 0; ///< From 1.
    reject_reason reason{};
  };
  std::vector<rejected_line> first_rejected; ///< At most 10.
  std::vector<std::string> retry_scopes;     ///< Those with a passing refusal; at most 1,000.

  std::uint64_t total_shed() const noexcept;
  std::uint64_t total_rejected() const noexcept;
  bool passing_shed() const noexcept;
};

/// One line of the account that a body leaves in the ledger, beside what its blocks say themselves.
struct ledger_entry {
  enum class kind : std::uint8_t {
    received,
    rejected,
    not_entitled,
    offered, // of the sender; job 0
    repeated,
    filtered,
    sampled_out,
    shed,        // of a job
    turned_back, // of the sender: the whole body has to be sent again, and is accounted then
  };
  job_id job{};
  kind what{};
  std::uint8_t reason = 0; ///< `shed_reason` or `reject_reason`.
  std::uint64_t events = 0;
};

/// The promise of one body, shared by all that carry a part of it.
///
/// It starts as *failed*: every ticket must be settled explicitly, and one that is destroyed
/// unsettled (its actor died, its message was dropped) makes the whole body fail. When the last
/// ticket is gone, `done` is called once, on the thread that let it go, and must return at once.
/// A receipt never leaves the process.
class receipt {
 public:
  using completion = std::function<void(receipt&)>;

  explicit receipt(completion done) : done_(std::move(done)) {}
  receipt(const receipt&) = delete;
  receipt& operator=(const receipt&) = delete;

  /// Adds to what the outcome counts. Thread-safe, once per slice or body and never per event.
  void count(const ledger_entry& entry);
  void reject(std::uint32_t line, reject_reason reason);
  void retry(std::string_view scope);

  /// The outcome; complete only in and after `done`.
  receipt_outcome outcome() const;
  /// What the ledger has to be told; equal keys are merged.
  std::vector<ledger_entry> take_entries();

 private:
  friend class ticket;
  void release(bool settled) noexcept;

  std::atomic<std::uint64_t> tickets_{0};
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> repeated_{0};
  mutable std::mutex mutex_; // guards what follows; taken for the uncommon outcomes only
  receipt_outcome outcome_;
  std::vector<ledger_entry> entries_;
  completion done_;
};

/// A part of a receipt: the duty to settle some events of one body. Move-only.
class ticket {
 public:
  ticket() = default;
  /// Every ticket but the first must be drawn while another one is held.
  explicit ticket(std::shared_ptr<receipt> of);
  ticket(ticket&& other) noexcept = default;
  ticket& operator=(ticket&& other) noexcept;
  ~ticket() { drop(); }

  explicit operator bool() const noexcept { return receipt_ != nullptr; }
  receipt& of() const noexcept { return *receipt_; }
  const std::shared_ptr<receipt>& shared() const noexcept { return receipt_; }

  /// The events are on disk.
  void durable(std::uint64_t events);
  /// They were on disk already, under the same batch id.
  void repeated(job_id job, std::uint64_t events);
  /// They were turned away.
  void shed(job_id job, shed_reason reason, std::uint64_t events, std::string_view scope);
  /// Nothing more to say: everything was counted on the receipt itself.
  void settle();

 private:
  void drop() noexcept;
  std::shared_ptr<receipt> receipt_;
};

} // namespace weir
