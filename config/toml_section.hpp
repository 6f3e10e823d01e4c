#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "config/node_config.hpp"

namespace weir {

/// Bounds of a limit, both included, and why the upper one is what it is.
template <class T>
struct bounds {
  T least;
  T most;
  std::string why = {}; ///< "the machine has 8GiB"; empty: no reason worth a word.
};

/// One table of the file while it is read: typed access by key, problems with their full path, and at
/// the end a problem for each key nobody asked for. Absent keys leave the default untouched.
///
/// Every limit that is read, given or not, goes to `limits` in the order of reading.
class toml_section {
 public:
  /// `table` may be null: the section is not in the file and everything keeps its default.
  toml_section(const toml::table* table, std::string path, loaded_node_config& result)
      : table_(table), path_(std::move(path)), result_(result) {}

  bool there() const noexcept { return table_ != nullptr; }
  bool has(std::string_view key) const { return table_ != nullptr && table_->contains(key); }
  std::string path_of(std::string_view key) const;
  void problem(std::string_view key, std::string what);

  // A value that is wrong leaves the default, so that one mistake makes one problem.
  void text(std::string_view key, std::string& into);
  void flag(std::string_view key, bool& into);
  void texts(std::string_view key, std::vector<std::string>& into, std::string_view example);
  /// A size in bytes, as text: "64KiB".
  void size(std::string_view key, std::uint64_t& into, const bounds<std::uint64_t>& in);
  void count(std::string_view key, std::uint64_t& into, const bounds<std::uint64_t>& in);
  void count(std::string_view key, std::uint32_t& into, const bounds<std::uint64_t>& in);
  /// A share between 0 and 1.
  void share(std::string_view key, double& into, const bounds<double>& in);
  /// A time as text: "30s". `into` counts in whole units of its own.
  template <class Duration>
  void duration(std::string_view key, Duration& into, const bounds<std::chrono::milliseconds>& in) {
    auto time = std::chrono::duration_cast<std::chrono::milliseconds>(into);
    milliseconds(key, time, in);
    into = std::chrono::duration_cast<Duration>(time);
    if (std::chrono::duration_cast<std::chrono::milliseconds>(into) != time)
      problem(key, "must be a whole number of " + std::string{unit_of(Duration{1})});
  }

  toml_section section(std::string_view key);
  /// Calls `visit` for each table of an array of tables, or of a table of tables with its key.
  void each_of_array(std::string_view key, const std::function<void(toml_section&)>& visit);
  void each_of_table(std::string_view key, const std::function<void(const std::string& name, toml_section&)>& visit);

  /// All keys of the table with their nodes, marked as read; for a job, whose keys are checked elsewhere.
  void each(const std::function<void(std::string_view key, const toml::node&)>& visit);

  /// Reports the keys nobody asked for. Call it when the section is read.
  void finish();

 private:
  const toml::node* get(std::string_view key);
  void milliseconds(std::string_view key, std::chrono::milliseconds& into, const bounds<std::chrono::milliseconds>& in);
  void in_force(std::string_view key, std::string value);
  static std::string_view unit_of(std::chrono::milliseconds) { return "milliseconds"; }
  static std::string_view unit_of(std::chrono::seconds) { return "seconds"; }
  static std::string_view unit_of(std::chrono::hours) { return "hours"; }

  const toml::table* table_;
  std::string path_;
  loaded_node_config& result_;
  std::set<std::string, std::less<>> asked_;
};

/// A key as it may be shown: outside letters, digits, `_` and `-` every byte is `?`, and it is cut short.
std::string shown_key(std::string_view key);

/// "a text", "a whole number", …; for messages.
std::string_view kind_of(const toml::node& node);

} // namespace weir
