#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/ids.hpp"

/// Events as self-describing gzip members: sealed once by a shard, kept so by the store, sent so by
/// the pusher. An object is members one behind the other, which every gzip reader takes for one file.
///
/// A member says what it holds in a FEXTRA subfield (RFC 1952, 2.3.1.1) that other readers skip:
///
///     offset  bytes  what
///          0      2  subfield id 'W' 'R'
///          2      2  length of what follows, 33
///          4      1  version, 1
///          5      8  job
///         13      8  generation
///         21      8  sequence of the first event
///         29      8  number of events
///
/// Numbers are little endian. A later version may be longer; its first 33 bytes keep this meaning.
namespace weir::store {

/// How blocks are encoded. Only gzip exists; the others are named so that no format has to change.
enum class member_codec : std::uint8_t { gzip = 1, zstd = 2, plain = 3 };

/// Whose events a member holds, and which.
struct member_identity {
  job_id job{};
  sequence_range range;

  friend bool operator==(const member_identity& a, const member_identity& b) noexcept {
    return a.job == b.job && a.range == b.range;
  }
  friend bool operator!=(const member_identity& a, const member_identity& b) noexcept { return !(a == b); }
};

/// Below this many raw bytes a member is packed with deflate's fixed Huffman code instead of one of
/// its own. That costs about a fifth more bytes, but the pusher unpacks every member of that size to
/// merge it, and sealing and unpacking together take a third (1 KB) to two thirds (11 KB) of the
/// time (ADR 0004).
inline constexpr std::size_t small_member_bytes = 16 * 1024;

/// Bytes in front of the packed data in a member of ours: 10 + 2 + 4 + 33.
inline constexpr std::size_t member_header_bytes = 49;

/// Seals runs of events. Keeps its buffers, so that a member costs one allocation (its own) and an
/// event none. One per shard; not thread-safe. About 370 KB plus twice the largest raw member seen.
class member_sealer {
 public:
  member_sealer();
  ~member_sealer();
  member_sealer(member_sealer&&) noexcept;
  member_sealer& operator=(member_sealer&&) noexcept;

  /// One gzip member of the events in `pieces`. A piece is one or more whole events, separated by
  /// '\n'; a piece that does not end in '\n' gets one. At most 2 GiB raw.
  std::string seal(const member_identity& identity, const std::vector<std::string_view>& pieces);

  /// The same for events that are one run of bytes already; not copied if they end in '\n'.
  std::string seal_run(const member_identity& identity, std::string_view events);

  /// Like `seal_run`, but with a Huffman code of its own whatever its size: for members that go to a
  /// destination and are not read again here.
  std::string seal_well(const member_identity& identity, std::string_view events);

 private:
  struct state;
  std::string_view whole_lines(std::string_view events);
  std::string pack(const member_identity& identity, std::string_view raw, bool fixed_code);
  std::unique_ptr<state> state_;
};

/// Bounds for bytes from outside.
struct member_limits {
  std::size_t max_raw_bytes = 64u << 20; ///< Of one member; ours hold 256 KiB or one large event.
  std::size_t max_ratio = 0;             ///< Raw to packed, checked above 64 KiB raw; 0 = no limit.
};

enum class member_status : std::uint8_t {
  ok,
  end,       ///< No byte is left.
  not_gzip,  ///< What comes is not the header of a gzip member.
  truncated, ///< The bytes end inside a member.
  corrupt,   ///< Bad data, checksum or length.
  too_large, ///< Beyond `max_raw_bytes` or `max_ratio`.
};

std::string_view name_of(member_status status) noexcept;

/// A decoded member.
struct decoded_member {
  std::optional<member_identity> identity; ///< Absent in members that others made.
  std::uint64_t offset = 0;                ///< Of its first byte in the input.
  std::uint64_t packed_bytes = 0;          ///< Header and trailer included.
  std::string_view raw;                    ///< The events. In the reader's buffer: valid until its next call.
};

/// Reads the members of an object one by one, in bounded memory. Not thread-safe; reusable.
class member_reader {
 public:
  /// Puts up to `size` bytes into `into` and returns how many; 0 = the end.
  using source = std::function<std::size_t(char* into, std::size_t size)>;

  explicit member_reader(member_limits limits = {});
  ~member_reader();
  member_reader(member_reader&&) noexcept;
  member_reader& operator=(member_reader&&) noexcept;

  /// Starts over with other bytes. A view or stream must outlive the reading.
  void open(std::string_view bytes);
  void open(std::istream& in);
  void open(source from);

  /// The next member. After anything but `ok` there is nothing more to read here; `member.raw` is
  /// then what could be decoded of the last one, unchecked.
  member_status next(decoded_member& member);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Decodes exactly one member, which fills `bytes`, into `raw`; trailing bytes are `corrupt`.
member_status inflate_member(std::string_view bytes, std::string& raw, member_limits limits = {});

/// What a member says of itself, from its header alone: nothing is decoded or checked.
std::optional<member_identity> identity_of(std::string_view member) noexcept;

/// Calls `visit` for every member of `in` until it returns false. Returns `end` if all could be
/// read (or `ok` if `visit` stopped), else why the reading ended.
member_status read_members(std::istream& in, const std::function<bool(const decoded_member&)>& visit,
                           member_limits limits = {});

} // namespace weir::store
