#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// Whose events a scope names.
enum class scope_kind : std::uint8_t { zones, accounts };

/// Longest id of a zone or account, in bytes: what the job API allows. Ids are inlined in the
/// forwarding table, so this bounds the size of its rows too.
constexpr std::size_t max_scope_id_bytes = 32;

/// `zones/<id>` taken apart. The id is a view of the text it was parsed from.
struct scope_name {
  scope_kind kind = scope_kind::zones;
  std::string_view id;
};

/// "zones" or "accounts".
std::string_view name_of(scope_kind kind) noexcept;

/// 1 to 32 of `A-Z a-z 0-9 _ -`. Ids become parts of paths and object names, so nothing else passes.
bool valid_scope_id(std::string_view id) noexcept;

/// `zones/<id>` or `accounts/<id>` with a valid id, or nothing.
std::optional<scope_name> parse_scope(std::string_view text) noexcept;

/// The same for a text that `parse_scope` accepted before, without looking at it again.
scope_name split_scope(std::string_view checked) noexcept;

/// 64-bit hash of kind and id that never changes between versions of Weir: parts of the forwarding
/// config and the ownership of scopes follow from it.
std::uint64_t scope_hash(scope_kind kind, std::string_view id) noexcept;

} // namespace weir
