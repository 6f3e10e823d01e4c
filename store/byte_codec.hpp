#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// Numbers as bytes, least significant first, on any machine; and variable-length numbers (seven
/// bits a byte, low first). The reader never reads beyond what it was given.
namespace weir::store {

template <class T>
inline void store_le(char* to, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    to[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <class T>
inline T load_le(const char* from) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(static_cast<std::uint8_t>(from[i])) << (8 * i)));
  return value;
}

constexpr std::uint64_t round_up_8(std::uint64_t x) noexcept {
  return (x + 7) & ~std::uint64_t{7};
}

/// Appends to a string.
class byte_writer {
 public:
  explicit byte_writer(std::string& to) : to_(to) {}

  void u8(std::uint8_t x) { to_.push_back(static_cast<char>(x)); }
  void u32(std::uint32_t x) { fixed(x); }
  void u64(std::uint64_t x) { fixed(x); }
  void varint(std::uint64_t x) {
    for (; x >= 0x80; x >>= 7)
      u8(static_cast<std::uint8_t>(x) | 0x80);
    u8(static_cast<std::uint8_t>(x));
  }
  void text(std::string_view x) {
    varint(x.size());
    to_.append(x);
  }

 private:
  template <class T>
  void fixed(T x) {
    char bytes[sizeof(T)];
    store_le(bytes, x);
    to_.append(bytes, sizeof(T));
  }
  std::string& to_;
};

/// Reads what a `byte_writer` wrote. After the first value that is not there in whole, `ok` is false
/// and every value is zero.
class byte_reader {
 public:
  explicit byte_reader(std::string_view from) : from_(from) {}

  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return from_.empty(); }

  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  std::uint64_t varint() {
    std::uint64_t x = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      auto byte = u8();
      x |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80)
        return ok_ ? x : 0;
    }
    ok_ = false;
    return 0;
  }
  std::string_view text() { return bytes(varint()); }
  std::string_view bytes(std::uint64_t size) {
    if (!ok_ || size > from_.size()) {
      fail();
      return {};
    }
    auto result = from_.substr(0, size);
    from_.remove_prefix(size);
    return result;
  }

 private:
  template <class T>
  T fixed() {
    auto raw = bytes(sizeof(T));
    return raw.size() == sizeof(T) ? load_le<T>(raw.data()) : T{0};
  }
  void fail() {
    ok_ = false;
    from_ = {};
  }

  std::string_view from_;
  bool ok_ = true;
};

} // namespace weir::store
