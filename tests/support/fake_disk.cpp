#include "tests/support/fake_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "tests/support/fake_random.hpp"
#include "tests/support/name_tree.hpp"

namespace weir {
namespace {

std::error_code error_of(int number) {
  return {number, std::generic_category()};
}

bool may_change(disk_operation kind) {
  switch (kind) {
    case disk_operation::write:
    case disk_operation::sync:
    case disk_operation::allocate:
    case disk_operation::truncate:
    case disk_operation::rename:
    case disk_operation::remove:
    case disk_operation::make_directories:
    case disk_operation::sync_directory:
      return true;
    default:
      return false;
  }
}

} // namespace

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

  verdict judge(disk_operation kind, const std::string& path, bool change) {
    if (has_crashed)
      return {false, error_of(EIO)};
    if (change)
      ++change_count;
    if (change && crash_countdown > 0 && --crash_countdown == 0) {
      has_crashed = true;
      auto undone = kind == disk_operation::sync || kind == disk_operation::sync_directory
                    || kind == disk_operation::make_directories;
      return {!undone, error_of(EIO)};
    }
    for (auto it = faults.begin(); it != faults.end(); ++it) {
      auto& [what, seen] = *it;
      if (what.kind != kind || path.find(what.path_part) == std::string::npos || ++seen < what.nth)
        continue;
      auto error = error_of(what.error);
      ++struck;
      if (what.times != disk_fault::for_ever && seen - what.nth + 1 >= what.times)
        faults.erase(it);
      return {false, error, true};
    }
    return {};
  }
  verdict judge(disk_operation kind, const std::string& path) { return judge(kind, path, may_change(kind)); }

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

class fake_disk_file final : public disk_file {
 public:
  fake_disk_file(std::shared_ptr<fake_disk::state> owner, name_tree::node_pointer file, std::string path, bool writable)
      : owner_(std::move(owner)),
        file_(std::move(file)),
        path_(std::move(path)),
        writable_(writable),
        epoch_(owner_->epoch) {
    ++file_->handles;
  }
  ~fake_disk_file() override {
    std::lock_guard guard(owner_->mutex);
    --file_->handles;
    if (epoch_ == owner_->epoch)
      owner_->files.count(*file_);
  }

  std::error_code write(std::uint64_t offset, const std::vector<std::string_view>& pieces) override {
    return operate(disk_operation::write, true, [&](const fake_disk::state::verdict& verdict) {
      std::string bytes;
      for (auto piece : pieces)
        bytes += piece;
      if (verdict.faulted)
        bytes.resize(owner_->random.below(bytes.size() + 1));
      else if (!verdict.effect)
        return verdict.answer;
      auto room = owner_->free_pages();
      auto written = file_->content.write(offset, bytes, room);
      return verdict.answer || written == bytes.size() ? verdict.answer : error_of(ENOSPC);
    });
  }

  std::error_code read(std::uint64_t offset, char* into, std::size_t size, std::size_t& got) override {
    got = 0;
    return operate(disk_operation::read, false, [&](const fake_disk::state::verdict& verdict) {
      if (verdict.effect)
        got = file_->content.read(offset, into, size);
      return verdict.answer;
    });
  }

  std::error_code sync() override {
    return operate(disk_operation::sync, false, [&](const fake_disk::state::verdict& verdict) {
      if (verdict.effect && owner_->read_only && file_->content.has_pending())
        return error_of(EROFS);
      if (verdict.faulted)
        file_->content.fail_sync();
      else if (verdict.effect)
        file_->content.sync();
      return verdict.answer;
    });
  }

  std::error_code allocate(std::uint64_t size) override {
    return operate(disk_operation::allocate, true, [&](const fake_disk::state::verdict& verdict) {
      if (!verdict.effect)
        return verdict.answer;
      if (file_->content.pages_to_reserve(size) > owner_->free_pages())
        return error_of(ENOSPC);
      file_->content.reserve(size);
      return verdict.answer;
    });
  }

  std::error_code truncate(std::uint64_t size) override {
    return operate(disk_operation::truncate, true, [&](const fake_disk::state::verdict& verdict) {
      if (verdict.effect)
        file_->content.truncate(size);
      return verdict.answer;
    });
  }

  std::error_code size(std::uint64_t& bytes) override {
    return operate(disk_operation::size, false, [&](const fake_disk::state::verdict& verdict) {
      if (verdict.effect)
        bytes = file_->content.size();
      return verdict.answer;
    });
  }

