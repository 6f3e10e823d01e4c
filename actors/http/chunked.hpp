#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::http {

/// The framing of a chunked body, byte by byte and strict: 1–8 hexadecimal digits and CRLF before each chunk,
/// CRLF behind it, no extensions, no trailer fields. Pure; data is pointed at, never copied.
class chunk_reader {
 public:
  enum class state { more, finished, bad };
  struct step {
    std::size_t consumed = 0; ///< Of the input, data included.
    std::string_view data;    ///< At most one run, within the input; at most `max_data` bytes.
  };

  /// Consumes framing up to the next data and at most one run of that. Without data and with all input
  /// consumed it waits for more, or has ended (`current`).
  step next(std::string_view input, std::size_t max_data);

  state current() const noexcept {
    return at_ == place::end ? state::finished : at_ == place::bad ? state::bad : state::more;
  }
  /// Data bytes of the current chunk that are still to come; 0 between chunks.
  std::uint64_t run_left() const noexcept { return at_ == place::data ? left_ : 0; }
  /// `count` bytes of `run_left()` were read past this object.
  void took(std::uint64_t count) noexcept;

 private:
  enum class place { size, size_end, data, data_cr, data_lf, last_cr, last_lf, end, bad };
  place after_size_digit(char c) noexcept;

  place at_ = place::size;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
};

} // namespace weir::http
