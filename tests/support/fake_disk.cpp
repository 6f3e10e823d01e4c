#include <algorithm>
#include <utility>

#include "tests/support/fake_disk_state.hpp"

namespace weir {
namespace {

std::error_code error_of(int number) {
  return {number, std::generic_category()};
}

name_tree::node_pointer new_directory() {
  auto made = std::make_shared<name_tree::node>();
  made->directory = true;
  return made;
}

} // namespace

bool can_change(disk_operation kind) noexcept {
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
  if (files.is_directory(path))
    return error_of(EISDIR);
  if (there && mode == open_mode::create_exclusive)
    return error_of(EEXIST);
  if (!there && (!makes || !files.is_directory(parent_path(path))))
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
  if (files.is_directory(from) || files.is_directory(to))
    return error_of(EISDIR);
  auto found = files.names.find(from);
  if (found == files.names.end() || !files.is_directory(parent_path(to)))
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
  if (files.is_directory(path))
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
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::make_directories, path);
  if (!verdict.effect)
    return verdict.answer;
  std::vector<std::string> missing;
  for (auto step = path; !files.is_directory(step); step = parent_path(step)) {
    if (files.find_file(step))
      return error_of(ENOTDIR);
    missing.push_back(step);
  }
  if (state_->read_only && !missing.empty())
    return error_of(EROFS);
  for (; !missing.empty(); missing.pop_back()) {
    files.make({"", missing.back(), new_directory()});
    files.sync_directory(parent_path(missing.back()));
  }
  return verdict.answer;
}

std::error_code fake_disk::make_directory(const std::string& given) {
  auto path = normal_path(given);
  state_->announce(disk_operation::make_directories, path);
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::make_directories, path);
  if (!verdict.effect)
    return verdict.answer;
  if (files.is_directory(path) || files.find_file(path))
    return error_of(EEXIST);
  if (!files.is_directory(parent_path(path)))
    return error_of(ENOENT);
  if (state_->read_only)
    return error_of(EROFS);
  files.make({"", path, new_directory()});
  return {};
}

std::error_code fake_disk::remove_directory(const std::string& given) {
  auto path = normal_path(given);
  state_->announce(disk_operation::remove, path);
  std::lock_guard guard(state_->mutex);
  auto& files = state_->files;
  auto verdict = state_->judge(disk_operation::remove, path);
  if (!verdict.effect)
    return verdict.answer;
  auto found = files.names.find(path);
  if (found == files.names.end())
    return error_of(files.is_directory(path) ? EBUSY : ENOENT);
  if (!found->second->directory)
    return error_of(ENOTDIR);
  if (!files.is_empty_directory(path))
    return error_of(ENOTEMPTY);
  if (state_->read_only)
    return error_of(EROFS);
  files.make({path, "", found->second});
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
  if (!files.is_directory(directory))
    return error_of(files.names.count(directory) > 0 ? ENOTDIR : ENOENT);
  auto add = [&](const std::string& path) {
    if (path != directory && parent_path(path) == directory)
      names.push_back(path.substr(path.find_last_of('/') + 1));
  };
  for (auto& [path, file] : files.names)
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
  if (!state_->files.is_directory(directory))
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
  if (!state_->files.is_directory(directory))
    return error_of(ENOENT);
  result = {state_->capacity, state_->free_pages() * paged_file::page_bytes};
  return {};
}

} // namespace weir
