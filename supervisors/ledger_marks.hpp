#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "messages/environment.hpp"
#include "store/ledger.hpp"

namespace weir {

/// The ledger as it was at some moments of the past, each in a file of its own: what `since` counts from.
///
/// A mark is what the store said then, so it is as durable as the accounts themselves, and a kill changes neither.
/// One is made every full hour (wall clock) and whenever an operator asks for one. Kept are all of the last 48 h, then
/// the first of each day (UTC) for 31 days; never more than `most_marks` or `most_bytes` in all, the oldest go first,
/// the newest stays. About 20 B a job and mark. Thread-safe.
class ledger_marks {
 public:
  using time_point = std::chrono::system_clock::time_point;
  struct entry {
    time_point at; ///< Whole seconds.
    std::uint64_t bytes = 0;
  };
  struct mark {
    time_point at;
    store::ledger_totals totals;
  };

  static constexpr std::size_t most_marks = 200;
  static constexpr std::uint64_t most_bytes = 256ull << 20;
  static constexpr std::chrono::hours keep_all{48};
  static constexpr std::chrono::hours keep_daily{31 * 24};

  /// `directory` is made when the first mark is.
  ledger_marks(std::shared_ptr<disk> where, std::string directory);

  /// Whether a full hour began since the newest mark, or there is none.
  bool due(time_point now);
  /// Writes one and removes what is too many. An error in a sentence, or nothing. Several of one second are one.
  std::string make(time_point now, const store::ledger_totals& totals);

  /// Oldest first.
  std::vector<entry> list();
  /// The latest mark at or before `moment`, read and checked; or why there is none.
  struct problem {
    bool missing = false; ///< None is that old; else the file cannot be used.
    std::string text;
  };
  std::variant<mark, problem> at(time_point moment);

 private:
  std::string look();
  std::string path(time_point at) const;
  void prune(time_point now);
  std::string remove(std::size_t index);

  std::shared_ptr<disk> disk_;
  std::string directory_;
  std::mutex mutex_;
  bool looked_ = false;
  std::vector<entry> marks_; // oldest first
};

/// A mark's bytes: docs/ledger.md. Nothing if they are damaged, or of a version this build does not know.
std::string encode_mark(ledger_marks::time_point at, const store::ledger_totals& totals);
std::optional<ledger_marks::mark> decode_mark(std::string_view bytes);

/// `2026-11-22T18:00:00Z`.
std::string render_moment(std::chrono::system_clock::time_point at);
/// What `since` may say: such a moment, seconds since 1970, or an age as `90s`, `15min`, `36h`, `7d`.
std::optional<std::chrono::system_clock::time_point> read_moment(std::string_view text,
                                                                 std::chrono::system_clock::time_point now);

} // namespace weir
