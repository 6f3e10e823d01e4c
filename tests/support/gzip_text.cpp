#include "tests/support/gzip_text.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

#include <zlib.h>

namespace weir {
namespace {

constexpr int gzip_window = 16 + MAX_WBITS;

/// zlib counts in 32 bits.
uInt next_piece(std::string_view rest) {
  return static_cast<uInt>(std::min<std::size_t>(rest.size(), std::numeric_limits<uInt>::max()));
}

} // namespace

std::optional<std::string> gunzip(std::string_view members, std::size_t most) {
  std::string text;
  z_stream stream{};
  if (inflateInit2(&stream, gzip_window) != Z_OK)
    throw std::runtime_error("zlib does not start");
  std::array<char, 65'536> piece;
  auto code = Z_STREAM_END;
  while (!members.empty() || code == Z_OK) {
    if (code == Z_STREAM_END)
      inflateReset(&stream);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(members.data()));
    stream.avail_in = next_piece(members);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    auto given = stream.avail_in;
    code = inflate(&stream, Z_NO_FLUSH);
    members.remove_prefix(given - stream.avail_in);
    text.append(piece.data(), piece.size() - stream.avail_out);
    auto stuck = code == Z_OK && stream.avail_out == piece.size() && given == stream.avail_in;
    if ((code != Z_OK && code != Z_STREAM_END) || stuck || text.size() > most) {
      inflateEnd(&stream);
      return std::nullopt;
    }
  }
  inflateEnd(&stream);
  return text;
}

std::string gzip(std::string_view text, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("zlib does not start");
  std::string member;
  std::array<char, 65'536> piece;
  auto code = Z_OK;
  while (code == Z_OK) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = next_piece(text);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    auto given = stream.avail_in;
    code = deflate(&stream, given == text.size() ? Z_FINISH : Z_NO_FLUSH);
    text.remove_prefix(given - stream.avail_in);
    member.append(piece.data(), piece.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  return member;
}

} // namespace weir
