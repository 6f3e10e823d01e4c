#include "actors/event_scanner.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <simdjson.h>

namespace weir {

namespace {

using byte = std::uint8_t;

/// Enough lines at once that simdjson's start and end cost nothing, few enough to stay in the cache.
constexpr std::size_t chunk_bytes = 64 * 1024;

constexpr std::uint32_t no_structural = ~std::uint32_t{0};

constexpr bool is_space(byte c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
constexpr bool is_digit(byte c) noexcept {
  return static_cast<byte>(c - '0') < 10;
}
/// What may stand right behind a number or a literal.
constexpr bool ends_scalar(byte c) noexcept {
  return c == ',' || c == '}' || c == ']' || is_space(c);
}

constexpr bool is_scope_character(byte c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-';
}

bool is_literal(const byte* at, const char* text, std::size_t size) noexcept {
  return std::memcmp(at, text, size) == 0 && ends_scalar(at[size]);
}

/// The grammar of RFC 8259, section 6, up to and including what follows. Ends at the latest at the
/// byte behind the number, which exists: the object around it must still close.
bool is_number(const byte* at) noexcept {
  at += *at == '-';
  if (*at == '0') {
    ++at;
  } else {
    if (!is_digit(*at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  if (*at == '.') {
    if (!is_digit(*++at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  if (*at == 'e' || *at == 'E') {
    ++at;
    at += *at == '+' || *at == '-';
    if (!is_digit(*at))
      return false;
    while (is_digit(*at))
      ++at;
  }
  return ends_scalar(*at);
}

/// The value of four hexadecimal digits, or more than 0xffff.
std::uint32_t hex4(const byte* at) noexcept {
  std::uint32_t x = 0;
  for (int i = 0; i < 4; ++i) {
    const auto c = at[i];
    const auto lower = static_cast<byte>(c | 0x20);
    if (is_digit(c))
      x = x << 4 | (c - '0');
    else if (lower >= 'a' && lower <= 'f')
      x = x << 4 | (lower - 'a' + 10);
    else
      return 0x10000;
  }
  return x;
}

constexpr bool is_high_surrogate(std::uint32_t x) noexcept {
  return x >= 0xd800 && x < 0xdc00;
}
constexpr bool is_low_surrogate(std::uint32_t x) noexcept {
  return x >= 0xdc00 && x < 0xe000;
}

/// Bytes of the escape at `at` (which holds the backslash) inside a closed string, 0 if it is none.
/// Never reads behind the closing quote: that is no hexadecimal digit and no backslash.
std::size_t escape_bytes(const byte* at) noexcept {
  switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return 2;
    case 'u':
      break;
    default:
      return 0;
  }
  const auto unit = hex4(at + 2);
  if (unit > 0xffff || is_low_surrogate(unit))
    return 0;
  if (!is_high_surrogate(unit))
    return 6;
  return at[6] == '\\' && at[7] == 'u' && is_low_surrogate(hex4(at + 8)) ? 12 : 0;
}

/// Whether all escapes in a line are good whose backslashes all stand in strings.
bool good_escapes(const byte* at, const byte* end) noexcept {
  while ((at = static_cast<const byte*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at))))) {
    const auto size = escape_bytes(at);
    if (size == 0)
      return false;
    at += size;
  }
  return true;
}

void append_utf8(std::string& out, std::uint32_t x) {
  if (x < 0x80) {
    out += static_cast<char>(x);
  } else if (x < 0x800) {
    out += static_cast<char>(0xc0 | x >> 6);
    out += static_cast<char>(0x80 | (x & 0x3f));
  } else if (x < 0x10000) {
    out += static_cast<char>(0xe0 | x >> 12);
    out += static_cast<char>(0x80 | (x >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (x & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | x >> 18);
    out += static_cast<char>(0x80 | (x >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (x >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (x & 0x3f));
  }
}

/// What a key with escapes means. Nothing if an escape is bad.
std::optional<std::string> unescape(const byte* at, const byte* end) {
  std::string text;
  while (at < end) {
    if (*at != '\\') {
      text += static_cast<char>(*at++);
      continue;
    }
    const auto size = escape_bytes(at);
    switch (size) {
      case 0:
        return std::nullopt;
      case 2: {
        constexpr std::string_view names = "bfnrt", values = "\b\f\n\r\t";
        const auto c = static_cast<char>(at[1]);
        const auto i = names.find(c);
        text += i == names.npos ? c : values[i];
        break;
      }
      case 6:
        append_utf8(text, hex4(at + 2));
        break;
      default:
        append_utf8(text, 0x10000 + ((hex4(at + 2) - 0xd800) << 10) + (hex4(at + 8) - 0xdc00));
        break;
    }
    at += size;
  }
  return text;
}

/// Finds the places of a text's structure: brackets, colons, commas, and the first byte of each
/// string, number or literal. simdjson's first stage, and nothing of its second.
class structure_index {
 public:
  enum class result : std::uint8_t { ok, empty, bad };

  /// `bad` if a string is open at the end or holds a control character (a line end is one), or if
  /// the text is not UTF-8. Nothing behind the text is read.
  result build(const byte* text, std::size_t size) {
    if (size == 0)
      return result::empty;
    if (size > capacity_)
      grow(size);
    switch (parser_->stage1(text, size, simdjson::stage1_mode::regular)) {
      case simdjson::SUCCESS:
        break;
      case simdjson::EMPTY:
        return result::empty;
      default:
        return result::bad;
    }
    // A walk looks at most three places ahead; simdjson leaves room for nine.
    std::fill_n(parser_->structural_indexes.get() + parser_->n_structural_indexes, 4, no_structural);
    return result::ok;
  }

  const std::uint32_t* places() const noexcept { return parser_->structural_indexes.get(); }

 private:
  void grow(std::size_t size) {
    capacity_ = std::max(size, chunk_bytes);
    parser_.reset();
    const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(capacity_, 1, parser_);
    if (error)
      throw std::runtime_error(fmt::format("no JSON index for {} bytes: {}", size, simdjson::error_message(error)));
  }

  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  std::size_t capacity_ = 0;
};

enum class walk_result : std::uint8_t { ok, bad, too_deep };

/// Checks the grammar of one line over its places. `p` moves from place to place and is only looked
/// at where it lies in the line, so no line can make another one's bytes part of it.
struct line_walk {
  const byte* base;  ///< What places count from.
  std::uint32_t end; ///< Of the line.
  const std::uint32_t* p;
  unsigned max_depth;

  /// At a string, number or literal. Strings are closed and free of control characters already.
  bool at_good_scalar() const noexcept {
    const auto* at = base + *p;
    switch (*at) {
      case '"':
        return true;
      case 't':
        return is_literal(at, "true", 4);
      case 'f':
        return is_literal(at, "false", 5);
      case 'n':
        return is_literal(at, "null", 4);
      default:
        return is_number(at);
    }
  }

  /// From the first place of a value, which is not the last of the line, to the one behind it.
  walk_result value(unsigned depth) {
    switch (base[*p]) {
      case '{':
        return object(depth + 1, [](auto...) {});
      case '[':
        return array(depth + 1);
      default:
        break;
    }
    if (!at_good_scalar())
      return walk_result::bad;
    ++p;
    return walk_result::ok;
  }

  /// From '{' to behind its '}'. `on_field` gets the places of key, colon, value and what follows.
  template <class OnField>
  walk_result object(unsigned depth, OnField&& on_field) {
    if (depth > max_depth)
      return walk_result::too_deep;
    ++p;
    if (*p >= end)
      return walk_result::bad;
    if (base[*p] == '}') {
      ++p;
      return walk_result::ok;
    }
    for (;;) {
      if (p[3] >= end || base[p[0]] != '"' || base[p[1]] != ':')
        return walk_result::bad;
      const auto* field = p;
      p += 2;
      if (const auto result = value(depth); result != walk_result::ok)
        return result;
      if (*p >= end)
        return walk_result::bad;
      on_field(field[0], field[1], field[2], *p);
      const auto c = base[*p++];
      if (c == '}')
        return walk_result::ok;
      if (c != ',')
        return walk_result::bad;
    }
  }

  /// From '[' to behind its ']'.
  walk_result array(unsigned depth) {
    if (depth > max_depth)
      return walk_result::too_deep;
    ++p;
    if (*p >= end)
      return walk_result::bad;
    if (base[*p] == ']') {
      ++p;
      return walk_result::ok;
    }
    for (;;) {
      if (p[0] >= end || p[1] >= end)
        return walk_result::bad;
      if (const auto result = value(depth); result != walk_result::ok)
        return result;
      if (*p >= end)
        return walk_result::bad;
      const auto c = base[*p++];
      if (c == ']')
        return walk_result::ok;
      if (c != ',')
        return walk_result::bad;
    }
  }
};

/// The characters between the quotes of the key at `key`, whose colon is at `colon`.
std::string_view key_text(const byte* base, std::uint32_t key, std::uint32_t colon) noexcept {
  auto last = colon - 1;
  while (base[last] != '"')
    --last;
  return {reinterpret_cast<const char*>(base) + key + 1, last - key - 1};
}

std::uint64_t load8(const void* from) noexcept {
  std::uint64_t x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

/// Finds the scope field among the keys of an event.
class scope_matcher {
 public:
  void set(std::string_view field) {
    name_ = field;
    quoted_ = fmt::format("\"{}\"", field);
    auto head = quoted_;
    head.resize(std::max<std::size_t>(head.size(), 8));
    head_ = load8(head.data());
    mask_ = quoted_.size() >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * quoted_.size()) - 1;
  }

  bool wanted() const noexcept { return !name_.empty(); }

  /// `key` is at an opening quote; eight bytes there are readable, and more if the first eight match.
  bool is(const byte* key) const noexcept {
    return ((load8(key) ^ head_) & mask_) == 0 && std::memcmp(key, quoted_.data(), quoted_.size()) == 0;
  }

  bool is_escaped(std::string_view key) const {
    if (key.find('\\') == key.npos)
      return false;
    const auto* at = reinterpret_cast<const byte*>(key.data());
    return unescape(at, at + key.size()) == name_;
  }

  /// The value at `at` if it is one, else empty. A scope has no use for escapes.
  static std::string_view value(const byte* at) noexcept {
    if (*at != '"')
      return {};
    std::size_t size = 0;
    while (size <= max_scope_characters && is_scope_character(at[1 + size]))
      ++size;
    if (size > max_scope_characters || at[1 + size] != '"')
      return {};
    return {reinterpret_cast<const char*>(at) + 1, size};
  }

 private:
  std::string name_;
  std::string quoted_;
  std::uint64_t head_ = 0;
  std::uint64_t mask_ = 0;
};

} // namespace

// -- scanning -----------------------------------------------------------------------------------

struct event_scanner::state {
  scan_limits limits;
  structure_index index;
  scope_matcher scope;
  const byte* body = nullptr;
  std::size_t size = 0;
  std::size_t at = 0;     ///< Of the next line.
  std::uint32_t line = 0; ///< Lines before `at`, empty ones too.
  scan_report report;

  void reject(reject_reason reason) {
    ++report.lines;
    ++report.rejected[static_cast<std::size_t>(reason)];
    if (report.first_rejected.size() < scan_report::max_named_lines)
      report.first_rejected.push_back({line, reason});
  }

  std::size_t line_end(std::size_t from, std::size_t limit) const noexcept {
    const auto* found = static_cast<const byte*>(std::memchr(body + from, '\n', limit - from));
    return found ? static_cast<std::size_t>(found - body) : limit;
  }

  std::size_t chunk_end() const noexcept;
  void scan_chunk(std::size_t end, std::vector<scanned_event>& events);
  void scan_apart(std::size_t end, std::vector<scanned_event>& events);
  void scan_line(line_walk& walk, bool backslash, std::vector<scanned_event>& events);
};

/// Behind the last line end within a chunk's size, or else behind the line that is longer.
std::size_t event_scanner::state::chunk_end() const noexcept {
  if (size - at <= chunk_bytes)
    return size;
  if (const auto* last = memrchr(body + at, '\n', chunk_bytes))
    return static_cast<std::size_t>(static_cast<const byte*>(last) - body) + 1;
  return std::min(size, line_end(at, size) + 1);
}

/// One line that is not empty: `walk` stands at its first place.
void event_scanner::state::scan_line(line_walk& walk, bool backslash, std::vector<scanned_event>& events) {
  const auto* base = walk.base;
  const auto first = *walk.p;
  unsigned scopes = 0;
  std::string_view found;
  auto result = walk_result::bad;
  if (base[first] == '{') {
    const auto on_field = [&](std::uint32_t key, std::uint32_t colon, std::uint32_t value, std::uint32_t) {
      if (scope.is(base + key) || (backslash && scope.is_escaped(key_text(base, key, colon)))) {
        ++scopes;
        found = scope_matcher::value(base + value);
      }
    };
    result = scope.wanted() ? walk.object(1, on_field) : walk.object(1, [](auto...) {});
  }
  if (result == walk_result::too_deep)
    return reject(reject_reason::too_deep);
  if (result == walk_result::bad || *walk.p < walk.end)
    return reject(reject_reason::not_json);
  const auto last = walk.p[-1];
  if (backslash && !good_escapes(base + first, base + last))
    return reject(reject_reason::not_json);
  if (scope.wanted() && scopes != 1)
    return reject(scopes == 0 ? reject_reason::no_scope : reject_reason::scope_twice);
  if (scope.wanted() && found.empty())
    return reject(reject_reason::no_scope);
  ++report.lines;
  ++report.events;
  events.push_back({static_cast<std::uint32_t>(base - body) + first, last + 1 - first, found});
}

void event_scanner::state::scan_chunk(std::size_t end, std::vector<scanned_event>& events) {
  const auto* base = body + at;
  const auto chunk = end - at;
  const auto built = index.build(base, chunk);
  if (built == structure_index::result::bad)
    return scan_apart(end, events);
  if (built == structure_index::result::empty) {
    line += static_cast<std::uint32_t>(std::count(base, base + chunk, '\n'));
    return;
  }
  const bool any_backslash = std::memchr(base, '\\', chunk) != nullptr;
  line_walk walk{base, 0, index.places(), limits.max_depth};
  for (auto from = at; from < end;) {
    const auto to = line_end(from, end);
    ++line;
    walk.end = static_cast<std::uint32_t>(to - at);
    if (*walk.p < walk.end) {
      if (to - from > limits.max_event_bytes)
        reject(reject_reason::too_large);
      else
        scan_line(walk, any_backslash && std::memchr(body + from, '\\', to - from), events);
      while (*walk.p < walk.end)
        ++walk.p;
    }
    from = to + 1;
  }
}

/// Line by line, because something in the chunk keeps simdjson from seeing it as a whole: an open
/// string, a control character in one, bytes that are not UTF-8.
void event_scanner::state::scan_apart(std::size_t end, std::vector<scanned_event>& events) {
  for (auto from = at; from < end;) {
    const auto to = line_end(from, end);
    ++line;
    auto first = from, last = to;
    while (first < last && is_space(body[first]))
      ++first;
    while (first < last && is_space(body[last - 1]))
      --last;
    const auto bytes = last - first;
    if (to - from > limits.max_event_bytes && bytes > 0) {
      reject(reject_reason::too_large);
    } else if (bytes > 0) {
      // The look at both ends keeps a body of rubbish cheap.
      if (body[first] != '{' || body[last - 1] != '}'
          || index.build(body + first, bytes) != structure_index::result::ok) {
        reject(reject_reason::not_json);
      } else {
        line_walk walk{body + first, static_cast<std::uint32_t>(bytes), index.places(), limits.max_depth};
        scan_line(walk, std::memchr(body + first, '\\', bytes), events);
      }
    }
    from = to + 1;
  }
}

event_scanner::event_scanner(scan_limits limits) : state_(std::make_unique<state>()) {
  state_->limits = limits;
  state_->limits.max_depth = std::min(limits.max_depth, 64u);
}
event_scanner::~event_scanner() = default;
event_scanner::event_scanner(event_scanner&&) noexcept = default;
event_scanner& event_scanner::operator=(event_scanner&&) noexcept = default;

void event_scanner::open(std::string_view body, std::string_view scope_field) {
  if (body.size() >= no_structural)
    throw std::length_error(fmt::format("a body of {} bytes is beyond the 4 GiB that one may hold", body.size()));
  auto& s = *state_;
  s.scope.set(scope_field);
  s.body = reinterpret_cast<const byte*>(body.data());
  s.size = body.size();
  s.at = 0;
  s.line = 0;
  auto named = std::move(s.report.first_rejected);
  named.clear();
  s.report = {};
  s.report.first_rejected = std::move(named);
}

bool event_scanner::next(std::vector<scanned_event>& events) {
  auto& s = *state_;
  if (s.at >= s.size)
    return false;
  const auto end = s.chunk_end();
  // A line beyond the limit is not even indexed, so it costs neither time nor memory.
  if (end - s.at > std::max(chunk_bytes, s.limits.max_event_bytes + 1)) {
    ++s.line;
    s.reject(reject_reason::too_large);
  } else {
    s.scan_chunk(end, events);
  }
  s.at = end;
  return true;
}

const scan_report& event_scanner::report() const noexcept {
  return state_->report;
}

// -- rendering ----------------------------------------------------------------------------------

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
