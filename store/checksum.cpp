#include "store/checksum.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace weir::store {

std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) noexcept {
  auto crc = ~before;
  // The library counts in int.
  constexpr std::size_t most = std::size_t{1} << 30;
  while (!bytes.empty()) {
    auto part = bytes.substr(0, most);
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(part.data())), static_cast<int>(part.size()),
                      crc);
    bytes.remove_prefix(part.size());
  }
  return ~crc;
}

} // namespace weir::store
