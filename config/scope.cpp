#include "config/scope.hpp"

#include <algorithm>
#include <array>

namespace weir {

namespace {

constexpr std::array<bool, 256> allowed_id_bytes() {
  std::array<bool, 256> result{};
  for (unsigned c = 0; c < result.size(); ++c)
    result[c] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  return result;
}

constexpr auto id_bytes = allowed_id_bytes();

} // namespace

std::string_view name_of(scope_kind kind) noexcept {
  return kind == scope_kind::zones ? "zones" : "accounts";
}

bool valid_scope_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= max_scope_id_bytes
         && std::all_of(id.begin(), id.end(), [](char c) { return id_bytes[static_cast<unsigned char>(c)]; });
}

std::optional<scope_name> parse_scope(std::string_view text) noexcept {
  for (auto kind : {scope_kind::zones, scope_kind::accounts}) {
    const auto prefix = name_of(kind);
    if (text.size() > prefix.size() && text.substr(0, prefix.size()) == prefix && text[prefix.size()] == '/') {
      const auto id = text.substr(prefix.size() + 1);
      if (valid_scope_id(id))
        return scope_name{kind, id};
    }
  }
  return std::nullopt;
}

std::uint64_t scope_hash(scope_kind kind, std::string_view id) noexcept {
  // FNV-1a over kind and id, then a final mix so that the upper byte (the part) is even as well.
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325ull;
  const auto eat = [&hash](unsigned char c) { hash = (hash ^ c) * 0x0000'0100'0000'01b3ull; };
  eat(static_cast<unsigned char>(kind));
  for (char c : id)
    eat(static_cast<unsigned char>(c));
  hash ^= hash >> 33;
  hash *= 0xff51'afd7'ed55'8ccdull;
  hash ^= hash >> 33;
  return hash;
}

scope_name split_scope(std::string_view checked) noexcept {
  const auto kind = checked.front() == 'z' ? scope_kind::zones : scope_kind::accounts;
  return {kind, checked.substr(name_of(kind).size() + 1)};
}

} // namespace weir
