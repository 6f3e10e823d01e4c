#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

#include "actors/event_scanner.hpp"
#include "actors/json_structure.hpp"

namespace weir {

using namespace json_structure;

struct field_renderer::state {
  struct field {
    std::string name;
    std::string prefix; ///< `{"A":` or `,"B":`
    std::string_view value;
  };

  std::vector<field> fields;
  std::vector<std::uint16_t> slots; ///< Open addressing over `fields`; 0 = free, else index + 1.
  structure_index index;

  std::size_t slot_of(std::string_view key) const noexcept {
    std::size_t hash = key.size() * 0x9e3779b9u;
    for (const auto c : key)
      hash = (hash ^ static_cast<byte>(c)) * 0x01000193u;
    auto slot = (hash ^ hash >> 15) & (slots.size() - 1);
    while (slots[slot] != 0 && fields[slots[slot] - 1].name != key)
      slot = (slot + 1) & (slots.size() - 1);
    return slot;
  }

  field* find(std::string_view key) noexcept {
    const auto found = slots[slot_of(key)];
    return found == 0 ? nullptr : &fields[found - 1];
  }
};

field_renderer::field_renderer(std::vector<std::string> field_names) : state_(std::make_unique<state>()) {
  auto& s = *state_;
  if (field_names.empty() || field_names.size() > 10'000)
    throw std::invalid_argument("between 1 and 10,000 field names are needed to render");
  std::size_t slots = 16;
  while (slots < 2 * field_names.size())
    slots *= 2;
  s.slots.resize(slots);
  s.fields.reserve(field_names.size());
  for (auto& name : field_names) {
    const auto slot = s.slot_of(name);
    if (s.slots[slot] != 0)
      throw std::invalid_argument(fmt::format("the field name '{}' is there twice", name));
    std::string quoted;
    for (const auto c : name) {
      if (static_cast<byte>(c) < 0x20)
        throw std::invalid_argument("a field name holds a control character");
      if (c == '"' || c == '\\')
        quoted += '\\';
      quoted += c;
    }
    s.fields.push_back({name, fmt::format("{}\"{}\":", s.fields.empty() ? '{' : ',', quoted), {}});
    s.slots[slot] = static_cast<std::uint16_t>(s.fields.size());
  }
}
field_renderer::~field_renderer() = default;
field_renderer::field_renderer(field_renderer&&) noexcept = default;
field_renderer& field_renderer::operator=(field_renderer&&) noexcept = default;

void field_renderer::render(std::string_view event, std::string& out) {
  auto& s = *state_;
  for (auto& field : s.fields)
    field.value = "null";
  const auto* base = reinterpret_cast<const byte*>(event.data());
  bool well_formed = s.index.build(base, event.size()) == structure_index::result::ok;
  if (well_formed) {
    line_walk walk{base, static_cast<std::uint32_t>(event.size()), s.index.places(), 64};
    const auto on_field = [&](std::uint32_t key, std::uint32_t colon, std::uint32_t value, std::uint32_t next) {
      const auto text = key_text(base, key, colon);
      auto* field = s.find(text);
      if (!field && std::memchr(text.data(), '\\', text.size())) {
        const auto* at = reinterpret_cast<const byte*>(text.data());
        if (const auto plain = unescape(at, at + text.size()))
          field = s.find(*plain);
      }
      if (!field)
        return;
      while (is_space(base[next - 1]))
        --next;
      field->value = event.substr(value, next - value);
    };
    well_formed = base[*walk.p] == '{' && walk.object(1, on_field) == walk_result::ok;
  }
  if (!well_formed)
    throw std::invalid_argument("an event to render has not passed the scanner");
  for (const auto& field : s.fields) {
    out += field.prefix;
    out += field.value;
  }
  out += "}\n";
}

} // namespace weir
