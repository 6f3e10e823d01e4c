#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/publication/publication_view.hpp"

struct sqlite3;

namespace weir {

/// How much of the past is kept.
struct history_limits {
  std::uint64_t versions = 100; ///< Rows, and contents if they fit.
  /// Of all contents, compressed. A million jobs are about 30 MB a version; the oldest contents go first.
  std::uint64_t content_bytes = 1ull << 30;
  std::uint64_t audit_rows = 100'000; ///< A hundred rows an hour for six weeks.
};

/// The publisher's memory in one SQLite file: the last versions with their content, the audit trail, what is held and
/// approved, whether it is frozen. Every member that changes something has it on disk when it returns
/// (WAL, `synchronous=FULL`), so that a publisher that dies loses nothing.
///
/// The file holds customers' passwords and is for its owner only. One owner, one thread; members block for the disk.
/// A member that fails says so and leaves `problem()`; it changed nothing then.
class config_history {
 public:
  struct opened {
    std::unique_ptr<config_history> history; ///< Null if no file can be made at all; `problem` says why.
    std::string problem;
    std::string set_aside; ///< Where a damaged file went; empty: there was none.
  };

  /// Opens or makes it and checks every page (`integrity_check`). A damaged file is renamed beside itself and a new one
  /// begun: the node goes on from its last known good config. `:memory:` keeps nothing; for tests.
  static opened open(const std::string& path, const history_limits& limits, std::chrono::system_clock::time_point now);
  ~config_history();
  config_history(const config_history&) = delete;
  config_history& operator=(const config_history&) = delete;

  /// Of the last call that failed.
  const std::string& problem() const noexcept { return problem_; }

  // -- versions -------------------------------------------------------------------------------

  /// A version about to be offered, with its content (`packed_content`). Drops what is beyond the limits.
  bool add_version(const version_row& row, std::string_view content);
  bool finish_version(config_version version, version_outcome outcome, const std::string& text,
                      std::chrono::system_clock::time_point at);
  /// Newest first; `before` 0: from the newest.
  std::vector<version_row> versions(std::size_t limit, config_version before = {});
  std::optional<version_row> version(config_version version);
  /// As it was given; nothing if it is not kept.
  std::optional<std::string> content(config_version version);
  /// The highest version ever given, kept or not.
  config_version last_version();
  /// What was in force at `at`: the last version completed by then, else the first completed since.
  std::optional<version_row> in_force_at(std::chrono::system_clock::time_point at);

  // -- audit ----------------------------------------------------------------------------------

  bool add_audit(const audit_row& row);
  /// Newest first; `before` 0: from the newest.
  std::vector<audit_row> audit(std::size_t limit, std::uint64_t before = 0);

  // -- what waits -----------------------------------------------------------------------------

  /// A held change and what tells that it is the same one when it is seen again.
  struct held_row {
    held_change change;
    content_hash difference{}; ///< Of the held jobs and what would become of them.
    bool rejected = false;     ///< An operator said no: it waits for nothing and is not shown as waiting.
  };
  /// Adds it, or replaces the one of the same hash, with its approval.
  bool keep_held(const held_row& row);
  bool forget_held(const content_hash& hash);
  std::vector<held_row> held();

  bool set_frozen(const std::optional<publication_view::frozen_state>& state);
  std::optional<publication_view::frozen_state> frozen();

  /// Several changes as one: all or none. `work` returns false to undo.
  template <class Work>
  bool together(Work&& work) {
    if (!begin())
      return false;
    if (work() && commit())
      return true;
    undo();
    return false;
  }

 private:
  class statement;

  config_history() = default;
  bool set_up();
  bool run(const char* sql);
  bool failed(const char* doing);
  bool begin();
  bool commit();
  void undo();
  bool drop_old();
  std::optional<version_row> one_version(statement& rows);

  sqlite3* db_ = nullptr;
  history_limits limits_;
  std::string problem_;
  int depth_ = 0;        // of transactions
  bool damaged_ = false; // found by the integrity check
};

} // namespace weir
