#include "actors/event_scanner.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

#include "actors/json_structure.hpp"

namespace weir {

namespace {

using namespace json_structure;

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

} // namespace weir
