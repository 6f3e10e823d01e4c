#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

#include "actors/sources/body_builder.hpp"
#include "tests/unit/sources/fake_gate.hpp"
#include "tests/unit/sources/packed.hpp"

using namespace weir;

namespace {

struct outcome {
  int status = 200;
  std::string error;
  std::string text;
  std::uint64_t consumed = 0;
  std::uint64_t most_reserved = 0;
};

/// Unpacks `wire`, given in pieces of `piece` bytes.
outcome unpack(fake_gate& gate, body_encoding encoding, std::string_view wire, std::size_t piece,
               const body_limits& limits = {}) {
  body_builder builder{gate, gate.authenticate("s3cret"), limits, encoding, wire.size()};
  outcome result;
  const auto failed = [&](const std::optional<body_fault>& fault) {
    if (fault) {
      result.status = fault->why.status;
      result.error = fault->why.error;
    }
    result.consumed = builder.wire_bytes();
    return fault.has_value();
  };
  if (failed(builder.begin()))
    return result;
  while (true) {
    auto part = wire.substr(0, piece);
    wire.remove_prefix(part.size());
    const bool end = part.empty();
    for (bool idle = false; !idle;) {
      std::size_t consumed = 0;
      if (failed(builder.unpack(part, consumed, idle)))
        return result;
      part.remove_prefix(consumed);
      result.most_reserved = std::max(result.most_reserved, gate.window->used().bytes);
    }
    CHECK_EQ(part.size(), 0u);
    if (end)
      break;
  }
  std::shared_ptr<payload> bytes;
  if (failed(builder.finish(bytes)))
    return result;
  result.text = bytes->view();
  return result;
}

std::string noise(std::size_t size) {
  std::mt19937 random{42};
  std::string text(size, '\0');
  std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random()); });
  return text;
}

} // namespace

TEST_CASE("a packed body comes out as it went in, however its bytes are cut") {
  for (const auto& text : {std::string{"x"}, events(10), events(5'000), events(60'000), noise(3'000'000)})
    for (const std::size_t piece : {std::size_t{1} + text.size() / 1'000, std::size_t{65'536}, std::size_t{1} << 30}) {
      fake_gate gate;
      INFO("text of ", text.size(), " in pieces of ", piece);
      CHECK((unpack(gate, body_encoding::gzip, gzip(text), piece).text == text));
      CHECK((unpack(gate, body_encoding::gzip, gzip(text, 0), piece).text == text));
      CHECK((unpack(gate, body_encoding::zstd, zstd(text), piece).text == text));
      CHECK((unpack(gate, body_encoding::zstd, zstd(text, 20), piece).text == text));
      CHECK_EQ(gate.window->used().bytes, 0u);
    }
}

TEST_CASE("members and frames may follow one another, byte by byte, too") {
  const auto a = events(100), b = events(3);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
    fake_gate gate;
    CHECK_EQ(unpack(gate, body_encoding::gzip, gzip(a) + gzip("") + gzip(b), piece).text, a + b);
    CHECK_EQ(unpack(gate, body_encoding::zstd, zstd(a) + zstd("") + zstd(b), piece).text, a + b);
  }
}

