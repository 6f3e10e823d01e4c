#include "store/gzip_member.hpp"

#include <algorithm>
#include <cstring>
#include <istream>
#include <stdexcept>

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>

namespace weir::store {

namespace {

constexpr std::uint8_t subfield_id_1 = 'W';
constexpr std::uint8_t subfield_id_2 = 'R';
constexpr std::uint8_t subfield_version = 1;
constexpr std::size_t subfield_bytes = 33;
static_assert(member_header_bytes == 10 + 2 + 4 + subfield_bytes);

constexpr std::uint8_t flag_header_crc = 0x02;
constexpr std::uint8_t flag_extra = 0x04;
constexpr std::uint8_t flag_name = 0x08;
constexpr std::uint8_t flag_comment = 0x10;
constexpr std::uint8_t reserved_flags = 0xe0;

// RFC 1952 bounds FEXTRA by its 16-bit length but neither name nor comment.
constexpr std::size_t max_header_bytes = 256 * 1024;
constexpr std::size_t read_step_bytes = 64 * 1024;
constexpr std::size_t readable_behind = 64;
constexpr std::size_t ratio_free_bytes = 64 * 1024;

std::uint8_t* put_le64(std::uint8_t* to, std::uint64_t x) noexcept {
  for (int i = 0; i < 8; ++i)
    *to++ = static_cast<std::uint8_t>(x >> (8 * i));
  return to;
}

std::uint64_t get_le64(const std::uint8_t* from) noexcept {
  std::uint64_t x = 0;
  for (int i = 0; i < 8; ++i)
    x |= std::uint64_t{from[i]} << (8 * i);
  return x;
}

std::size_t get_le16(const std::uint8_t* from) noexcept {
  return from[0] | (std::size_t{from[1]} << 8);
}

void put_header(std::uint8_t* to, const member_identity& identity) noexcept {
  // No time: the same events give the same member. XFL 0, OS 255 = unknown.
  constexpr std::uint8_t fixed[16] = {
      0x1f,          0x8b,           8, flag_extra, 0, 0, 0, 0, 0, 255, subfield_bytes + 4, 0, subfield_id_1,
      subfield_id_2, subfield_bytes, 0};
  std::memcpy(to, fixed, sizeof fixed);
  to += sizeof fixed;
  *to++ = subfield_version;
  to = put_le64(to, number(identity.job));
  to = put_le64(to, number(identity.range.generation));
  to = put_le64(to, identity.range.first);
  put_le64(to, identity.range.count);
}

/// Looks for our subfield among all that stand in FEXTRA.
std::optional<member_identity> find_identity(const std::uint8_t* extra, std::size_t size) noexcept {
  while (size >= 4) {
    const auto length = get_le16(extra + 2);
    if (length > size - 4)
      return std::nullopt;
    if (extra[0] == subfield_id_1 && extra[1] == subfield_id_2 && length >= subfield_bytes && extra[4] >= 1) {
      const auto* at = extra + 5;
      return member_identity{job_id{get_le64(at)},
                             {generation{get_le64(at + 8)}, get_le64(at + 16), get_le64(at + 24)}};
    }
    extra += 4 + length;
    size -= 4 + length;
  }
  return std::nullopt;
}

struct parsed_header {
  enum class result { ok, need_more, bad } what = result::bad;
  std::size_t bytes = 0;
  std::optional<member_identity> identity;
};

parsed_header parse_header(const std::uint8_t* data, std::size_t size) noexcept {
  using result = parsed_header::result;
  constexpr std::uint8_t magic[3] = {0x1f, 0x8b, 8};
  parsed_header header;
  if (std::memcmp(data, magic, std::min(size, sizeof magic)) != 0)
    return header;
  header.what = result::need_more;
  if (size < 10)
    return header;
  const auto flags = data[3];
  if (flags & reserved_flags) {
    header.what = result::bad;
    return header;
  }
  std::size_t at = 10;
  if (flags & flag_extra) {
    if (size < at + 2)
      return header;
    const auto length = get_le16(data + at);
    at += 2;
    if (size < at + length)
      return header;
    header.identity = find_identity(data + at, length);
    at += length;
  }
  for (const auto flag : {flag_name, flag_comment}) {
    if (!(flags & flag))
      continue;
    const auto* zero = size > at ? static_cast<const std::uint8_t*>(std::memchr(data + at, 0, size - at)) : nullptr;
    if (!zero)
      return header;
    at = static_cast<std::size_t>(zero - data) + 1;
  }
  if (flags & flag_header_crc)
    at += 2;
  if (size < at)
    return header;
  header.bytes = at;
  header.what = result::ok;
  return header;
}

} // namespace

// -- sealing ------------------------------------------------------------------------------------

struct member_sealer::state {
  isal_zstream stream;
  std::vector<std::uint8_t> level_buffer = std::vector<std::uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::string raw;
  std::vector<std::uint8_t> packed;
};

member_sealer::member_sealer() : state_(std::make_unique<state>()) {}
member_sealer::~member_sealer() = default;
member_sealer::member_sealer(member_sealer&&) noexcept = default;
member_sealer& member_sealer::operator=(member_sealer&&) noexcept = default;

std::string member_sealer::seal(const member_identity& identity, const std::vector<std::string_view>& pieces) {
  auto& raw = state_->raw;
  std::size_t size = pieces.size();
  for (const auto& piece : pieces)
    size += piece.size();
  raw.clear();
  raw.reserve(size);
  for (const auto& piece : pieces) {
    if (piece.empty())
      continue;
    raw.append(piece);
    if (piece.back() != '\n')
      raw.push_back('\n');
  }
  return pack(identity, raw, raw.size() < small_member_bytes);
}

std::string_view member_sealer::whole_lines(std::string_view events) {
  if (events.empty() || events.back() == '\n')
    return events;
  state_->raw.assign(events);
  state_->raw.push_back('\n');
  return state_->raw;
}

std::string member_sealer::seal_run(const member_identity& identity, std::string_view events) {
  const auto raw = whole_lines(events);
  return pack(identity, raw, raw.size() < small_member_bytes);
}

std::string member_sealer::seal_well(const member_identity& identity, std::string_view events) {
  return pack(identity, whole_lines(events), false);
}

std::string member_sealer::pack(const member_identity& identity, std::string_view raw, bool fixed_code) {
  if (raw.size() > (2ull << 30))
    throw std::length_error(fmt::format("a member of {} bytes is beyond the 2 GiB that one may hold", raw.size()));
  auto& s = *state_;
  // Stateless packing falls back to stored blocks (5 bytes per 64 KiB) where packing does not pay.
  const auto bound = member_header_bytes + raw.size() + raw.size() / 1024 + ISAL_DEF_MAX_HDR_SIZE + 64;
  if (s.packed.size() < bound)
    s.packed.resize(bound);
  put_header(s.packed.data(), identity);

  auto& stream = s.stream;
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP_NO_HDR;
  stream.flush = NO_FLUSH;
  stream.end_of_stream = 1;
  if (fixed_code) {
    stream.level = 0;
    isal_deflate_set_hufftables(&stream, nullptr, IGZIP_HUFFTABLE_STATIC);
  } else {
    stream.level = 1;
    stream.level_buf = s.level_buffer.data();
    stream.level_buf_size = static_cast<std::uint32_t>(s.level_buffer.size());
  }
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<std::uint32_t>(raw.size());
  stream.next_out = s.packed.data() + member_header_bytes;
  stream.avail_out = static_cast<std::uint32_t>(s.packed.size() - member_header_bytes);
  const auto result = isal_deflate_stateless(&stream);
  if (result != COMP_OK || stream.avail_in != 0)
    throw std::logic_error(fmt::format("packing {} bytes failed with {}", raw.size(), result));
  return {reinterpret_cast<const char*>(s.packed.data()), member_header_bytes + stream.total_out};
}

// -- reading ------------------------------------------------------------------------------------

std::string_view name_of(member_status status) noexcept {
  switch (status) {
    case member_status::ok:
      return "ok";
    case member_status::end:
      return "end";
    case member_status::not_gzip:
      return "not_gzip";
    case member_status::truncated:
      return "truncated";
    case member_status::corrupt:
      return "corrupt";
    case member_status::too_large:
      return "too_large";
  }
  return "unknown";
}

struct member_reader::state {
  explicit state(member_limits how) : limits(how) { isal_inflate_init(&inflate); }

