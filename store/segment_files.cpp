#include "store/segment_files.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::store {

std::string segment_files::segment_name(std::uint16_t number) {
  return fmt::format("segment-{:05}.log", number);
}
std::string segment_files::sidecar_name(std::uint32_t segment) {
  return fmt::format("index-{:010}.idx", segment);
}
std::string segment_files::checkpoint_name(std::uint32_t number) {
  return fmt::format("checkpoint-{:010}.ckp", number);
}

std::optional<std::uint32_t> segment_files::number_in(const std::string& name, const std::string& prefix,
                                                      const std::string& suffix) {
  if (name.size() <= prefix.size() + suffix.size() || name.size() > prefix.size() + suffix.size() + 10
      || name.compare(0, prefix.size(), prefix) != 0
      || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
    return std::nullopt;
  std::uint64_t value = 0;
  for (auto i = prefix.size(); i < name.size() - suffix.size(); ++i) {
    if (name[i] < '0' || name[i] > '9')
      return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(name[i] - '0');
  }
  if (value > 0xffffffffull)
    return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

std::size_t segment_files::count() const {
  return static_cast<std::size_t>(
      std::count_if(files_.begin(), files_.end(), [](const segment_file& x) { return x.exists; }));
}

std::size_t segment_files::count_free() const {
  return static_cast<std::size_t>(
      std::count_if(files_.begin(), files_.end(), [](const segment_file& x) { return x.exists && x.segment == 0; }));
}

std::optional<std::uint16_t> segment_files::find(std::uint32_t segment) const {
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (files_[i].exists && files_[i].segment == segment)
      return static_cast<std::uint16_t>(i);
  return std::nullopt;
}

void segment_files::found(std::uint16_t number) {
  if (number >= files_.size())
    files_.resize(number + std::size_t{1});
  files_[number].exists = true;
}

void segment_files::close_some() {
  for (std::size_t i = 0; i < files_.size() && open_ >= most_open; ++i) {
    close_next_ = (close_next_ + 1) % files_.size();
    auto& x = files_[close_next_];
    if (x.handle && (x.sealed || x.segment == 0)) {
      x.handle.reset(); // Readers that hold it go on.
      --open_;
    }
  }
}

void segment_files::close_all() {
  for (auto& x : files_)
    x.handle.reset();
  open_ = 0;
}

std::error_code segment_files::open(std::uint16_t number, std::shared_ptr<disk_file>& handle, purpose why) {
  auto& x = files_[number];
  const bool to_write = why == purpose::writing;
  if (!x.handle || (to_write && !x.writable)) {
    if (!x.handle)
      close_some();
    std::unique_ptr<disk_file> opened;
    const auto mode = to_write ? disk::open_mode::read_write : disk::open_mode::read;
    if (auto error = disk_->open(path(segment_name(number)), mode, opened))
      return error;
    open_ += x.handle ? 0 : 1;
    x.handle = std::move(opened);
    x.writable = to_write;
  }
  handle = x.handle;
  return {};
}

std::optional<std::uint16_t> segment_files::first_free() const {
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (files_[i].exists && files_[i].segment == 0 && files_[i].pins == 0)
      return static_cast<std::uint16_t>(i);
  return std::nullopt;
}

std::error_code segment_files::create(std::uint16_t& number) {
  std::size_t vacant = 0;
  while (vacant < files_.size() && files_[vacant].exists)
    ++vacant;
  if (vacant >= most_files)
    return std::make_error_code(std::errc::no_space_on_device);
  number = static_cast<std::uint16_t>(vacant);
  auto name = path(segment_name(number));
  std::unique_ptr<disk_file> file;
  auto error = disk_->open(name, disk::open_mode::create, file);
  if (!error) {
    error = file->allocate(segment_bytes_);
    if (!error)
      error = file->sync();
    if (!error)
      error = disk_->sync_directory(directory_);
    if (error) {
      file.reset();
      disk_->remove(name); // If even this fails, the next start finds a free file, perhaps a short one.
    }
  }
  if (error)
    return error;
  found(number);
  files_[number] = segment_file{};
  files_[number].exists = true;
  return {};
}

std::error_code segment_files::remove(std::uint16_t number) {
  if (auto error = disk_->remove(path(segment_name(number))))
    return error;
  if (files_[number].handle)
    --open_;
  files_[number] = segment_file{};
  return {};
}

} // namespace weir::store
