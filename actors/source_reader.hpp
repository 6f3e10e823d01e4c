#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <string_view>

namespace weir {

/// Names of what may be wrong with a source beside `config_refusal`, which are about what it holds. The first is that
/// of a source nobody has looked at yet.
constexpr std::string_view source_failures[] = {"not_read_yet", "missing", "unreachable", "refused_by_source"};

/// What one look at a config's source found.
struct source_look {
  enum class result : std::uint8_t {
    unchanged, ///< The source says that it holds what it held when it gave `seen`.
    document,
    failed,
  };
  result what = result::failed;
  std::unique_ptr<std::istream> document; ///< Of `document`; seekable.
  std::string tag;                        ///< How the source names this state (an ETag); may be empty.
  /// Of `failed`: a name for metrics. `missing`: there is nothing at this place; `unreadable`; `unreachable`: no
  /// answer; `refused_by_source`: an answer other than 200 and 304; `too_large`.
  std::string reason;
  std::string text; ///< A sentence for an operator; no secret.
};

/// The way to an external generator's config. Never gives more than it is allowed to, and holds no more while it
/// finds out.
class source_reader {
 public:
  virtual ~source_reader() = default;
  /// Blocks, for a bounded time. `seen` is the tag of the state that is known already; empty: none.
  virtual source_look look(const std::string& seen, std::uint64_t most_bytes) = 0;
};

} // namespace weir