TEST_CASE("SEC-06 a truncated body is refused wherever it was cut") {
  fake_gate gate;
  const auto text = events(50);
  for (const auto encoding : {body_encoding::gzip, body_encoding::zstd}) {
    const auto wire = encoding == body_encoding::gzip ? gzip(text) : zstd(text);
    for (std::size_t size = 0; size < wire.size(); ++size) {
      const auto result = unpack(gate, encoding, wire.substr(0, size), 4'096);
      CHECK_MESSAGE(result.status == 400, "cut at ", size);
      CHECK_EQ(result.error, "bad_encoding");
    }
  }
}

TEST_CASE("SEC-06 bytes behind a packed body are refused") {
  fake_gate gate;
  for (const auto* garbage : {"x", "\n", "{\"a\":1}\n", "\x1f", "\x1f\x8b", "\x28\xb5"}) {
    CHECK_EQ(unpack(gate, body_encoding::gzip, gzip(events(9)) + garbage, 4'096).status, 400);
    CHECK_EQ(unpack(gate, body_encoding::zstd, zstd(events(9)) + garbage, 4'096).status, 400);
  }
  CHECK_EQ(unpack(gate, body_encoding::gzip, events(9), 4'096).status, 400);
  CHECK_EQ(unpack(gate, body_encoding::zstd, events(9), 4'096).status, 400);
}

TEST_CASE("a flipped bit in a packed body is found, or does no harm") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random{seed};
  const auto text = events(500);
  const auto wire = gzip(text);
  fake_gate gate;
  for (int i = 0; i < 500; ++i) {
    auto damaged = wire;
    const auto at = random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    const auto result = unpack(gate, body_encoding::gzip, damaged, 1'000);
    // Name, time and system of the header are covered by no checksum.
    CHECK_MESSAGE((result.status == 400 || result.text == text), "bit of byte ", at);
  }
}

TEST_CASE("SEC-06 a bomb is stopped at the ratio, long before it has expanded") {
  fake_gate gate;
  const std::string zeros(64u << 20, '0');
  for (const auto encoding : {body_encoding::gzip, body_encoding::zstd}) {
    const auto wire = encoding == body_encoding::gzip ? gzip(zeros) : zstd(zeros);
    const auto result = unpack(gate, encoding, wire, 65'536);
    CHECK_EQ(result.status, 413);
    CHECK_EQ(result.error, "compression_ratio");
    // zstd says "64 MiB of zeros" in a few bytes, and asks for a window of its own.
    CHECK_LE(result.most_reserved, encoding == body_encoding::gzip ? 4u << 20 : 20u << 20);
  }
  CHECK_EQ(gate.window->used().bytes, 0u);
}

TEST_CASE("SEC-06 a body within the ratio is stopped at its size") {
  body_limits limits;
  limits.max_ratio = 1'000'000;
  fake_gate gate;
  const std::string zeros((16u << 20) + 1, '0');
  const std::string_view allowed{zeros.data(), 16u << 20};
  for (const auto encoding : {body_encoding::gzip, body_encoding::zstd}) {
    const auto pack = [&](std::string_view text) {
      return encoding == body_encoding::gzip ? gzip(text) : zstd(text, 20);
    };
    CHECK_EQ(unpack(gate, encoding, pack(allowed), 65'536, limits).text.size(), allowed.size());
    const auto result = unpack(gate, encoding, pack(zeros), 65'536, limits);
    CHECK_EQ(result.status, 413);
    CHECK_EQ(result.error, "body_too_large");
    CHECK_LE(result.most_reserved, 18u << 20);
  }
}

TEST_CASE("SEC-06 a zstd window is refused before it is allocated, and reserved before it is used") {
  fake_gate gate;
  const auto text = events(1'000);
  CHECK_EQ(unpack(gate, body_encoding::zstd, zstd(text, 24), 100).error, "window_too_large");
  const auto allowed = unpack(gate, body_encoding::zstd, zstd(text, 23), 100);
  CHECK((allowed.text == text));
  CHECK_GE(allowed.most_reserved, 9u << 20);
  // A later frame gets no larger window than the first one was granted.
  CHECK_EQ(unpack(gate, body_encoding::zstd, zstd(text, 18) + zstd(text, 23), 100).status, 400);
}

TEST_CASE("memory that is refused amid a body ends it with the refusal, and gives all back") {
  for (std::size_t granted = 0; granted < 4; ++granted) {
    fake_gate gate;
    gate.refuse_from = granted;
    const auto result = unpack(gate, body_encoding::gzip, gzip(noise(3'000'000)), 65'536);
    CHECK_EQ(result.status, 429);
    CHECK_EQ(gate.window->used().bytes, 0u);
    CHECK_EQ(gate.reserved().size(), granted + 1);
  }
}

TEST_CASE("OVL-08 a small packed body keeps no more memory than it needs while it waits") {
  fake_gate gate;
  body_builder builder{gate, gate.authenticate("s3cret"), {}, body_encoding::gzip, std::nullopt};
  REQUIRE_FALSE(builder.begin());
  const auto wire = gzip("{}\n");
  std::size_t consumed = 0;
  bool idle = false;
  REQUIRE_FALSE(builder.unpack(wire, consumed, idle));
  std::shared_ptr<payload> bytes;
  REQUIRE_FALSE(builder.finish(bytes));
  CHECK_EQ(bytes->view(), "{}\n");
  CHECK_EQ(bytes->capacity(), 3u);
  CHECK_EQ(gate.window->used().bytes, 3u);
  for (std::size_t i = 0; i < payload::padding; ++i)
    CHECK_EQ(bytes->data()[bytes->size() + i], '\0');
}

TEST_CASE("the front of a zstd stream names its window") {
  using kind = zstd_front::kind;
  const auto read = [](std::string_view bytes) { return read_zstd_front(bytes); };
  CHECK_EQ(read("\x28\xb5\x2f").what, kind::incomplete);
  CHECK_EQ(read("abcd").what, kind::bad);
  CHECK_EQ(read("\x50\x2a\x4d\x18").what, kind::skippable);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\x00\x68", 6}).window, 8u << 20);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\x00\x69", 6}).window, 9u << 20);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\x20\x07", 6}).window, 7u);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\x60\x00\x01", 7}).window, 512u);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\xe3\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff", 16}).what, kind::incomplete);
  CHECK_EQ(read({"\x28\xb5\x2f\xfd\xe3\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", 17}).window,
           ~std::uint64_t{0});
}
