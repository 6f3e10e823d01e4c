#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/receipt.hpp"

/// From the bytes of a body to checked events, without building anything from them: the hot path of
/// every source. simdjson finds strings and structure (and checks UTF-8), a small state machine
/// checks the grammar over that. docs/architecture.md tells where this stands.
namespace weir {

/// One event of a body: the object itself, without white space or line end around it.
struct scanned_event {
  std::uint32_t offset = 0; ///< In the body.
  std::uint32_t size = 0;
  std::string_view scope; ///< Value of the scope field, in the body; empty if none was asked for.
};

/// What a body came to beside its events. Bounded, whatever the body holds.
struct scan_report {
  static constexpr std::size_t max_named_lines = 10;

  std::uint64_t lines = 0; ///< Without empty ones; = events + rejected.
  std::uint64_t events = 0;
  std::array<std::uint64_t, reject_reason_count> rejected{};
  std::vector<receipt_outcome::rejected_line> first_rejected; ///< The first few, lines from 1.

  std::uint64_t total_rejected() const noexcept { return lines - events; }
};

struct scan_limits {
  std::size_t max_event_bytes = 1u << 20; ///< `limits.max_event_bytes`; longer is `too_large`.
  unsigned max_depth = 64;                ///< Levels of nesting, the event itself is the first; at most 64.
};

/// The longest scope that is one, in characters of [A-Za-z0-9._-].
inline constexpr std::size_t max_scope_characters = 32;

/// Splits bodies into lines and checks that each is one complete JSON object (RFC 8259).
///
/// Stricter than the RFC: the top level is an object; lone surrogates in \u escapes are refused, as
/// most parsers do. Looser than some parsers: numbers may have any size, and keys but the scope
/// field may repeat. Empty lines are no events; "\r\n" ends a line like "\n".
///
/// Keeps its buffers, so that neither a body nor an event costs an allocation. Not thread-safe; one
/// per thread that scans. About 300 KB, four bytes more for each byte of the longest event seen.
class event_scanner {
 public:
  explicit event_scanner(scan_limits limits = {});
  ~event_scanner();
  event_scanner(event_scanner&&) noexcept;
  event_scanner& operator=(event_scanner&&) noexcept;

  /// Begins a body of less than 4 GiB, which must stay until the last event is used. With an empty
  /// `scope_field` no scope is looked for (the path named it); else each event must have that
  /// top-level field once. At least 64 bytes behind `body` must be readable; what they hold is of no
  /// consequence.
  void open(std::string_view body, std::string_view scope_field);

  /// Appends the events of the next 64 KiB or so (whole lines; one long line may be more), so that
  /// memory stays bounded and the bytes are still in the cache when the caller looks at them. False
  /// when nothing was left; `report` is then complete.
  bool next(std::vector<scanned_event>& events);

  const scan_report& report() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Renders chosen fields of events: `field_names` of a job.
class field_renderer {
 public:
  /// Names in the order of the output, each once.
  explicit field_renderer(std::vector<std::string> field_names);
  ~field_renderer();
  field_renderer(field_renderer&&) noexcept;
  field_renderer& operator=(field_renderer&&) noexcept;

  /// Appends `{"A":<json>,"B":<json>}\n` to `out`. `event` must have passed a scanner. Values are
  /// copied byte by byte; a field that the event lacks is `null`; of one that it has twice the last
  /// counts. Nested fields are not looked into. Not thread-safe.
  void render(std::string_view event, std::string& out);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace weir
