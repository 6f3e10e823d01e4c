#pragma once

#include <cstdint>
#include <string_view>

namespace weir::store {

/// CRC-32C (Castagnoli) of `bytes`, going on from `before`: the checksum of a followed by b is
/// `crc32c(b, crc32c(a))`.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0) noexcept;

} // namespace weir::store
