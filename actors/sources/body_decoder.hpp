#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace weir {

/// How a body is packed on the wire.
enum class body_encoding : std::uint8_t { identity, gzip, zstd };

/// Takes one body's encoding off, in steps as small as the room it is given: nothing is unpacked that nobody
/// made room for. Bytes are hostile; a decoder's own memory is bounded and stated.
class body_decoder {
 public:
  struct step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    enum class result { ok, bad, window_too_large } what = result::ok;
  };

  virtual ~body_decoder() = default;

  /// Unpacks from `input` into [out, out + room). Consumes and produces nothing only if it needs more input
  /// or, with `memory_wanted` above what was granted, more memory.
  virtual step feed(std::string_view input, char* out, std::size_t room) = 0;

  /// Whether the body may end here: at least one member or frame, and none begun. Several are taken one behind
  /// the other; other bytes behind them are not.
  virtual bool complete() const = 0;

  /// Bytes of memory it needs to go on, beside the room; known after its first bytes.
  virtual std::uint64_t memory_wanted() const = 0;
  /// Says that `bytes` in all may be used.
  virtual void grant_memory(std::uint64_t bytes) = 0;
};

std::unique_ptr<body_decoder> make_gzip_decoder();
/// `max_window` is the most memory a frame's window may ask for, in bytes.
std::unique_ptr<body_decoder> make_zstd_decoder(std::uint64_t max_window);

/// What the header at the front of a zstd stream says.
struct zstd_front {
  enum class kind { incomplete, frame, skippable, bad } what = kind::incomplete;
  std::uint64_t window = 0; ///< Of a frame, in bytes.
};
zstd_front read_zstd_front(std::string_view input);

} // namespace weir
