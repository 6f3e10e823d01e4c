#include "store/atomic_file.hpp"

#include "store/segment_files.hpp"

namespace weir::store {

atomic_file::atomic_file(weir::disk& where, std::string directory, std::string name)
    : disk_(where),
      directory_(std::move(directory)),
      path_(directory_ + "/" + name),
      temporary_(path_ + segment_files::temporary_suffix) {}

atomic_file::~atomic_file() {
  if (file_ && !named_) {
    file_.reset();
    disk_.remove(temporary_); // If this fails, the next start removes it.
  }
}

std::error_code atomic_file::write(std::string_view bytes) {
  if (!file_) {
    if (auto error = disk_.open(temporary_, disk::open_mode::create, file_))
      return error;
    if (auto error = file_->truncate(0))
      return error;
  }
  if (auto error = file_->write(offset_, {bytes}))
    return error;
  offset_ += bytes.size();
  return file_->sync();
}

std::error_code atomic_file::finish() {
  if (auto error = disk_.rename(temporary_, path_))
    return error;
  named_ = true;
  return disk_.sync_directory(directory_);
}

} // namespace weir::store
