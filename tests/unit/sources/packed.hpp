#pragma once

#include <zlib.h>
#include <zstd.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace weir {

/// One gzip member, made by zlib: another hand than the one that unpacks it.
inline std::string gzip(std::string_view text, int level = 6) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const auto code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END)
    throw std::runtime_error("deflate");
  return out;
}

/// One zstd frame. With `window_bits` the frame is streamed, so that its header names a window of that size.
inline std::string zstd(std::string_view text, int window_bits = 0) {
  auto* context = ZSTD_createCCtx();
  if (window_bits > 0)
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_bits);
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer first{text.data(), text.size() / 2, 0};
  ZSTD_inBuffer second{text.data() + first.size, text.size() - first.size, 0};
  if (window_bits > 0)
    ZSTD_compressStream2(context, &to, &first, ZSTD_e_flush);
  else
    second = {text.data(), text.size(), 0};
  ZSTD_compressStream2(context, &to, &second, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

/// Lines that look like events and are all different.
inline std::string events(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text +=
        "{\"ZoneID\":\"z" + std::to_string(i % 7) + "\",\"RayID\":\"" + std::to_string(i * 2'654'435'761u) + "\"}\n";
  return text;
}

} // namespace weir