 private:
  template <class Effect>
  std::error_code operate(disk_operation kind, bool modifies, Effect effect) {
    owner_->announce(kind, path_);
    std::lock_guard guard(owner_->mutex);
    if (epoch_ != owner_->epoch || (modifies && !writable_))
      return error_of(EBADF);
    auto verdict = owner_->judge(kind, path_);
    if (verdict.effect && modifies && owner_->read_only)
      return error_of(EROFS);
    auto answer = effect(verdict);
    owner_->files.count(*file_);
    return answer;
  }

  std::shared_ptr<fake_disk::state> owner_;
  name_tree::node_pointer file_;
  std::string path_;
  bool writable_;
  std::uint64_t epoch_;
};

fake_disk::fake_disk(std::uint64_t seed) : state_(std::make_shared<state>(seed)) {}
fake_disk::~fake_disk() = default;

std::error_code fake_disk::open(const std::string& given, open_mode mode, std::unique_ptr<disk_file>& file) {
  auto path = normal_path(given);
  state_->announce(disk_operation::open, path);
  std::unique_ptr<disk_file> replaced; // What `file` held ends after the lock, which its end takes.
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto found = files.names.find(path);
  auto there = found != files.names.end();
  auto makes = mode == open_mode::create || mode == open_mode::create_exclusive;
  auto verdict = state_->judge(disk_operation::open, path, makes && !there);
  if (!verdict.effect)
    return verdict.answer;
  if (files.directories.count(path) > 0)
    return error_of(EISDIR);
  if (there && mode == open_mode::create_exclusive)
    return error_of(EEXIST);
  if (!there && (!makes || files.directories.count(parent_path(path)) == 0))
    return error_of(ENOENT);
  if (state_->read_only && (mode == open_mode::read_write || makes))
    return error_of(EROFS);
  if (!there) {
    if (state_->free_pages() == 0)
      return error_of(ENOSPC);
    files.make({"", path, std::make_shared<name_tree::node>()});
    found = files.names.find(path);
  }
  if (!verdict.answer) {
    replaced = std::move(file);
    file = std::make_unique<fake_disk_file>(state_, found->second, path, mode != open_mode::read);
  }
  return verdict.answer;
}

std::error_code fake_disk::rename(const std::string& given_from, const std::string& given_to) {
  auto from = normal_path(given_from), to = normal_path(given_to);
  state_->announce(disk_operation::rename, from);
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::rename, from);
  if (!verdict.effect)
    return verdict.answer;
  if (files.directories.count(from) > 0 || files.directories.count(to) > 0)
    return error_of(EISDIR);
  auto found = files.names.find(from);
  if (found == files.names.end() || files.directories.count(parent_path(to)) == 0)
    return error_of(ENOENT);
  if (state_->read_only)
    return error_of(EROFS);
  if (from != to)
    files.make({from, to, found->second});
  return verdict.answer;
}

std::error_code fake_disk::remove(const std::string& given) {
  auto path = normal_path(given);
  state_->announce(disk_operation::remove, path);
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::remove, path);
  if (!verdict.effect)
    return verdict.answer;
  if (files.directories.count(path) > 0)
    return error_of(EISDIR);
  auto found = files.names.find(path);
  if (found == files.names.end())
    return error_of(ENOENT);
  if (state_->read_only)
    return error_of(EROFS);
  files.make({path, "", found->second});
  return verdict.answer;
}

std::error_code fake_disk::make_directories(const std::string& given) {
  auto path = normal_path(given);
  state_->announce(disk_operation::make_directories, path);
  std::lock_guard guard(state_->mutex);
  auto verdict = state_->judge(disk_operation::make_directories, path);
  if (!verdict.effect)
    return verdict.answer;
  std::vector<std::string> missing;
  for (auto step = path; state_->files.directories.count(step) == 0; step = parent_path(step)) {
    if (state_->files.names.count(step) > 0)
      return error_of(ENOTDIR);
    missing.push_back(step);
  }
  if (state_->read_only && !missing.empty())
    return error_of(EROFS);
  state_->files.directories.insert(missing.begin(), missing.end());
  return verdict.answer;
}

std::error_code fake_disk::list(const std::string& given, std::vector<std::string>& names) {
  auto directory = normal_path(given);
  names.clear();
  state_->announce(disk_operation::list, directory);
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::list, directory);
  if (!verdict.effect)
    return verdict.answer;
  if (files.directories.count(directory) == 0)
    return error_of(files.names.count(directory) > 0 ? ENOTDIR : ENOENT);
  auto add = [&](const std::string& path) {
    if (path != directory && parent_path(path) == directory)
      names.push_back(path.substr(path.find_last_of('/') + 1));
  };
  for (auto& [path, file] : files.names)
    add(path);
  for (auto& path : files.directories)
    if (path != "." && path != "/")
      add(path);
  std::sort(names.begin(), names.end());
  return {};
}

