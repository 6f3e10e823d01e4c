#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <caf/atom.hpp>
#include <caf/error.hpp>
#include <caf/make_message.hpp>

namespace weir {

/// A code exists if and only if some caller acts differently on it; detail goes in the context.
enum class errc : std::uint8_t {
  none = 0,
  store_failed, ///< The group was not made durable; the store goes on in a new segment.
  disk_full,    ///< Appends are refused until the disk drains; trims and commits still pass.
  corrupt,      ///< Bytes on disk fail their checksum; they were set aside.
  not_found,    ///< No such job, cut or block here (any more).
  lease_lost,   ///< The cut is no longer the caller's; forget it.
  refused,      ///< The input is not acceptable; the context says why.
  busy,         ///< Try again later.
};

std::string_view name_of(errc code) noexcept;
std::string render_error(std::uint8_t code, caf::atom_value, const caf::message& context);

constexpr caf::atom_value error_category = caf::atom("weir");

template <class... Ts>
caf::error make_error(errc code, Ts&&... context) {
  return {static_cast<std::uint8_t>(code), error_category, caf::make_message(std::forward<Ts>(context)...)};
}

/// The code, or `none` for no error and for errors of other categories. (CAF 0.17.6 has no category
/// to ask for in an error that is none.)
inline errc code_of(const caf::error& x) noexcept {
  return x && x.category() == error_category ? static_cast<errc>(x.code()) : errc::none;
}

} // namespace weir
