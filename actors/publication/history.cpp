#include "actors/publication/history.hpp"

#include <sqlite3.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "messages/control.pb.h"

namespace weir {

namespace {

using wall_point = std::chrono::system_clock::time_point;

std::int64_t nanoseconds(wall_point at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

wall_point wall(std::int64_t ns) {
  return wall_point{std::chrono::duration_cast<wall_point::duration>(std::chrono::nanoseconds{ns})};
}

std::optional<version_outcome> outcome_named(std::string_view name) {
  for (auto x : {version_outcome::rolling_out, version_outcome::complete, version_outcome::stopped,
                 version_outcome::interrupted})
    if (name_of(x) == name)
      return x;
  return std::nullopt;
}

constexpr const char* layout =
    "CREATE TABLE IF NOT EXISTS versions("
    "version INTEGER PRIMARY KEY, parent INTEGER NOT NULL, content_hash BLOB NOT NULL, created_ns INTEGER NOT NULL,"
    "finished_ns INTEGER NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL, outcome TEXT NOT NULL, text TEXT NOT NULL,"
    "entries INTEGER NOT NULL, jobs INTEGER NOT NULL, content BLOB);"
    "CREATE TABLE IF NOT EXISTS audit("
    "id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,"
    "version INTEGER NOT NULL, hash TEXT NOT NULL, result TEXT NOT NULL, text TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS held("
    "hash BLOB PRIMARY KEY, difference BLOB NOT NULL, reasons TEXT NOT NULL, text TEXT NOT NULL, parent INTEGER NOT "
    "NULL,"
    "since_ns INTEGER NOT NULL, who TEXT NOT NULL, changes BLOB NOT NULL, rejected INTEGER NOT NULL,"
    "approved_by TEXT, approved_ns INTEGER, expires_ns INTEGER);"
    "CREATE TABLE IF NOT EXISTS frozen("
    "one INTEGER PRIMARY KEY CHECK(one = 1), who TEXT NOT NULL, why TEXT NOT NULL, since_ns INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);";

constexpr const char* version_columns =
    "version, parent, content_hash, created_ns, finished_ns, why, who, outcome, text, entries, jobs, "
    "content IS NOT NULL";

proto::ConfigChanges packed(const change_summary& x) {
  proto::ConfigChanges out;
  const auto put = [](const tenant_change& from, proto::ConfigTenantChange& to) {
    to.set_tenant(from.tenant);
    to.set_added(from.added);
    to.set_removed(from.removed);
    to.set_moved(from.moved);
    to.set_changed(from.changed);
  };
  put(x.in_all, *out.mutable_in_all());
  for (const auto& tenant : x.by_tenant)
    put(tenant, *out.add_by_tenant());
  out.set_tenants(x.tenants);
  return out;
}

change_summary unpacked(const proto::ConfigChanges& x) {
  const auto take = [](const proto::ConfigTenantChange& from) {
    return tenant_change{from.tenant(), from.added(), from.removed(), from.moved(), from.changed()};
  };
  change_summary out;
  out.in_all = take(x.in_all());
  for (const auto& tenant : x.by_tenant())
    out.by_tenant.push_back(take(tenant));
  out.tenants = x.tenants();
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words)
    out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0)
      out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

} // namespace

/// A prepared statement; finalized when it goes. Positions count from 1 for values and from 0 for columns, as in
/// SQLite.
class config_history::statement {
 public:
  statement(config_history& owner, const char* sql) : owner_(owner) {
    if (sqlite3_prepare_v2(owner.db_, sql, -1, &handle_, nullptr) != SQLITE_OK)
      owner.failed("prepare");
  }
  ~statement() { sqlite3_finalize(handle_); }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  statement& bind(std::int64_t x) {
    if (handle_ != nullptr)
      sqlite3_bind_int64(handle_, ++bound_, x);
    return *this;
  }
  statement& bind(std::uint64_t x) { return bind(static_cast<std::int64_t>(x)); }
  statement& bind(std::string_view x) {
    if (handle_ != nullptr)
      sqlite3_bind_text64(handle_, ++bound_, x.data() == nullptr ? "" : x.data(), x.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8);
    return *this;
  }
  statement& bind_blob(std::string_view x) {
    if (handle_ != nullptr)
      sqlite3_bind_blob64(handle_, ++bound_, x.data() == nullptr ? "" : x.data(), x.size(), SQLITE_TRANSIENT);
    return *this;
  }
  statement& bind(const content_hash& x) { return bind_blob({reinterpret_cast<const char*>(x.data()), x.size()}); }
  statement& bind_null() {
    ++bound_;
    return *this;
  }

