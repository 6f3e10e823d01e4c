#include <algorithm>
#include <utility>

#include "tests/support/fake_disk_state.hpp"

namespace weir {

void fake_disk::crash(std::uint64_t seed, std::optional<pending_fate> fate) {
  std::lock_guard guard(state_->mutex);
  state_->files = state_->files.after_crash(seed, fate);
  ++state_->epoch;
  state_->faults.clear();
  state_->hook = nullptr;
  state_->crash_countdown = 0;
  state_->has_crashed = false;
}

std::shared_ptr<fake_disk> fake_disk::image_after_crash(std::uint64_t seed, std::optional<pending_fate> fate) const {
  std::lock_guard guard(state_->mutex);
  auto image = std::make_shared<fake_disk>(seed);
  image->state_->files = state_->files.after_crash(seed, fate);
  image->state_->capacity = state_->capacity;
  return image;
}

void fake_disk::crash_at(std::uint64_t nth) {
  std::lock_guard guard(state_->mutex);
  state_->crash_countdown = nth;
}

void fake_disk::power_off() {
  std::lock_guard guard(state_->mutex);
  state_->has_crashed = true;
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
  auto found = state_->files.find_file(normal_path(path));
  if (!found || !found->content.flip_bit(offset, bit))
    return false;
  state_->files.count(*found);
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

std::optional<fake_disk::entry> fake_disk::look_up(const std::string& given) const {
  auto path = normal_path(given);
  std::lock_guard guard(state_->mutex);
  if (state_->files.is_directory(path))
    return entry{true, 0};
  if (auto found = state_->files.find_file(path))
    return entry{false, found->content.size()};
  return std::nullopt;
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
  auto found = state_->files.find_file(normal_path(path));
  if (!found)
    return std::nullopt;
  std::string all(found->content.size(), '\0');
  found->content.read(0, all.data(), all.size());
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
