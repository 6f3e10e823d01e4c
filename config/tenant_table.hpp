#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "config/flat_index.hpp"
#include "config/forwarding_table.hpp"
#include "config/scope.hpp"
#include "config/text_arena.hpp"

namespace weir {

/// Who owns what: tenants by number and name, and the tenant of every scope that is known.
///
/// A tenant is an account (`accounts/<id>`) or a zone that no account owns (`zones/<id>`).
class tenant_table {
 public:
  std::size_t size() const noexcept { return tenants_.size(); }
  /// `accounts/<id>` or `zones/<id>`. Valid as long as the snapshot.
  std::string_view name(tenant_index at) const noexcept { return text(tenants_[at]); }
  /// The tenant with this name, not the owner of a scope of that name.
  std::optional<tenant_index> find(std::string_view name) const noexcept;

  /// The tenant that owns the scope: the account a zone belongs to, else the scope itself.
  /// Nothing for a scope that has no job and belongs to no account.
  std::optional<tenant_index> owner_of(scope_kind kind, std::string_view id) const noexcept;

  /// `zones/<id>` as it is kept here: one copy for all who name the scope. Empty for an unknown one.
  /// Valid as long as the table, also after it was moved.
  std::string_view scope_text(scope_kind kind, std::string_view id) const noexcept;

  /// Makes `account` the owner of zone `zone_id`. False if the zone has another owner already.
  bool assign(std::string_view account_id, std::string_view zone_id);
  /// The owner of the scope, made when there is none.
  tenant_index own(scope_kind kind, std::string_view id);

  /// Calls `visit(zone id, account name)` for every zone that an account owns.
  template <class Visit>
  void each_zone_of_accounts(Visit&& visit) const {
    for (std::size_t i = 0; i < scopes_.size(); ++i)
      if (scopes_[i].tenant != no_tenant && text(tenants_[scopes_[i].tenant]) != text(scopes_[i].name))
        visit(text(scopes_[i].name).substr(name_of(scope_kind::zones).size() + 1), name(scopes_[i].tenant));
  }

  std::size_t memory_bytes() const noexcept;

 private:
  static constexpr tenant_index no_tenant = 0xffff'ffff;
  struct name_ref {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  struct scope_row {
    name_ref name;
    tenant_index tenant = no_tenant;
  };

  std::string_view text(name_ref x) const noexcept { return arena_.at(x.offset, x.size); }
  std::uint32_t row_of(scope_kind kind, std::string_view id) const noexcept;
  std::uint32_t add_row(scope_kind kind, std::string_view id);

  text_arena arena_;
  chunked_rows<name_ref> tenants_;
  chunked_rows<scope_row> scopes_; // every known scope, tenants' own names among them
  flat_index index_;               // scope to row
};

} // namespace weir