  /// True on a row.
  bool next() {
    const int result = handle_ == nullptr ? SQLITE_ERROR : sqlite3_step(handle_);
    failed_ = result != SQLITE_ROW && result != SQLITE_DONE;
    if (failed_)
      owner_.failed("step");
    return result == SQLITE_ROW;
  }
  /// For statements without rows.
  bool done() {
    next();
    return !failed_;
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::uint64_t whole(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  bool is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::string_view bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    return {data, data == nullptr ? 0 : static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
  }
  std::string text(int column) const { return std::string{bytes(column)}; }
  content_hash hash(int column) const {
    content_hash out{};
    const auto from = bytes(column);
    std::memcpy(out.data(), from.data(), std::min(from.size(), out.size()));
    return out;
  }

 private:
  config_history& owner_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
  bool failed_ = false;
};

// -- the file -----------------------------------------------------------------------------------

config_history::opened config_history::open(const std::string& path, const history_limits& limits, wall_point now) {
  opened result;
  for (const bool again : {false, true}) {
    std::unique_ptr<config_history> made{new config_history};
    made->limits_ = limits;
    if (path != ":memory:") {
      // SQLite would make it readable for the group; -wal and -shm get the same mode as the file.
      const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      if (file < 0) {
        result.problem = fmt::format("{}: {}", path, std::strerror(errno));
        return result;
      }
      ::close(file);
    }
    const int code = sqlite3_open_v2(path.c_str(), &made->db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    if (code == SQLITE_OK && made->set_up()) {
      result.history = std::move(made);
      result.problem.clear();
      return result;
    }
    const int why = made->db_ == nullptr ? code : sqlite3_extended_errcode(made->db_) & 0xff;
    result.problem = fmt::format("{}: {}", path, made->problem_.empty() ? sqlite3_errstr(code) : made->problem_);
    const bool damaged = made->damaged_ || why == SQLITE_CORRUPT || why == SQLITE_NOTADB;
    made.reset();
    if (again || !damaged || path == ":memory:")
      return result;
    result.set_aside = fmt::format("{}.damaged-{}", path, nanoseconds(now) / 1'000'000'000);
    for (const char* part : {"", "-wal", "-shm"})
      if (std::rename((path + part).c_str(), (result.set_aside + part).c_str()) != 0 && *part == '\0') {
        result.problem = fmt::format("{} is damaged and cannot be renamed: {}", path, std::strerror(errno));
        return result;
      }
  }
  return result;
}

config_history::~config_history() {
  sqlite3_close_v2(db_);
}

bool config_history::set_up() {
  sqlite3_busy_timeout(db_, 2'000); // Someone may look at it with the sqlite3 program.
  for (const char* sql : {"PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"})
    if (!run(sql))
      return false;
  {
    statement check{*this, "PRAGMA integrity_check(1)"};
    if (!check.next())
      return false;
    if (check.text(0) != "ok") {
      damaged_ = true;
      problem_ = check.text(0);
      return false;
    }
  }
  return run(layout);
}

bool config_history::run(const char* sql) {
  return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK || failed(sql);
}

bool config_history::failed(const char* doing) {
  problem_ = fmt::format("{} ({})", sqlite3_errmsg(db_), std::string_view{doing}.substr(0, 60));
  return false;
}

bool config_history::begin() {
  if (depth_ > 0 || run("BEGIN IMMEDIATE")) {
    ++depth_;
    return true;
  }
  return false;
}

bool config_history::commit() {
  if (depth_ == 1 && !run("COMMIT"))
    return false; // `together` undoes it.
  --depth_;
  return true;
}

void config_history::undo() {
  const auto why = problem_;
  if (--depth_ == 0)
    run("ROLLBACK");
  problem_ = why;
}

// -- versions -----------------------------------------------------------------------------------

bool config_history::add_version(const version_row& row, std::string_view content) {
  return together([&] {
    statement add{
        *this,
        "INSERT INTO versions(version, parent, content_hash, created_ns, finished_ns, why, who, outcome, text,"
        "entries, jobs, content) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"};
    add.bind(number(row.version)).bind(number(row.parent)).bind(row.content).bind(nanoseconds(row.created));
    add.bind(nanoseconds(row.finished)).bind(row.why).bind(row.who).bind(name_of(row.outcome)).bind(row.text);
    add.bind(row.entries).bind(row.jobs).bind_blob(content);
    if (!add.done())
      return false;
    statement count{*this,
                    "INSERT INTO counters(name, value) VALUES('last_version', ?1)"
                    "ON CONFLICT(name) DO UPDATE SET value = max(value, ?1)"};
    return count.bind(number(row.version)).done() && drop_old();
  });
}

bool config_history::drop_old() {
  // What is in force must stay, however many attempts were stopped since: it is what the next one returns to.
  constexpr const char* keep = "version IS NOT (SELECT max(version) FROM versions WHERE outcome = 'complete')";
  statement rows{*this, fmt::format("DELETE FROM versions WHERE {} AND version NOT IN (SELECT version FROM versions "
                                    "ORDER BY version DESC LIMIT ?)",
                                    keep)
                            .c_str()};
  if (!rows.bind(limits_.versions).done())
    return false;
  statement contents{*this, fmt::format("UPDATE versions SET content = NULL WHERE {} AND version IN (SELECT version "
                                        "FROM (SELECT version, sum(length(content)) OVER (ORDER BY version DESC) AS "
                                        "bytes, row_number() OVER (ORDER BY version DESC) AS place FROM versions) "
                                        "WHERE bytes > ? AND place > 1)",
                                        keep)
                                .c_str()};
  return contents.bind(limits_.content_bytes).done() && run("PRAGMA incremental_vacuum");
}

bool config_history::finish_version(config_version version, version_outcome outcome, const std::string& text,
                                    wall_point at) {
  statement change{*this, "UPDATE versions SET outcome = ?, text = ?, finished_ns = ? WHERE version = ?"};
  return change.bind(name_of(outcome)).bind(text).bind(nanoseconds(at)).bind(number(version)).done();
}

std::optional<version_row> config_history::one_version(statement& rows) {
  if (!rows.next())
    return std::nullopt;
  version_row row;
  row.version = config_version{rows.whole(0)};
  row.parent = config_version{rows.whole(1)};
  row.content = rows.hash(2);
  row.created = wall(rows.integer(3));
  row.finished = wall(rows.integer(4));
  row.why = rows.text(5);
  row.who = rows.text(6);
  row.outcome = outcome_named(rows.text(7)).value_or(version_outcome::interrupted);
  row.text = rows.text(8);
  row.entries = rows.whole(9);
  row.jobs = rows.whole(10);
  row.has_content = rows.integer(11) != 0;
  return row;
}

std::vector<version_row> config_history::versions(std::size_t limit, config_version before) {
  statement rows{*this,
                 fmt::format("SELECT {} FROM versions WHERE ?1 = 0 OR version < ?1 ORDER BY version DESC LIMIT ?2",
                             version_columns)
                     .c_str()};
  rows.bind(number(before)).bind(std::uint64_t{limit});
  std::vector<version_row> found;
  while (auto row = one_version(rows))
    found.push_back(std::move(*row));
  return found;
}

std::optional<version_row> config_history::version(config_version version) {
  statement rows{*this, fmt::format("SELECT {} FROM versions WHERE version = ?", version_columns).c_str()};
  rows.bind(number(version));
  return one_version(rows);
}

std::optional<std::string> config_history::content(config_version version) {
  statement rows{*this, "SELECT content FROM versions WHERE version = ? AND content IS NOT NULL"};
  if (!rows.bind(number(version)).next())
    return std::nullopt;
  return std::string{rows.bytes(0)};
}

config_version config_history::last_version() {
  statement rows{*this, "SELECT value FROM counters WHERE name = 'last_version'"};
  return rows.next() ? config_version{rows.whole(0)} : config_version{};
}

std::optional<version_row> config_history::in_force_at(wall_point at) {
  for (const char* which : {"finished_ns <= ? ORDER BY version DESC", "finished_ns > ? ORDER BY version"}) {
    statement rows{
        *this, fmt::format("SELECT {} FROM versions WHERE outcome = 'complete' AND {} LIMIT 1", version_columns, which)
                   .c_str()};
    rows.bind(nanoseconds(at));
    if (auto row = one_version(rows))
      return row;
  }
  return std::nullopt;
}

// -- audit --------------------------------------------------------------------------------------

bool config_history::add_audit(const audit_row& row) {
  return together([&] {
    statement add{*this, "INSERT INTO audit(at_ns, who, what, version, hash, result, text) VALUES(?,?,?,?,?,?,?)"};
    add.bind(nanoseconds(row.at)).bind(row.who).bind(row.what).bind(number(row.version)).bind(row.hash);
    if (!add.bind(row.result).bind(row.text).done())
      return false;
    statement old{*this, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?"};
    return old.bind(limits_.audit_rows).done();
  });
}

std::vector<audit_row> config_history::audit(std::size_t limit, std::uint64_t before) {
  statement rows{*this,
                 "SELECT id, at_ns, who, what, version, hash, result, text FROM audit WHERE ?1 = 0 OR id < ?1 "
                 "ORDER BY id DESC LIMIT ?2"};
  rows.bind(before).bind(std::uint64_t{limit});
  std::vector<audit_row> found;
  while (rows.next())
    found.push_back({rows.whole(0), wall(rows.integer(1)), rows.text(2), rows.text(3), config_version{rows.whole(4)},
                     rows.text(5), rows.text(6), rows.text(7)});
  return found;
}

// -- what waits ---------------------------------------------------------------------------------

bool config_history::keep_held(const held_row& row) {
  const auto& x = row.change;
  statement add{*this,
                "INSERT OR REPLACE INTO held(hash, difference, reasons, text, parent, since_ns, who, changes, rejected,"
                "approved_by, approved_ns, expires_ns) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"};
  add.bind(x.hash).bind(row.difference).bind(joined(x.reasons)).bind(x.text).bind(number(x.parent));
  add.bind(nanoseconds(x.since)).bind(x.who).bind_blob(packed(x.changes).SerializeAsString());
  add.bind(std::int64_t{row.rejected});
  if (x.approved)
    add.bind(x.approved->who).bind(nanoseconds(x.approved->at)).bind(nanoseconds(x.approved->expires));
  else
    add.bind_null().bind_null().bind_null();
  return add.done();
}

bool config_history::forget_held(const content_hash& hash) {
  statement remove{*this, "DELETE FROM held WHERE hash = ?"};
  return remove.bind(hash).done();
}

std::vector<config_history::held_row> config_history::held() {
  statement rows{*this,
                 "SELECT hash, difference, reasons, text, parent, since_ns, who, changes, rejected, approved_by,"
                 "approved_ns, expires_ns FROM held ORDER BY since_ns"};
  std::vector<held_row> found;
  while (rows.next()) {
    held_row row;
    auto& x = row.change;
    x.hash = rows.hash(0);
    row.difference = rows.hash(1);
    x.reasons = split(rows.text(2));
    x.text = rows.text(3);
    x.parent = config_version{rows.whole(4)};
    x.since = wall(rows.integer(5));
    x.who = rows.text(6);
    proto::ConfigChanges changes;
    if (changes.ParseFromString(rows.text(7)))
      x.changes = unpacked(changes);
    row.rejected = rows.integer(8) != 0;
    if (!rows.is_null(9))
      x.approved = held_change::approval{rows.text(9), wall(rows.integer(10)), wall(rows.integer(11))};
    found.push_back(std::move(row));
  }
  return found;
}

bool config_history::set_frozen(const std::optional<publication_view::frozen_state>& state) {
  if (!state)
    return run("DELETE FROM frozen");
  statement set{*this, "INSERT OR REPLACE INTO frozen(one, who, why, since_ns) VALUES(1,?,?,?)"};
  return set.bind(state->who).bind(state->why).bind(nanoseconds(state->since)).done();
}

std::optional<publication_view::frozen_state> config_history::frozen() {
  statement rows{*this, "SELECT who, why, since_ns FROM frozen"};
  if (!rows.next())
    return std::nullopt;
  return publication_view::frozen_state{rows.text(0), rows.text(1), wall(rows.integer(2))};
}

} // namespace weir
