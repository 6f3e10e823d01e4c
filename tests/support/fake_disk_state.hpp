#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/fake_disk.hpp"
#include "tests/support/fake_random.hpp"
#include "tests/support/name_tree.hpp"

namespace weir {

/// Whether a power cut can strike at such an operation; openings that make a file are judged apart.
bool can_change(disk_operation kind) noexcept;

/// What a fake disk and its open files share.
struct fake_disk::state {
  explicit state(std::uint64_t seed) : random(seed) {}

  struct scheduled_fault {
    disk_fault what;
    std::uint64_t seen = 0;
  };

  /// How an operation goes on: with its effect or without, and what it answers in the end.
  struct verdict {
    bool effect = true;
    std::error_code answer;
    bool faulted = false;
  };

  void announce(disk_operation kind, const std::string& path) {
    std::function<void(disk_operation, const std::string&)> called;
    {
      std::lock_guard guard(mutex);
      ++counts[static_cast<std::size_t>(kind)];
      called = hook;
    }
    if (called)
      called(kind, path);
  }

  static std::error_code io_error() { return {EIO, std::generic_category()}; }

  verdict judge(disk_operation kind, const std::string& path, bool change) {
    if (has_crashed)
      return {false, io_error()};
    if (change)
      ++change_count;
    if (change && crash_countdown > 0 && --crash_countdown == 0) {
      has_crashed = true;
      auto undone = kind == disk_operation::sync || kind == disk_operation::sync_directory
                    || kind == disk_operation::make_directories;
      return {!undone, io_error()};
    }
    for (auto it = faults.begin(); it != faults.end(); ++it) {
      auto& [what, seen] = *it;
      if (what.kind != kind || path.find(what.path_part) == std::string::npos || ++seen < what.nth)
        continue;
      std::error_code error{what.error, std::generic_category()};
      ++struck;
      if (what.times != disk_fault::for_ever && seen - what.nth + 1 >= what.times)
        faults.erase(it);
      return {false, error, true};
    }
    return {};
  }
  verdict judge(disk_operation kind, const std::string& path) { return judge(kind, path, can_change(kind)); }

  std::uint64_t free_pages() const {
    auto pages = capacity / paged_file::page_bytes;
    return pages > files.used_pages ? pages - files.used_pages : 0;
  }

  mutable std::mutex mutex;
  name_tree files;
  fake_random random;
  std::uint64_t epoch = 0;
  std::uint64_t capacity = 1ull << 40;
  bool read_only = false;
  bool has_crashed = false;
  std::uint64_t crash_countdown = 0;
  std::uint64_t change_count = 0, struck = 0;
  std::vector<scheduled_fault> faults;
  std::array<std::uint64_t, disk_operation_kinds> counts{};
  std::function<void(disk_operation, const std::string&)> hook;
};

} // namespace weir
