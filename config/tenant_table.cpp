#include "config/tenant_table.hpp"

namespace weir {

std::uint32_t tenant_table::row_of(scope_kind kind, std::string_view id) const noexcept {
  const auto prefix = name_of(kind);
  return index_.find(scope_hash(kind, id), [&](std::uint32_t row) {
    const auto have = text(scopes_[row].name);
    return have.size() == prefix.size() + 1 + id.size() && have.substr(prefix.size() + 1) == id
           && have.substr(0, prefix.size()) == prefix;
  });
}

std::uint32_t tenant_table::add_row(scope_kind kind, std::string_view id) {
  const auto row = static_cast<std::uint32_t>(scopes_.size());
  const auto prefix = name_of(kind);
  scope_row x;
  x.name.size = static_cast<std::uint32_t>(prefix.size() + 1 + id.size());
  x.name.offset = arena_.add(prefix, std::string_view{"/"}, id);
  scopes_.push_back(x);
  index_.insert(scope_hash(kind, id), row);
  return row;
}

std::optional<tenant_index> tenant_table::owner_of(scope_kind kind, std::string_view id) const noexcept {
  const auto row = row_of(kind, id);
  if (row == flat_index::npos)
    return std::nullopt;
  return scopes_[row].tenant;
}

std::string_view tenant_table::scope_text(scope_kind kind, std::string_view id) const noexcept {
  const auto row = row_of(kind, id);
  return row == flat_index::npos ? std::string_view{} : text(scopes_[row].name);
}

std::optional<tenant_index> tenant_table::find(std::string_view name) const noexcept {
  const auto scope = parse_scope(name);
  if (!scope)
    return std::nullopt;
  const auto owner = owner_of(scope->kind, scope->id);
  return owner && this->name(*owner) == name ? owner : std::nullopt;
}

tenant_index tenant_table::own(scope_kind kind, std::string_view id) {
  auto row = row_of(kind, id);
  if (row == flat_index::npos)
    row = add_row(kind, id);
  if (scopes_[row].tenant == no_tenant) {
    scopes_[row].tenant = static_cast<tenant_index>(tenants_.size());
    tenants_.push_back(scopes_[row].name);
  }
  return scopes_[row].tenant;
}

bool tenant_table::assign(std::string_view account_id, std::string_view zone_id) {
  const auto account = own(scope_kind::accounts, account_id);
  auto row = row_of(scope_kind::zones, zone_id);
  if (row == flat_index::npos)
    row = add_row(scope_kind::zones, zone_id);
  if (scopes_[row].tenant != no_tenant)
    return scopes_[row].tenant == account;
  scopes_[row].tenant = account;
  return true;
}

std::size_t tenant_table::memory_bytes() const noexcept {
  return arena_.memory_bytes() + tenants_.memory_bytes() + scopes_.memory_bytes() + index_.memory_bytes();
}

} // namespace weir
