#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/paged_file.hpp"

namespace weir {

/// The path without `.`, `..` and doubled slashes; `.` if nothing is left.
std::string normal_path(const std::string& path);
/// `.` for a bare name, `/` for what lies at the root.
std::string parent_path(const std::string& path);

/// The names of a `fake_disk`: what programs see, what the medium holds, and the changes between in
/// their order. Not thread-safe. Paths must be normal.
struct name_tree {
  struct node {
    paged_file content;
    std::uint64_t handles = 0;
    bool named = true;
    bool directory = false;
    std::uint64_t counted_pages = 0; ///< Its part of `used_pages`.
  };
  using node_pointer = std::shared_ptr<node>;

  /// A creation (`from` empty), rename, or removal (`to` empty) that is not durable yet.
  struct change {
    std::string from, to;
    node_pointer what;

    bool touches(const std::string& directory) const;
    void apply(std::map<std::string, node_pointer>& names) const;
  };

  std::map<std::string, node_pointer> names, durable_names;
  std::vector<change> pending;
  std::uint64_t used_pages = 0;

  /// `/` and `.` are directories without a node.
  bool is_directory(const std::string& path) const;
  /// None if there is no such name, or it is a directory.
  node_pointer find_file(const std::string& path) const;
  bool is_empty_directory(const std::string& path) const;
  void make(change next);
  /// Brings `used_pages` up to date after `x` grew, shrank or ended.
  void count(node& x);
  /// Makes the changes in `directory` durable, and those elsewhere that they rest upon.
  void sync_directory(const std::string& directory);
  /// The mode is drawn from the seed unless given.
  name_tree after_crash(std::uint64_t seed, std::optional<paged_file::crash_mode> given = {}) const;

 private:
  static void drop_unreachable(std::map<std::string, node_pointer>& names);
  void unname(const std::string& path);
};

} // namespace weir