  member_limits limits;
  inflate_state inflate;
  source from; ///< Null: all bytes are in view.
  std::vector<std::uint8_t> input;
  std::vector<std::uint8_t> output;
  const std::uint8_t* next = nullptr;
  std::size_t available = 0;
  std::uint64_t offset = 0; ///< Of `next` in the whole input.

  /// Keeps what is available and gets more behind it. False at the end.
  bool refill() {
    if (!from)
      return false;
    if (input.size() < available + read_step_bytes) {
      std::vector<std::uint8_t> larger(available + read_step_bytes);
      std::copy_n(next, available, larger.data());
      input.swap(larger);
    } else if (available > 0) {
      std::memmove(input.data(), next, available);
    }
    next = input.data();
    const auto got = from(reinterpret_cast<char*>(input.data()) + available, read_step_bytes);
    available += got;
    return got > 0;
  }

  void advance(std::size_t bytes) noexcept {
    next += bytes;
    available -= bytes;
    offset += bytes;
  }

  member_status read_header(decoded_member& member);
  member_status read_data(decoded_member& member);
};

member_status member_reader::state::read_header(decoded_member& member) {
  if (available == 0 && !refill())
    return member_status::end;
  member.offset = offset;
  for (;;) {
    const auto header = parse_header(next, available);
    if (header.what == parsed_header::result::bad)
      return member_status::not_gzip;
    if (header.what == parsed_header::result::ok) {
      member.identity = header.identity;
      advance(header.bytes);
      return member_status::ok;
    }
    if (available > max_header_bytes)
      return member_status::corrupt;
    if (!refill())
      return member_status::truncated;
  }
}

member_status member_reader::state::read_data(decoded_member& member) {
  isal_inflate_reset(&inflate);
  inflate.crc_flag = ISAL_GZIP_NO_HDR_VER;
  std::size_t produced = 0;
  for (;;) {
    const bool ended = available == 0 && !refill();
    if (produced + readable_behind >= output.size())
      output.resize(std::max(2 * output.size(), read_step_bytes));
    const auto feed = std::min<std::size_t>(available, 1u << 30);
    const auto room = std::min<std::size_t>(output.size() - readable_behind - produced, 1u << 30);
    inflate.next_in = const_cast<std::uint8_t*>(next);
    inflate.avail_in = static_cast<std::uint32_t>(feed);
    inflate.next_out = output.data() + produced;
    inflate.avail_out = static_cast<std::uint32_t>(room);
    const auto result = isal_inflate(&inflate);
    const auto got = room - inflate.avail_out;
    advance(feed - inflate.avail_in);
    produced += got;
    member.raw = {reinterpret_cast<const char*>(output.data()), produced};
    member.packed_bytes = offset - member.offset;
    if (result < 0)
      return member_status::corrupt;
    if (produced > limits.max_raw_bytes)
      return member_status::too_large;
    if (limits.max_ratio > 0 && produced > ratio_free_bytes && produced / member.packed_bytes >= limits.max_ratio)
      return member_status::too_large;
    if (inflate.block_state == ISAL_BLOCK_FINISH)
      return member_status::ok;
    if (ended && got == 0)
      return member_status::truncated;
  }
}

member_reader::member_reader(member_limits limits) : state_(std::make_unique<state>(limits)) {}
member_reader::~member_reader() = default;
member_reader::member_reader(member_reader&&) noexcept = default;
member_reader& member_reader::operator=(member_reader&&) noexcept = default;

void member_reader::open(std::string_view bytes) {
  state_->from = nullptr;
  state_->next = reinterpret_cast<const std::uint8_t*>(bytes.data());
  state_->available = bytes.size();
  state_->offset = 0;
}

void member_reader::open(std::istream& in) {
  open([&in](char* into, std::size_t size) {
    in.read(into, static_cast<std::streamsize>(size));
    return static_cast<std::size_t>(in.gcount());
  });
}

void member_reader::open(source from) {
  open(std::string_view{});
  state_->from = std::move(from);
}

member_status member_reader::next(decoded_member& member) {
  member.identity.reset();
  member.packed_bytes = 0;
  member.raw = {};
  const auto status = state_->read_header(member);
  return status == member_status::ok ? state_->read_data(member) : status;
}

member_status inflate_member(std::string_view bytes, std::string& raw, member_limits limits) {
  member_reader reader{limits};
  reader.open(bytes);
  decoded_member member;
  auto status = reader.next(member);
  raw.assign(member.raw);
  if (status == member_status::end)
    return member_status::truncated;
  return status == member_status::ok && member.packed_bytes != bytes.size() ? member_status::corrupt : status;
}

std::optional<member_identity> identity_of(std::string_view member) noexcept {
  const auto header = parse_header(reinterpret_cast<const std::uint8_t*>(member.data()), member.size());
  return header.what == parsed_header::result::ok ? header.identity : std::nullopt;
}

member_status read_members(std::istream& in, const std::function<bool(const decoded_member&)>& visit,
                           member_limits limits) {
  member_reader reader{limits};
  reader.open(in);
  decoded_member member;
  for (;;) {
    const auto status = reader.next(member);
    if (status != member_status::ok)
      return status;
    if (!visit(member))
      return status;
  }
}

} // namespace weir::store
