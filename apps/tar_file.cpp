#include "apps/tar_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace weir {

namespace {

constexpr std::size_t block = 512;

} // namespace

struct tar_file::stream {
  gzFile file = nullptr;
};

tar_file::tar_file(const std::string& path) : path_(path), out_(std::make_unique<stream>()) {
  const auto fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    throw std::system_error(errno, std::generic_category(), path);
  out_->file = gzdopen(fd, "wb");
  if (!out_->file) {
    ::close(fd);
    throw std::system_error(ENOMEM, std::generic_category(), path);
  }
}

tar_file::~tar_file() {
  if (out_->file)
    gzclose(out_->file);
}

void tar_file::put(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto some = static_cast<unsigned>(std::min<std::size_t>(bytes.size(), 1 << 20));
    if (gzwrite(out_->file, bytes.data(), some) != static_cast<int>(some))
      throw std::system_error(errno == 0 ? EIO : errno, std::generic_category(), path_);
    bytes.remove_prefix(some);
  }
}

void tar_file::add(const std::string& name, std::string_view content, std::int64_t modified) {
  if (name.empty() || name.size() > 100)
    throw std::invalid_argument("a name of 1 to 100 bytes is needed");
  std::array<char, block> header{};
  const auto field = [&](std::size_t at, std::string_view text) {
    std::memcpy(header.data() + at, text.data(), text.size());
  };
  field(0, name);
  field(100, "0000600");
  field(108, "0000000");
  field(116, "0000000");
  field(124, fmt::format("{:011o}", content.size()));
  field(136, fmt::format("{:011o}", std::max<std::int64_t>(0, modified)));
  field(148, "        "); // the checksum counts as spaces
  field(156, "0");
  field(257, std::string_view{"ustar\0"
                              "00",
                              8});
  unsigned sum = 0;
  for (const auto c : header)
    sum += static_cast<unsigned char>(c);
  field(148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  put({header.data(), header.size()});
  put(content);
  static constexpr char zeros[block] = {};
  if (const auto rest = content.size() % block; rest != 0)
    put({zeros, block - rest});
}

void tar_file::finish() {
  static constexpr char zeros[2 * block] = {};
  put({zeros, sizeof zeros});
  const auto result = gzclose(std::exchange(out_->file, nullptr));
  if (result != Z_OK)
    throw std::system_error(EIO, std::generic_category(), path_);
}

} // namespace weir
