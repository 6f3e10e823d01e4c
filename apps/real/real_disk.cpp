#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <limits>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "apps/real/real_environment.hpp"

namespace weir {
namespace {

std::error_code error_of(int number) {
  return {number, std::generic_category()};
}

/// A descriptor and its end. A failed close is not reported: what must last was synced before, and
/// on Linux the descriptor is gone either way.
class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::error_code open_descriptor(const std::string& path, int flags, int& fd) {
  // A path with a NUL in it would silently name another file.
  if (path.find('\0') != std::string::npos)
    return error_of(EINVAL);
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, (flags & O_EXCL) != 0 ? 0600 : 0640);
  } while (fd < 0 && errno == EINTR);
  return fd < 0 ? error_of(errno) : std::error_code{};
}

bool beyond_file_offsets(std::uint64_t offset, std::uint64_t bytes) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  return offset > most || bytes > most - offset;
}

class real_file final : public disk_file {
 public:
  explicit real_file(descriptor fd) : fd_(std::move(fd)) {}

  std::error_code write(std::uint64_t offset, const std::vector<std::string_view>& pieces) override {
    std::array<iovec, IOV_MAX> vectors;
    std::size_t piece = 0, within = 0;
    while (true) {
      auto used = gather(pieces, piece, within, vectors);
      if (used == 0)
        return {};
      std::uint64_t wanted = 0;
      for (std::size_t i = 0; i < used; ++i)
        wanted += vectors[i].iov_len;
      if (beyond_file_offsets(offset, wanted))
        return error_of(EFBIG);
      auto written = ::pwritev(fd_.get(), vectors.data(), static_cast<int>(used), static_cast<off_t>(offset));
      if (written < 0) {
        if (errno == EINTR)
          continue;
        return error_of(errno);
      }
      if (written == 0)
        return error_of(EIO); // Never for regular files; without this it would be an endless loop.
      offset += static_cast<std::uint64_t>(written);
      advance(pieces, piece, within, static_cast<std::size_t>(written));
    }
  }

  std::error_code read(std::uint64_t offset, char* into, std::size_t size, std::size_t& got) override {
    got = 0;
    if (beyond_file_offsets(offset, size))
      return error_of(EINVAL);
    while (got < size) {
      auto n = ::pread(fd_.get(), into + got, size - got, static_cast<off_t>(offset + got));
      if (n < 0) {
        if (errno == EINTR)
          continue;
        return error_of(errno);
      }
      if (n == 0)
        return {};
      got += static_cast<std::size_t>(n);
    }
    return {};
  }

  // Not repeated on EINTR: Linux's fdatasync does not return it, and repeating would hide a failure.
  std::error_code sync() override { return ::fdatasync(fd_.get()) == 0 ? std::error_code{} : error_of(errno); }

  std::error_code allocate(std::uint64_t size) override {
    if (size == 0)
      return {};
    if (beyond_file_offsets(0, size))
      return error_of(EFBIG);
    int number;
    do {
      number = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(size));
    } while (number == EINTR);
    return number == 0 ? std::error_code{} : error_of(number);
  }

  std::error_code truncate(std::uint64_t size) override {
    if (beyond_file_offsets(0, size))
      return error_of(EFBIG);
    while (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      if (errno != EINTR)
        return error_of(errno);
    return {};
  }

  std::error_code size(std::uint64_t& bytes) override {
    struct stat about {};
    if (::fstat(fd_.get(), &about) != 0)
      return error_of(errno);
    bytes = static_cast<std::uint64_t>(about.st_size);
    return {};
  }

  std::error_code lock() override {
    return ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 ? std::error_code{} : error_of(errno);
  }

 private:
  /// Fills `vectors` from `pieces`, beginning `within` bytes into `piece`; returns how many it used.
  static std::size_t gather(const std::vector<std::string_view>& pieces, std::size_t piece, std::size_t within,
                            std::array<iovec, IOV_MAX>& vectors) {
    std::size_t used = 0;
    for (; piece < pieces.size() && used < vectors.size(); ++piece, within = 0) {
      auto rest = pieces[piece].substr(within);
      if (!rest.empty())
        vectors[used++] = {const_cast<char*>(rest.data()), rest.size()};
    }
    return used;
  }

  static void advance(const std::vector<std::string_view>& pieces, std::size_t& piece, std::size_t& within,
                      std::size_t written) {
    while (written > 0) {
      auto step = std::min(written, pieces[piece].size() - within);
      within += step;
      written -= step;
      if (within == pieces[piece].size()) {
        ++piece;
        within = 0;
      }
    }
  }

  descriptor fd_;
};

