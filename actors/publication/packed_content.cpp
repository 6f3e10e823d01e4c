#include "actors/publication/packed_content.hpp"

#include <zstd.h>

#include <array>
#include <ios>
#include <streambuf>
#include <utility>
#include <vector>

namespace weir {

namespace {

constexpr int compression_level = 1;            // As quick as the disk; higher ones save a tenth.
constexpr std::size_t piece_bytes = 128u << 10; // What zstd recommends for its streams.

class packing_sink : public std::streambuf {
 public:
  packing_sink() : zstd_(ZSTD_createCStream()), piece_(piece_bytes) {
    good_ = zstd_ != nullptr && ZSTD_isError(ZSTD_initCStream(zstd_.get(), compression_level)) == 0;
    setp(piece_.data(), piece_.data() + piece_.size());
  }

  bool finish() { return pack(ZSTD_e_end); }
  std::string take() { return std::move(packed_); }

 private:
  struct end {
    void operator()(ZSTD_CStream* x) const noexcept { ZSTD_freeCStream(x); }
  };

  int_type overflow(int_type c) override {
    if (!pack(ZSTD_e_continue))
      return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof()))
      sputc(traits_type::to_char_type(c));
    return traits_type::not_eof(c);
  }
  int sync() override { return pack(ZSTD_e_continue) ? 0 : -1; }

  bool pack(ZSTD_EndDirective how) {
    ZSTD_inBuffer from{pbase(), static_cast<std::size_t>(pptr() - pbase()), 0};
    std::array<char, 16u << 10> room;
    std::size_t left = 0;
    do {
      ZSTD_outBuffer to{room.data(), room.size(), 0};
      left = good_ ? ZSTD_compressStream2(zstd_.get(), &to, &from, how) : 0;
      good_ = good_ && ZSTD_isError(left) == 0;
      packed_.append(room.data(), to.pos);
    } while (good_ && (from.pos < from.size || (how == ZSTD_e_end && left > 0)));
    setp(piece_.data(), piece_.data() + piece_.size());
    return good_;
  }

  std::unique_ptr<ZSTD_CStream, end> zstd_;
  std::vector<char> piece_;
  std::string packed_;
  bool good_ = false;
};

} // namespace

std::optional<std::string> packed_content(const std::function<bool(std::ostream& into)>& write) {
  packing_sink sink;
  std::ostream into{&sink};
  if (!write(into) || !into || !sink.finish())
    return std::nullopt;
  return sink.take();
}

class unpacking_stream::source : public std::streambuf {
 public:
  explicit source(std::string packed)
      : packed_(std::move(packed)),
        from_{packed_.data(), packed_.size(), 0},
        zstd_(ZSTD_createDStream()),
        piece_(piece_bytes) {
    if (zstd_ == nullptr || ZSTD_isError(ZSTD_initDStream(zstd_.get())) != 0)
      from_.pos = from_.size;
  }

 private:
  struct end {
    void operator()(ZSTD_DStream* x) const noexcept { ZSTD_freeDStream(x); }
  };

  int_type underflow() override {
    ZSTD_outBuffer to{piece_.data(), piece_.size(), 0};
    while (to.pos == 0 && (from_.pos < from_.size || more_)) {
      const auto before = from_.pos;
      const auto left = ZSTD_decompressStream(zstd_.get(), &to, &from_);
      if (ZSTD_isError(left) != 0)
        throw std::ios_base::failure{ZSTD_getErrorName(left)}; // The stream turns it into `badbit`.
      more_ = left > 0 && to.pos == to.size;
      if (to.pos == 0 && from_.pos == before)
        break; // Cut off: the reader finds its file too short.
    }
    if (to.pos == 0)
      return traits_type::eof();
    setg(piece_.data(), piece_.data(), piece_.data() + to.pos);
    return traits_type::to_int_type(*gptr());
  }

  std::string packed_;
  ZSTD_inBuffer from_;
  std::unique_ptr<ZSTD_DStream, end> zstd_;
  std::vector<char> piece_;
  bool more_ = false; ///< zstd had more than there was room for.
};

unpacking_stream::unpacking_stream(std::string packed)
    : std::istream(nullptr), source_(std::make_unique<source>(std::move(packed))) {
  rdbuf(source_.get());
}

unpacking_stream::~unpacking_stream() = default;

} // namespace weir
