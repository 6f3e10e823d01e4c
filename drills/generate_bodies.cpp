#include "drills/generate_bodies.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>

namespace weir::generate {

namespace {

constexpr std::string_view file_magic = "WEIRBOD1";
constexpr std::size_t file_header_bytes = 8 + 6 * 8 + 1;
constexpr std::size_t body_header_bytes = 16;
constexpr std::uint32_t max_body_bytes = 1u << 30;

void put_le(std::string& to, std::uint64_t x, int bytes) {
  for (int i = 0; i < bytes; ++i)
    to += static_cast<char>(x >> 8 * i);
}

std::uint64_t get_le(const char*& from, int bytes) noexcept {
  std::uint64_t x = 0;
  for (int i = 0; i < bytes; ++i)
    x |= std::uint64_t{static_cast<std::uint8_t>(*from++)} << 8 * i;
  return x;
}

class rendered_bodies : public body_source {
 public:
  explicit rendered_bodies(const body_plan& plan) : plan_(plan), generator_(plan.what), next_(plan.start) {
    if (plan.body_bytes == 0 || plan.body_bytes > max_body_bytes)
      throw std::invalid_argument("a body must have between 1 byte and 1 GiB");
    if (plan.gzip)
      level_buffer_.resize(ISAL_DEF_LVL1_DEFAULT);
  }

  const body_plan& plan() const noexcept override { return plan_; }

  bool next(ready_body& body) override {
    const auto end = plan_.events == 0 ? std::numeric_limits<std::uint64_t>::max() : plan_.start + plan_.events;
    if (next_ == end)
      return false;
    auto& raw = plan_.gzip ? raw_ : body.bytes;
    raw.clear();
    body.first = next_;
    std::size_t largest = 0;
    do {
      const auto before = raw.size();
      generator_.append(next_++, raw);
      largest = std::max(largest, raw.size() - before);
    } while (next_ != end && raw.size() + largest <= plan_.body_bytes);
    body.count = next_ - body.first;
    if (plan_.gzip)
      pack(body.bytes);
    return true;
  }

 private:
  void pack(std::string& to) {
    to.resize(raw_.size() + raw_.size() / 1024 + 1024);
    isal_deflate_stateless_init(&stream_);
    stream_.gzip_flag = IGZIP_GZIP;
    stream_.end_of_stream = 1;
    stream_.flush = NO_FLUSH;
    stream_.level = 1;
    stream_.level_buf = level_buffer_.data();
    stream_.level_buf_size = static_cast<std::uint32_t>(level_buffer_.size());
    stream_.next_in = reinterpret_cast<std::uint8_t*>(raw_.data());
    stream_.avail_in = static_cast<std::uint32_t>(raw_.size());
    stream_.next_out = reinterpret_cast<std::uint8_t*>(to.data());
    stream_.avail_out = static_cast<std::uint32_t>(to.size());
    if (const auto result = isal_deflate_stateless(&stream_); result != COMP_OK)
      throw std::logic_error(fmt::format("packing a body of {} bytes failed with {}", raw_.size(), result));
    to.resize(stream_.total_out);
  }

  body_plan plan_;
  event_generator generator_;
  std::uint64_t next_;
  std::string raw_;
  std::vector<std::uint8_t> level_buffer_;
  isal_zstream stream_;
};

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct close_file {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

class filed_bodies : public body_source {
 public:
  explicit filed_bodies(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (!file_)
      throw_errno(path);
    std::array<char, file_header_bytes> header;
    if (std::fread(header.data(), 1, header.size(), file_.get()) != header.size()
        || std::string_view{header.data(), file_magic.size()} != file_magic)
      throw std::runtime_error(fmt::format("{} is no file of ready bodies", path));
    const auto* at = header.data() + file_magic.size();
    plan_.what.seed = get_le(at, 8);
    plan_.what.zones = get_le(at, 8);
    const auto zipf = get_le(at, 8);
    std::memcpy(&plan_.what.zipf, &zipf, sizeof zipf);
    plan_.start = get_le(at, 8);
    plan_.events = get_le(at, 8);
    plan_.body_bytes = get_le(at, 8);
    plan_.gzip = get_le(at, 1) != 0;
  }

  const body_plan& plan() const noexcept override { return plan_; }

  bool next(ready_body& body) override {
    std::array<char, body_header_bytes> header;
    const auto got = std::fread(header.data(), 1, header.size(), file_.get());
    if (got == 0 && std::feof(file_.get()))
      return false;
    const auto* at = header.data();
    const auto size = got == header.size() ? get_le(at, 4) : max_body_bytes + 1ull;
    if (size > max_body_bytes)
      throw std::runtime_error(fmt::format("{} is damaged or cut off", path_));
    body.count = get_le(at, 4);
    body.first = get_le(at, 8);
    body.bytes.resize(size);
    if (std::fread(body.bytes.data(), 1, size, file_.get()) != size)
      throw std::runtime_error(fmt::format("{} is cut off inside a body", path_));
    return true;
  }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, close_file> file_;
  body_plan plan_;
};

} // namespace

std::unique_ptr<body_source> make_body_source(const body_plan& plan) {
  return std::make_unique<rendered_bodies>(plan);
}

std::unique_ptr<body_source> open_body_file(const std::string& path) {
  return std::make_unique<filed_bodies>(path);
}

body_file_writer::body_file_writer(const std::string& path, const body_plan& plan)
    : path_(path), file_(std::fopen(path.c_str(), "wb")) {
  if (!file_)
    throw_errno(path);
  std::string header{file_magic};
  std::uint64_t zipf;
  std::memcpy(&zipf, &plan.what.zipf, sizeof zipf);
  for (const auto x : {plan.what.seed, plan.what.zones, zipf, plan.start, plan.events, std::uint64_t{plan.body_bytes}})
    put_le(header, x, 8);
  put_le(header, plan.gzip, 1);
  if (std::fwrite(header.data(), 1, header.size(), file_) != header.size())
    throw_errno(path_);
}

body_file_writer::~body_file_writer() {
  if (file_)
    std::fclose(file_);
}

void body_file_writer::write(const ready_body& body) {
  std::string header;
  put_le(header, body.bytes.size(), 4);
  put_le(header, body.count, 4);
  put_le(header, body.first, 8);
  if (std::fwrite(header.data(), 1, header.size(), file_) != header.size()
      || std::fwrite(body.bytes.data(), 1, body.bytes.size(), file_) != body.bytes.size())
    throw_errno(path_);
}

void body_file_writer::close() {
  if (auto* file = std::exchange(file_, nullptr); std::fclose(file) != 0)
    throw_errno(path_);
}

} // namespace weir::generate
