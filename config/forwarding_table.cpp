#include "config/forwarding_table.hpp"

#include <cstring>
#include <utility>

namespace weir {

namespace {

struct padded_id {
  alignas(8) char bytes[max_scope_id_bytes] = {};
};

std::uint64_t word(const char* at) noexcept {
  std::uint64_t result;
  std::memcpy(&result, at, sizeof result);
  return result;
}

std::uint64_t folded(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using wide = unsigned __int128;
  const auto product = static_cast<wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Two wide multiplications instead of a walk over 32 bytes: this runs once per event. The odd
// constants are the fractional digits of square roots, as in SHA-512's initial state.
std::uint64_t key_hash(dataset_index dataset, const char* id, std::size_t size) noexcept {
  const auto low = folded(word(id) ^ 0x6a09'e667'f3bc'c909ull, word(id + 8) ^ 0xbb67'ae85'84ca'a73bull);
  const auto high = folded(word(id + 16) ^ 0x3c6e'f372'fe94'f82bull, word(id + 24) ^ 0xa54f'f53a'5f1d'36f1ull);
  return folded(low ^ (std::uint64_t{dataset} << 8 | size), high ^ 0x510e'527f'ade6'82d1ull);
}

} // namespace

entry_index forwarding_table::find(dataset_index dataset, std::string_view id) const noexcept {
  if (id.empty() || id.size() > max_scope_id_bytes)
    return not_entitled;
  padded_id key;
  std::memcpy(key.bytes, id.data(), id.size());
  return index_.find(key_hash(dataset, key.bytes, id.size()), [&](std::uint32_t row) {
    const auto& x = groups_[row];
    return x.dataset == dataset && x.id_size == id.size() && std::memcmp(x.id, key.bytes, sizeof key.bytes) == 0;
  });
}

entry_index forwarding_table::find_scope(dataset_index dataset, std::string_view scope) const noexcept {
  const auto name = parse_scope(scope);
  if (!name || dataset >= kinds_.size() || name->kind != kinds_[dataset])
    return not_entitled;
  return find(dataset, name->id);
}

std::string forwarding_table::scope(entry_index at) const {
  std::string result{name_of(kind(at))};
  result += '/';
  result += id(at);
  return result;
}

std::size_t forwarding_table::memory_bytes() const noexcept {
  return groups_.capacity() * sizeof(group) + entries_.capacity() * sizeof(forwarding_entry) + index_.memory_bytes();
}

forwarding_table_builder::forwarding_table_builder(std::vector<scope_kind> kinds, std::size_t entries) {
  table_.kinds_ = std::move(kinds);
  table_.groups_.reserve(entries);
  table_.entries_.reserve(entries);
  table_.index_.reserve(entries);
}

bool forwarding_table_builder::add(dataset_index dataset, scope_kind kind, std::string_view id,
                                   const forwarding_entry& entry) {
  if (dataset >= table_.kinds_.size() || kind != table_.kinds_[dataset] || !valid_scope_id(id))
    return false;
  const auto at = table_.find(dataset, id);
  if (at == not_entitled) {
    forwarding_table::group next{};
    std::memcpy(next.id, id.data(), id.size());
    next.first = static_cast<std::uint32_t>(table_.entries_.size());
    next.dataset = dataset;
    next.id_size = static_cast<std::uint8_t>(id.size());
    next.kind = kind;
    table_.index_.insert(key_hash(dataset, next.id, id.size()), static_cast<std::uint32_t>(table_.groups_.size()));
    table_.groups_.push_back(next);
  } else if (at + 1 != table_.groups_.size()) {
    return false;
  }
  table_.entries_.push_back(entry);
  ++table_.groups_.back().count;
  return true;
}

forwarding_table forwarding_table_builder::finish() && {
  return std::move(table_);
}

} // namespace weir