std::error_code sync_path(const std::string& directory) {
  int fd = -1;
  if (auto error = open_descriptor(directory, O_RDONLY | O_DIRECTORY, fd))
    return error;
  descriptor opened(fd);
  return ::fsync(opened.get()) == 0 ? std::error_code{} : error_of(errno);
}

std::string parent_of(const std::string& path) {
  auto slash = path.find_last_of('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class real_disk final : public disk {
 public:
  std::error_code open(const std::string& path, open_mode mode, std::unique_ptr<disk_file>& file) override {
    int flags = 0;
    switch (mode) {
      case open_mode::read:
        flags = O_RDONLY;
        break;
      case open_mode::read_write:
        flags = O_RDWR;
        break;
      case open_mode::create:
        flags = O_RDWR | O_CREAT;
        break;
      case open_mode::create_exclusive:
        flags = O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    int fd = -1;
    if (auto error = open_descriptor(path, flags, fd))
      return error;
    descriptor opened(fd);
    struct stat about {};
    if (::fstat(opened.get(), &about) != 0)
      return error_of(errno);
    if (S_ISDIR(about.st_mode))
      return error_of(EISDIR); // O_RDONLY opens directories too; a file was asked for.
    file = std::make_unique<real_file>(std::move(opened));
    return {};
  }

  std::error_code rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? std::error_code{} : error_of(errno);
  }

  std::error_code remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? std::error_code{} : error_of(errno);
  }

  std::error_code make_directories(const std::string& path) override {
    for (std::size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end + 1);
      auto step = path.substr(0, end);
      if (step.empty() || step.back() == '/')
        continue;
      if (::mkdir(step.c_str(), 0750) == 0) {
        if (auto error = sync_path(parent_of(step)))
          return error;
      } else if (errno != EEXIST) {
        return error_of(errno);
      }
    }
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0)
      return error_of(errno);
    return S_ISDIR(about.st_mode) ? std::error_code{} : error_of(ENOTDIR);
  }

  std::error_code list(const std::string& directory, std::vector<std::string>& names) override {
    names.clear();
    auto closer = [](DIR* x) { ::closedir(x); };
    std::unique_ptr<DIR, decltype(closer)> opened(::opendir(directory.c_str()), closer);
    if (!opened)
      return error_of(errno);
    while (true) {
      errno = 0;
      auto* entry = ::readdir(opened.get());
      if (!entry)
        break;
      std::string name = entry->d_name;
      if (name != "." && name != "..")
        names.push_back(std::move(name));
    }
    if (errno != 0)
      return error_of(errno);
    std::sort(names.begin(), names.end());
    return {};
  }

  std::error_code sync_directory(const std::string& directory) override { return sync_path(directory); }

  std::error_code free_space(const std::string& directory, space& result) override {
    struct statvfs about {};
    while (::statvfs(directory.c_str(), &about) != 0)
      if (errno != EINTR)
        return error_of(errno);
    result.total = static_cast<std::uint64_t>(about.f_blocks) * about.f_frsize;
    result.available = static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
    return {};
  }
};

} // namespace

std::shared_ptr<disk> make_real_disk() {
  return std::make_shared<real_disk>();
}

} // namespace weir