std::error_code fake_disk::sync_directory(const std::string& given) {
  auto directory = normal_path(given);
  state_->announce(disk_operation::sync_directory, directory);
  std::lock_guard guard(state_->mutex);
  auto verdict = state_->judge(disk_operation::sync_directory, directory);
  if (!verdict.effect)
    return verdict.answer;
  if (state_->files.directories.count(directory) == 0)
    return error_of(ENOENT);
  auto& pending = state_->files.pending;
  auto due = std::any_of(pending.begin(), pending.end(), [&](auto& x) { return x.touches(directory); });
  if (state_->read_only && due)
    return error_of(EROFS);
  state_->files.sync_directory(directory);
  return {};
}

std::error_code fake_disk::free_space(const std::string& given, space& result) {
  auto directory = normal_path(given);
  state_->announce(disk_operation::free_space, directory);
  std::lock_guard guard(state_->mutex);
  auto verdict = state_->judge(disk_operation::free_space, directory);
  if (!verdict.effect)
    return verdict.answer;
  if (state_->files.directories.count(directory) == 0)
    return error_of(ENOENT);
  result = {state_->capacity, state_->free_pages() * paged_file::page_bytes};
  return {};
}

void fake_disk::crash(std::uint64_t seed) {
  std::lock_guard guard(state_->mutex);
  state_->files = state_->files.after_crash(seed);
  ++state_->epoch;
  state_->faults.clear();
  state_->hook = nullptr;
  state_->crash_countdown = 0;
  state_->has_crashed = false;
}

std::shared_ptr<fake_disk> fake_disk::image_after_crash(std::uint64_t seed) const {
  std::lock_guard guard(state_->mutex);
  auto image = std::make_shared<fake_disk>(seed);
  image->state_->files = state_->files.after_crash(seed);
  image->state_->capacity = state_->capacity;
  return image;
}

void fake_disk::crash_at(std::uint64_t nth) {
  std::lock_guard guard(state_->mutex);
  state_->crash_countdown = nth;
}

bool fake_disk::crashed() const {
  std::lock_guard guard(state_->mutex);
  return state_->has_crashed;
}

void fake_disk::inject(disk_fault fault) {
  std::lock_guard guard(state_->mutex);
  state_->faults.push_back({std::move(fault)});
}

void fake_disk::heal() {
  std::lock_guard guard(state_->mutex);
  state_->faults.clear();
}

std::uint64_t fake_disk::faults_struck() const {
  std::lock_guard guard(state_->mutex);
  return state_->struck;
}

void fake_disk::set_capacity(std::uint64_t bytes) {
  std::lock_guard guard(state_->mutex);
  state_->capacity = bytes;
}

void fake_disk::set_read_only(bool on) {
  std::lock_guard guard(state_->mutex);
  state_->read_only = on;
}

bool fake_disk::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  std::lock_guard guard(state_->mutex);
  auto found = state_->files.names.find(normal_path(path));
  if (found == state_->files.names.end() || !found->second->content.flip_bit(offset, bit))
    return false;
  state_->files.count(*found->second);
  return true;
}

void fake_disk::drop_caches() {
  std::lock_guard guard(state_->mutex);
  for (auto& [path, file] : state_->files.names) {
    file->content.drop_caches();
    state_->files.count(*file);
  }
}

void fake_disk::set_hook(std::function<void(disk_operation, const std::string&)> hook) {
  std::lock_guard guard(state_->mutex);
  state_->hook = std::move(hook);
}

std::uint64_t fake_disk::count(disk_operation kind) const {
  std::lock_guard guard(state_->mutex);
  return state_->counts[static_cast<std::size_t>(kind)];
}

std::uint64_t fake_disk::changes() const {
  std::lock_guard guard(state_->mutex);
  return state_->change_count;
}

std::uint64_t fake_disk::used_bytes() const {
  std::lock_guard guard(state_->mutex);
  return state_->files.used_pages * paged_file::page_bytes;
}

bool fake_disk::has_pending() const {
  std::lock_guard guard(state_->mutex);
  auto& names = state_->files.names;
  return !state_->files.pending.empty()
         || std::any_of(names.begin(), names.end(), [](auto& x) { return x.second->content.has_pending(); });
}

std::optional<std::string> fake_disk::contents(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  auto found = state_->files.names.find(normal_path(path));
  if (found == state_->files.names.end())
    return std::nullopt;
  std::string all(found->second->content.size(), '\0');
  found->second->content.read(0, all.data(), all.size());
  return all;
}

std::optional<std::string> fake_disk::durable_contents(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  auto found = state_->files.durable_names.find(normal_path(path));
  if (found == state_->files.durable_names.end())
    return std::nullopt;
  return found->second->content.durable_contents();
}

} // namespace weir
