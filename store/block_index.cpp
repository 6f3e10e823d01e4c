#include "store/block_index.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "store/record_codec.hpp"

namespace weir::store {
namespace {

constexpr std::uint32_t chunk_header_bytes = 40;
constexpr std::uint32_t packed_block_bytes = 15;
constexpr std::uint32_t delay_unit = 64; // seconds; a chunk spans 4.5 hours, and ages matter in days
constexpr std::array<std::uint32_t, chunk_pool::classes> chunk_bytes{56, 72, 136, 256, 512, 1024, 2048};
constexpr std::uint16_t set_aside_file = 0xffff;

constexpr std::uint8_t capacity_of(std::size_t size_class) {
  return static_cast<std::uint8_t>((chunk_bytes[size_class] - chunk_header_bytes) / packed_block_bytes);
}
static_assert(capacity_of(0) == 1 && capacity_of(chunk_pool::classes - 1) == 133);

} // namespace

std::uint32_t block_place::bytes() const noexcept {
  return record_bytes(meta_bytes, payload_bytes);
}

namespace {

// Raw sizes in 8 bits, in units of 64 bytes: up to 8 units as they are, then three bits of mantissa
// behind a leading one and five of exponent. What is unpacked is never less than what was packed.
constexpr std::uint32_t raw_unit = 64;

std::uint32_t unpack_raw(std::uint8_t code) {
  const std::uint32_t exponent = code >> 3;
  const std::uint32_t mantissa = code & 7;
  const auto units = exponent == 0 ? std::uint64_t{mantissa} : std::uint64_t{8 + mantissa} << (exponent - 1);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(units * raw_unit, 0xffff'ffff));
}

std::uint8_t pack_raw(std::uint32_t bytes) {
  auto units = (std::uint64_t{bytes} + raw_unit - 1) / raw_unit;
  std::uint32_t exponent = 0;
  bool inexact = false;
  for (; units >= 16; units >>= 1, ++exponent)
    inexact = inexact || (units & 1) != 0;
  // Rounding up may carry into the next exponent: the codes follow one another, so adding one does it.
  const auto code = units < 8 ? units : ((exponent + 1) << 3) + (units - 8);
  return static_cast<std::uint8_t>(code + (inexact ? 1 : 0));
}

} // namespace

block_index::block_index() : chunks_(chunk_bytes) {
  static_assert(sizeof(chunk) == chunk_header_bytes && sizeof(block) == packed_block_bytes);
}

indexed_block block_index::expand(const chunk& c, const block& b, sequence first, bool front) {
  indexed_block x;
  x.range = {generation{c.generation}, first, b.count()};
  x.place.file = b.file();
  x.place.offset = static_cast<std::uint32_t>((b.place >> 24) & 0xffffff) * 8;
  x.place.meta_bytes = ((b.count_and_meta & 0xff) | (std::uint32_t{b.meta_high} << 8)) * 8;
  auto length = static_cast<std::uint32_t>((b.place >> 3) & 0x1fffff) * 8;
  x.place.payload_bytes = length - record_header_bytes - x.place.meta_bytes - static_cast<std::uint32_t>(b.place & 7);
  x.arrival_seconds = c.base_seconds + b.delay * delay_unit;
  x.raw_bytes_at_most = unpack_raw(b.raw);
  x.gone = front ? c.gone : 0;
  x.set_aside = b.file() == set_aside_file;
  return x;
}

void block_index::pack(block& to, const block_place& place, std::uint32_t count) {
  auto padding = round_up_8(place.payload_bytes) - place.payload_bytes;
  to.place = (std::uint64_t{place.file} << 48) | (std::uint64_t{place.offset / 8} << 24)
             | (std::uint64_t{place.bytes() / 8} << 3) | padding;
  auto meta = place.meta_bytes / 8;
  to.count_and_meta = (count << 8) | (meta & 0xff);
  to.meta_high = static_cast<std::uint8_t>(meta >> 8);
}

bool block_index::fits_behind(const chunk& tail, const indexed_block& x) const {
  return tail.generation == number(x.range.generation) && tail.first + tail.events == x.range.first
         && x.arrival_seconds >= tail.base_seconds && x.arrival_seconds - tail.base_seconds < 256 * delay_unit
         && x.range.count <= std::numeric_limits<std::uint32_t>::max() - tail.events;
}

chunk_pool::handle block_index::make_chunk(std::size_t size_class, const indexed_block& first) {
  auto made = chunks_.take(size_class);
  auto& c = at(made);
  c = chunk{};
  c.generation = number(first.range.generation);
  c.first = first.range.first;
  c.base_seconds = first.arrival_seconds;
  c.gone = first.gone;
  c.next = made;
  return made;
}

// A chunk that is full but small moves into a larger one; most jobs have one small chunk only.
chunk_pool::handle block_index::grow(slot job, chunk_pool::handle tail) {
  auto larger = chunks_.take(chunk_pool::class_of(tail) + 1);
  auto& from = at(tail);
  auto& to = at(larger);
  to = from;
  to.begin = 0;
  to.end = static_cast<std::uint8_t>(from.end - from.begin);
  std::copy(blocks_of(from) + from.begin, blocks_of(from) + from.end, blocks_of(to));
  auto previous = tail;
  while (at(previous).next != tail)
    previous = at(previous).next;
  if (previous == tail)
    to.next = larger;
  else
    at(previous).next = larger;
  jobs_.at(job).blocks = larger;
  chunks_.give_back(tail);
  return larger;
}

void block_index::append(slot job, const indexed_block& x) {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none) {
    tail = make_chunk(0, x);
  } else if (!fits_behind(at(tail), x)) {
    auto added = make_chunk(0, x);
    at(added).next = at(tail).next;
    at(tail).next = added;
    tail = added;
  } else if (at(tail).end == capacity_of(chunk_pool::class_of(tail))) {
    auto full = at(tail).end - at(tail).begin == capacity_of(chunk_pool::classes - 1);
    if (!full && chunk_pool::class_of(tail) + 1 < chunk_pool::classes) {
      tail = grow(job, tail);
    } else {
      auto added = make_chunk(chunk_pool::classes - 1, x);
      at(added).next = at(tail).next;
      at(tail).next = added;
      tail = added;
    }
  }
  auto& c = at(tail);
  auto& b = blocks_of(c)[c.end++];
  auto place = x.place;
  if (x.set_aside)
    place.file = set_aside_file;
  pack(b, place, static_cast<std::uint32_t>(x.range.count));
  b.delay = static_cast<std::uint8_t>((x.arrival_seconds - c.base_seconds) / delay_unit);
  b.raw = pack_raw(x.raw_bytes_at_most);
  c.events += static_cast<std::uint32_t>(x.range.count);
  jobs_.at(job).blocks = tail;
  ++blocks_;
}

std::optional<indexed_block> block_index::find(slot job, const sequence_range& range) const {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return std::nullopt;
  std::optional<indexed_block> found;
  auto x = tail;
  do {
    x = at(x).next;
    auto& c = at(x);
    if (c.generation != number(range.generation) || range.first < c.first || range.first >= c.first + c.events)
      continue;
    visit_chunk(c, [&](const indexed_block& b, block&) {
      if (b.range == range)
        found = b;
      return b.range.first < range.first;
    });
    break;
  } while (x != tail);
  return found;
}

std::optional<block_place> block_index::move(slot job, const sequence_range& range, const block_place& to) {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return std::nullopt;
  std::optional<block_place> moved;
  auto x = tail;
  do {
    x = at(x).next;
    auto& c = at(x);
    if (c.generation != number(range.generation) || range.first < c.first || range.first >= c.first + c.events)
      continue;
    visit_chunk(c, [&](const indexed_block& b, block& raw) {
      if (b.range == range && !b.set_aside) {
        moved = b.place;
        pack(raw, to, static_cast<std::uint32_t>(range.count));
      }
      return b.range.first < range.first;
    });
    break;
  } while (x != tail);
  return moved;
}

void block_index::drop_front(chunk& c) const {
  auto count = blocks_of(c)[c.begin++].count();
  c.first += count;
  c.events -= count;
  c.gone = 0;
}

void block_index::unlink(slot job, chunk_pool::handle previous, chunk_pool::handle x) {
  if (previous == x) {
    jobs_.at(job).blocks = chunk_pool::none;
  } else {
    at(previous).next = at(x).next;
    if (jobs_.at(job).blocks == x)
      jobs_.at(job).blocks = previous;
  }
  chunks_.give_back(x);
}

std::uint64_t block_index::trim(slot job, generation of, sequence end, std::vector<indexed_block>& removed) {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return 0;
  std::uint64_t events = 0;
  auto previous = tail;
  for (auto x = at(tail).next;;) {
    auto& c = at(x);
    auto last = x == tail;
    auto next = c.next;
    if (c.generation == number(of) && c.first < end) {
      while (c.begin < c.end) {
        auto front = expand(c, blocks_of(c)[c.begin], c.first, true);
        if (front.range.end() <= end) {
          events += front.live_events();
          --blocks_;
          if (!front.set_aside)
            removed.push_back(front);
          drop_front(c);
          continue;
        }
        if (front.range.first + front.gone < end) {
          auto taken = end - front.range.first - front.gone;
          events += front.set_aside ? 0 : taken;
          c.gone += static_cast<std::uint32_t>(taken);
        }
        break;
      }
    }
    if (c.begin == c.end) {
      auto only = previous == x;
      unlink(job, previous, x);
      if (only)
        break;
    } else {
      previous = x;
      if (c.generation == number(of))
        break; // What comes behind it in its generation is later still.
    }
    if (last)
      break;
    x = next;
  }
  return events;
}

std::optional<indexed_block> block_index::set_aside(slot job, const sequence_range& range) {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return std::nullopt;
  auto previous = tail;
  bool foremost = true; // Nothing of its generation is before its chunk.
  auto x = at(tail).next;
  while (at(x).generation != number(range.generation) || range.first < at(x).first
         || range.first >= at(x).first + at(x).events) {
    if (x == tail)
      return std::nullopt;
    foremost = foremost && at(x).generation != number(range.generation);
    previous = x;
    x = at(x).next;
  }
  std::optional<indexed_block> found;
  auto& c = at(x);
  visit_chunk(c, [&](const indexed_block& b, block& raw) {
    if (b.range == range && !b.set_aside) {
      found = b;
      raw.place |= std::uint64_t{set_aside_file} << 48;
    }
    return b.range.first < range.first;
  });
  // Behind other blocks it stays as a mark of what is gone: only the first live sequence of a generation
  // and such marks tell a start which blocks of the log not to take up again.
  while (foremost && c.begin < c.end && blocks_of(c)[c.begin].file() == set_aside_file) {
    drop_front(c);
    --blocks_;
  }
  if (c.begin == c.end)
    unlink(job, previous, x);
  return found;
}

std::optional<sequence> block_index::first_live(slot job, generation of) const {
  std::optional<sequence> first;
  visit(job, [&](const indexed_block& b) {
    if (b.range.generation == of && !b.set_aside)
      first = b.range.first + b.gone;
    return !first;
  });
  return first;
}

std::optional<sequence_range> block_index::behind_all(slot job) const {
  auto tail = jobs_.at(job).blocks;
  if (tail == chunk_pool::none)
    return std::nullopt;
  const auto& c = at(tail);
  return sequence_range{generation{c.generation}, c.first + c.events, 0};
}

void block_index::rebuild(slot job, const std::vector<indexed_block>& all) {
  auto tail = jobs_.at(job).blocks;
  if (tail != chunk_pool::none) {
    auto x = at(tail).next;
    while (true) {
      auto next = at(x).next;
      blocks_ -= static_cast<std::uint64_t>(at(x).end - at(x).begin);
      chunks_.give_back(x);
      if (x == tail)
        break;
      x = next;
    }
    jobs_.at(job).blocks = chunk_pool::none;
  }
  for (const auto& b : all)
    append(job, b);
}

} // namespace weir::store
