#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <simdjson.h>

/// What scanner and renderer of events share: the places of a text's structure, and the walk that
/// checks the grammar of RFC 8259 over them. Included by these two only.
namespace weir::json_structure {

using byte = std::uint8_t;

/// Enough lines at once that simdjson's start and end cost nothing, few enough to stay in the cache.
inline constexpr std::size_t chunk_bytes = 64 * 1024;

inline constexpr std::uint32_t no_structural = ~std::uint32_t{0};

constexpr bool is_space(byte c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
constexpr bool is_digit(byte c) noexcept {
  return static_cast<byte>(c - '0') < 10;
}
/// What may stand right behind a number or a literal.
constexpr bool ends_scalar(byte c) noexcept {
  return c == ',' || c == '}' || c == ']' || is_space(c);
}

constexpr bool is_scope_character(byte c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-';
}

inline bool is_literal(const byte* at, const char* text, std::size_t size) noexcept {
  return std::memcmp(at, text, size) == 0 && ends_scalar(at[size]);
}

/// The grammar of RFC 8259, section 6, up to and including what follows. Ends at the latest at the
/// byte behind the number, which exists: the object around it must still close.
inline bool is_number(const byte* at) noexcept {
  at += *at == '-';
  if (*at == '0') {
    ++at;
  } else {
    if (!is_digit(*at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  if (*at == '.') {
    if (!is_digit(*++at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  if (*at == 'e' || *at == 'E') {
    ++at;
    at += *at == '+' || *at == '-';
    if (!is_digit(*at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  return ends_scalar(*at);
}

/// The value of four hexadecimal digits, or more than 0xffff.
inline std::uint32_t hex4(const byte* at) noexcept {
  std::uint32_t x = 0;
  for (int i = 0; i < 4; ++i) {
    const auto c = at[i];
    const auto lower = static_cast<byte>(c | 0x20);
    if (is_digit(c))
      x = x << 4 | (c - '0');
    else if (lower >= 'a' && lower <= 'f')
      x = x << 4 | (lower - 'a' + 10);
    else
      return 0x10000;
  }
  return x;
}

constexpr bool is_high_surrogate(std::uint32_t x) noexcept {
  return x >= 0xd800 && x < 0xdc00;
}
constexpr bool is_low_surrogate(std::uint32_t x) noexcept {
  return x >= 0xdc00 && x < 0xe000;
}

/// Bytes of the escape at `at` (which holds the backslash) inside a closed string, 0 if it is none.
/// Never reads behind the closing quote: that is no hexadecimal digit and no backslash.
inline std::size_t escape_bytes(const byte* at) noexcept {
  switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return 2;
    case 'u':
      break;
    default:
      return 0;
  }
  const auto unit = hex4(at + 2);
  if (unit > 0xffff || is_low_surrogate(unit))
    return 0;
  if (!is_high_surrogate(unit))
    return 6;
  return at[6] == '\\' && at[7] == 'u' && is_low_surrogate(hex4(at + 8)) ? 12 : 0;
}

/// Whether all escapes in a line are good whose backslashes all stand in strings.
inline bool good_escapes(const byte* at, const byte* end) noexcept {
  while ((at = static_cast<const byte*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at))))) {
    const auto size = escape_bytes(at);
    if (size == 0)
      return false;
    at += size;
  }
  return true;
}

inline void append_utf8(std::string& out, std::uint32_t x) {
  if (x < 0x80) {
    out += static_cast<char>(x);
  } else if (x < 0x800) {
    out += static_cast<char>(0xc0 | x >> 6);
    out += static_cast<char>(0x80 | (x & 0x3f));
  } else if (x < 0x10000) {
    out += static_cast<char>(0xe0 | x >> 12);
    out += static_cast<char>(0x80 | (x >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (x & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | x >> 18);
    out += static_cast<char>(0x80 | (x >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (x >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (x & 0x3f));
  }
}

/// What a key with escapes means. Nothing if an escape is bad.
inline std::optional<std::string> unescape(const byte* at, const byte* end) {
  std::string text;
  while (at < end) {
    if (*at != '\\') {
      text += static_cast<char>(*at++);
      continue;
    }
    const auto size = escape_bytes(at);
    switch (size) {
      case 0:
        return std::nullopt;
      case 2: {
        constexpr std::string_view names = "bfnrt", values = "\b\f\n\r\t";
        const auto c = static_cast<char>(at[1]);
        const auto i = names.find(c);
        text += i == names.npos ? c : values[i];
        break;
      }
      case 6:
        append_utf8(text, hex4(at + 2));
        break;
      default:
        append_utf8(text, 0x10000 + ((hex4(at + 2) - 0xd800) << 10) + (hex4(at + 8) - 0xdc00));
        break;
    }
    at += size;
  }
  return text;
}

/// Finds the places of a text's structure: brackets, colons, commas, and the first byte of each
/// string, number or literal. simdjson's first stage, and nothing of its second.
class structure_index {
 public:
  enum class result : std::uint8_t { ok, empty, bad };

  /// `bad` if a string is open at the end or holds a control character (a line end is one), or if
  /// the text is not UTF-8. Nothing behind the text is read.
  result build(const byte* text, std::size_t size) {
    if (size == 0)
      return result::empty;
    if (size > capacity_)
      grow(size);
    switch (parser_->stage1(text, size, simdjson::stage1_mode::regular)) {
      case simdjson::SUCCESS:
        break;
      case simdjson::EMPTY:
        return result::empty;
      default:
        return result::bad;
    }
    // A walk looks at most three places ahead; simdjson leaves room for nine.
    std::fill_n(parser_->structural_indexes.get() + parser_->n_structural_indexes, 4, no_structural);
    return result::ok;
  }

  const std::uint32_t* places() const noexcept { return parser_->structural_indexes.get(); }

 private:
  void grow(std::size_t size) {
    capacity_ = std::max(size, chunk_bytes);
    parser_.reset();
    const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(capacity_, 1, parser_);
    if (error)
      throw std::runtime_error(fmt::format("no JSON index for {} bytes: {}", size, simdjson::error_message(error)));
  }

  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  std::size_t capacity_ = 0;
};

enum class walk_result : std::uint8_t { ok, bad, too_deep };

/// Checks the grammar of one line over its places. `p` moves from place to place and is only looked
/// at where it lies in the line, so no line can make another one's bytes part of it.
struct line_walk {
  const byte* base;  ///< What places count from.
  std::uint32_t end; ///< Of the line.
  const std::uint32_t* p;
  unsigned max_depth;

  /// At a string, number or literal. Strings are closed and free of control characters already.
  bool at_good_scalar() const noexcept {
    const auto* at = base + *p;
    switch (*at) {
      case '"':
        return true;
      case 't':
        return is_literal(at, "true", 4);
      case 'f':
        return is_literal(at, "false", 5);
      case 'n':
        return is_literal(at, "null", 4);
      default:
        return is_number(at);
    }
  }

  /// From the first place of a value, which is not the last of the line, to the one behind it.
  walk_result value(unsigned depth) {
    switch (base[*p]) {
      case '{':
        return object(depth + 1, [](auto...) {});
      case '[':
        return array(depth + 1);
      default:
        break;
    }
    if (!at_good_scalar())
      return walk_result::bad;
    ++p;
    return walk_result::ok;
  }

  /// From '{' to behind its '}'. `on_field` gets the places of key, colon, value and what follows.
  template <class OnField>
  walk_result object(unsigned depth, OnField&& on_field) {
    if (depth > max_depth)
      return walk_result::too_deep;
    ++p;
    if (*p >= end)
      return walk_result::bad;
    if (base[*p] == '}') {
      ++p;
      return walk_result::ok;
    }
    for (;;) {
      if (p[3] >= end || base[p[0]] != '"' || base[p[1]] != ':')
        return walk_result::bad;
      const auto* field = p;
      p += 2;
      if (const auto result = value(depth); result != walk_result::ok)
        return result;
      if (*p >= end)
        return walk_result::bad;
      on_field(field[0], field[1], field[2], *p);
      const auto c = base[*p++];
      if (c == '}')
        return walk_result::ok;
      if (c != ',')
        return walk_result::bad;
    }
  }

  /// From '[' to behind its ']'.
  walk_result array(unsigned depth) {
    if (depth > max_depth)
      return walk_result::too_deep;
    ++p;
    if (*p >= end)
      return walk_result::bad;
    if (base[*p] == ']') {
      ++p;
      return walk_result::ok;
    }
    for (;;) {
      if (p[0] >= end || p[1] >= end)
        return walk_result::bad;
      if (const auto result = value(depth); result != walk_result::ok)
        return result;
      if (*p >= end)
        return walk_result::bad;
      const auto c = base[*p++];
      if (c == ']')
        return walk_result::ok;
      if (c != ',')
        return walk_result::bad;
    }
  }
};

/// The characters between the quotes of the key at `key`, whose colon is at `colon`.
inline std::string_view key_text(const byte* base, std::uint32_t key, std::uint32_t colon) noexcept {
  auto last = colon - 1;
  while (base[last] != '"')
    --last;
  return {reinterpret_cast<const char*>(base) + key + 1, last - key - 1};
}

} // namespace weir::json_structure
