#include "messages/error.hpp"

#include <fmt/format.h>
#include <caf/deep_to_string.hpp>
#include <caf/message.hpp>

namespace weir {

std::string_view name_of(errc code) noexcept {
  switch (code) {
    case errc::none:
      return "none";
    case errc::store_failed:
      return "store_failed";
    case errc::disk_full:
      return "disk_full";
    case errc::corrupt:
      return "corrupt";
    case errc::not_found:
      return "not_found";
    case errc::lease_lost:
      return "lease_lost";
    case errc::refused:
      return "refused";
    case errc::busy:
      return "busy";
  }
  return "unknown";
}

std::string render_error(std::uint8_t code, caf::atom_value, const caf::message& context) {
  return fmt::format("{}{}", name_of(static_cast<errc>(code)), caf::to_string(context));
}

} // namespace weir
