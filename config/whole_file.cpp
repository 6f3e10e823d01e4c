#include "config/whole_file.hpp"

#include <cerrno>
#include <ostream>
#include <streambuf>
#include <vector>

#include "messages/environment.hpp"

namespace weir {

namespace {

constexpr std::size_t window_bytes = 1u << 20;

std::error_code error_of(int number) {
  return {number, std::generic_category()};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class writing_buffer final : public std::streambuf {
 public:
  explicit writing_buffer(disk_file& into) : file_(into), window_(window_bytes) {
    setp(window_.data(), window_.data() + window_.size());
  }

  /// The first error of the disk, if there was any.
  const std::error_code& error() const noexcept { return error_; }

 protected:
  int_type overflow(int_type next) override {
    if (!write_out())
      return traits_type::eof();
    if (!traits_type::eq_int_type(next, traits_type::eof()))
      sputc(traits_type::to_char_type(next));
    return traits_type::not_eof(next);
  }
  int sync() override { return write_out() ? 0 : -1; }

 private:
  bool write_out() {
    const auto size = static_cast<std::size_t>(pptr() - pbase());
    if (!error_ && size != 0)
      error_ = file_.write(offset_, {std::string_view{pbase(), size}});
    offset_ += size;
    setp(window_.data(), window_.data() + window_.size());
    return !error_;
  }

  disk_file& file_;
  std::vector<char> window_;
  std::uint64_t offset_ = 0;
  std::error_code error_;
};

class reading_buffer final : public std::streambuf {
 public:
  explicit reading_buffer(std::unique_ptr<disk_file> from) : file_(std::move(from)), window_(window_bytes) {}

 protected:
  int_type underflow() override {
    std::size_t got = 0;
    // The standard's way to make a stream bad: its functions catch what a buffer throws.
    if (const auto error = file_->read(offset_, window_.data(), window_.size(), got))
      throw std::system_error(error);
    offset_ += got;
    setg(window_.data(), window_.data(), window_.data() + got);
    return got == 0 ? traits_type::eof() : traits_type::to_int_type(window_.front());
  }

 private:
  std::unique_ptr<disk_file> file_;
  std::vector<char> window_;
  std::uint64_t offset_ = 0;
};

class reading_stream final : public std::istream {
 public:
  explicit reading_stream(std::unique_ptr<disk_file> from) : std::istream(nullptr), buffer_(std::move(from)) {
    rdbuf(&buffer_);
  }

 private:
  reading_buffer buffer_;
};

std::error_code write_new_file(disk& on, const std::string& path, const std::function<bool(std::ostream&)>& write) {
  // What a crash left behind may be readable by others or belong to somebody else.
  if (const auto error = on.remove(path); error && error.value() != ENOENT)
    return error;
  std::unique_ptr<disk_file> file;
  if (const auto error = on.open(path, disk::open_mode::create_exclusive, file))
    return error;
  writing_buffer buffer(*file);
  std::ostream into(&buffer);
  const auto written = write(into);
  into.flush();
  if (buffer.error())
    return buffer.error();
  if (!written || !into)
    return error_of(EIO);
  return file->sync();
}

} // namespace

std::error_code read_whole_file(disk& on, const std::string& path, std::size_t most, std::string& into) {
  std::unique_ptr<disk_file> file;
  if (const auto error = on.open(path, disk::open_mode::read, file))
    return error;
  std::uint64_t size = 0;
  if (const auto error = file->size(size))
    return error;
  if (size > most)
    return error_of(EFBIG);
  into.resize(static_cast<std::size_t>(size));
  std::size_t got = 0;
  if (const auto error = file->read(0, into.data(), into.size(), got))
    return error;
  into.resize(got);
  return {};
}

std::error_code replace_whole_file(disk& on, const std::string& path,
                                   const std::function<bool(std::ostream& into)>& write) {
  const auto directory = directory_of(path);
  if (const auto error = on.make_directories(directory))
    return error;
  const auto fresh = path + ".new";
  auto error = write_new_file(on, fresh, write);
  if (!error)
    error = on.rename(fresh, path);
  if (!error)
    return on.sync_directory(directory);
  on.remove(fresh); // the error that is reported is the first; the leftover is removed at the next try
  return error;
}

std::error_code replace_whole_file(disk& on, const std::string& path, std::string_view text) {
  return replace_whole_file(on, path, [text](std::ostream& into) {
    into.write(text.data(), static_cast<std::streamsize>(text.size()));
    return static_cast<bool>(into);
  });
}

std::unique_ptr<std::istream> open_stream(disk& on, const std::string& path, std::error_code& error) {
  std::unique_ptr<disk_file> file;
  error = on.open(path, disk::open_mode::read, file);
  if (error)
    return nullptr;
  return std::make_unique<reading_stream>(std::move(file));
}

} // namespace weir
