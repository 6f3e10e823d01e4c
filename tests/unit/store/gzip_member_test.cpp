#include "store/gzip_member.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <random>
#include <sstream>

using namespace weir;
using namespace weir::store;

namespace {

const member_identity some_identity{job_id{1'000'001}, {generation{0x1122334455667788}, 42, 3}};

std::string some_event(std::mt19937_64& random, std::size_t filler) {
  std::string text;
  while (text.size() < filler)
    text += fmt::format("/path/{}?", random() % 1000);
  return fmt::format(R"({{"RayID":"{:016x}","ClientRequestURI":"{}","EdgeResponseStatus":200}})", random(), text);
}

/// What zlib, an implementation not ours, makes of concatenated members.
std::string inflate_with_zlib(const std::string& packed) {
  std::string raw;
  z_stream stream{};
  REQUIRE_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  char buffer[10'000];
  while (stream.avail_in > 0) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    const auto result = inflate(&stream, Z_NO_FLUSH);
    REQUIRE((result == Z_OK || result == Z_STREAM_END));
    raw.append(buffer, sizeof buffer - stream.avail_out);
    if (result == Z_STREAM_END && stream.avail_in > 0)
      REQUIRE_EQ(inflateReset(&stream), Z_OK);
  }
  inflateEnd(&stream);
  return raw;
}

std::string gzip_of_somebody_else(const std::string& raw) {
  std::string packed(compressBound(raw.size()) + 64, '\0');
  z_stream stream{};
  REQUIRE_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string name = "a-name";
  std::string extra{"ab\x02\0xy", 6};
  gz_header header{};
  header.name = reinterpret_cast<Bytef*>(name.data());
  header.extra = reinterpret_cast<Bytef*>(extra.data());
  header.extra_len = 6;
  header.hcrc = 1;
  REQUIRE_EQ(deflateSetHeader(&stream, &header), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

} // namespace

TEST_CASE("a sealed member holds its events one a line and says whose they are") {
  member_sealer sealer;
  const auto member = sealer.seal(some_identity, {R"({"a":1})", "{\"b\":2}\n", R"({"c":3})"});
  std::string raw;
  CHECK_EQ(inflate_member(member, raw), member_status::ok);
  CHECK_EQ(raw, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
  REQUIRE(identity_of(member));
  CHECK(*identity_of(member) == some_identity);
}

TEST_CASE("the identity stands at fixed places of the header, little endian") {
  member_sealer sealer;
  const auto member = sealer.seal_run({job_id{0x0102}, {generation{0x1122334455667788}, 5, 6}}, "{}\n");
  const std::string expected{
      "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x25\0WR\x21\0\x01"
      "\x02\x01\0\0\0\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0",
      member_header_bytes};
  CHECK_EQ(member.substr(0, member_header_bytes), expected);
}

TEST_CASE("members of every size are read by zlib exactly as they were sealed") {
  constexpr std::uint64_t seed = 7;
  INFO("seed ", seed);
  std::mt19937_64 random{seed};
  member_sealer sealer;
  std::string object, expected;
  for (const auto size :
       {0, 1, 2, 100, 1'000, 8'190, 8'191, 8'192, 8'193, 16'383, 16'384, 65'535, 65'536, 262'144, 3'000'000}) {
    std::string raw;
    while (raw.size() < static_cast<std::size_t>(size))
      raw += some_event(random, 100 + random() % 300) + "\n";
    object += sealer.seal_run(some_identity, raw);
    expected += raw;
  }
  CHECK(inflate_with_zlib(object) == expected);
}

TEST_CASE("small members of any content are read by zlib") {
  constexpr std::uint64_t seed = 11;
  INFO("seed ", seed);
  std::mt19937_64 random{seed};
  member_sealer sealer;
  std::string object, expected;
  for (int i = 0; i < 500; ++i) {
    std::string raw = some_event(random, random() % 8'000);
    if (i % 5 == 0)
      for (auto& byte : raw)
        byte = static_cast<char>(random());
    raw += '\n';
    object += sealer.seal_run(some_identity, raw);
    expected += raw;
  }
  CHECK(inflate_with_zlib(object) == expected);
}

TEST_CASE("bytes that do not pack become at most a little larger") {
  std::mt19937_64 random{3};
  member_sealer sealer;
  for (const std::size_t size : {100u, 5'000u, 100'000u}) {
    std::string noise;
    for (std::size_t i = 1; i < size; ++i)
      noise += static_cast<char>(random());
    noise += '\n';
    const auto member = sealer.seal_run(some_identity, noise);
    CHECK_LE(member.size(), noise.size() + noise.size() / 1'000 + 100);
    CHECK(inflate_with_zlib(member) == noise);
  }
}

TEST_CASE("gzip -dc reads an object of many members") {
  member_sealer sealer;
  char path[] = "/tmp/weir-member-XXXXXX";
  const auto fd = mkstemp(path);
  REQUIRE(fd >= 0);
  std::string object, expected;
  for (int i = 0; i < 100; ++i) {
    const auto event = fmt::format(R"({{"n":{}}})", i);
    object += sealer.seal(some_identity, {event});
    expected += event + "\n";
  }
  REQUIRE_EQ(write(fd, object.data(), object.size()), static_cast<ssize_t>(object.size()));
  close(fd);
  auto* pipe = popen(fmt::format("gzip -dc < {}", path).c_str(), "r");
  REQUIRE(pipe);
  std::string got;
  char buffer[4'096];
  while (const auto n = fread(buffer, 1, sizeof buffer, pipe))
    got.append(buffer, n);
  CHECK_EQ(pclose(pipe), 0);
  unlink(path);
  CHECK_EQ(got, expected);
}

TEST_CASE("an object is read member by member, also those of others, whatever steps its bytes come in") {
  std::mt19937_64 random{5};
  member_sealer sealer;
  std::vector<std::string> raws;
  std::string object;
  for (int i = 0; i < 12; ++i) {
    std::string raw;
    for (std::size_t j = 0, n = random() % 60; j < n; ++j)
      raw += some_event(random, 500) + "\n";
    raws.push_back(raw);
    object += i % 4 == 3 ? gzip_of_somebody_else(raw)
                         : sealer.seal_run({job_id{1}, {generation{2}, static_cast<sequence>(i), 1}}, raw);
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4'096}, object.size()}) {
    CAPTURE(step);
    member_reader reader;
    std::size_t at = 0;
    reader.open([&](char* into, std::size_t size) {
      const auto n = object.copy(into, std::min(size, step), at);
      at += n;
      return n;
    });
    decoded_member member;
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < raws.size(); ++i) {
      CAPTURE(i);
      REQUIRE_EQ(reader.next(member), member_status::ok);
      CHECK(member.raw == raws[i]);
      CHECK_EQ(member.offset, offset);
      offset += member.packed_bytes;
      REQUIRE_EQ(member.identity.has_value(), i % 4 != 3);
      if (member.identity)
        CHECK_EQ(member.identity->range.first, i);
    }
    CHECK_EQ(reader.next(member), member_status::end);
    CHECK_EQ(offset, object.size());
  }
  std::istringstream in{object};
  std::size_t seen = 0;
  CHECK_EQ(read_members(in, [&](const decoded_member&) { return ++seen; }), member_status::end);
  CHECK_EQ(seen, raws.size());
}

TEST_CASE("a member that ends too early is truncated, wherever it is cut") {
  std::mt19937_64 random{9};
  member_sealer sealer;
  const auto member = sealer.seal(some_identity, {some_event(random, 3'000)});
  std::string raw;
  for (std::size_t size = 0; size < member.size(); ++size) {
    CAPTURE(size);
    CHECK_EQ(inflate_member(std::string_view{member}.substr(0, size), raw), member_status::truncated);
  }
}

TEST_CASE("a damaged member is refused and never read as something else") {
  constexpr std::uint64_t seed = 13;
  INFO("seed ", seed);
  std::mt19937_64 random{seed};
  member_sealer sealer;
  const auto event = some_event(random, 20'000) + "\n";
  const auto member = sealer.seal_run(some_identity, event);
  member_reader reader;
  decoded_member decoded;
  for (int i = 0; i < 3'000; ++i) {
    auto damaged = member;
    const auto at = member_header_bytes + random() % (member.size() - member_header_bytes);
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    reader.open(damaged);
    const auto status = reader.next(decoded);
    const bool harmless = status == member_status::ok && decoded.raw == event;
    CHECK_MESSAGE((status != member_status::ok || harmless), "at ", at);
  }
}

TEST_CASE("bytes that are no gzip, and trailing ones, are named as such") {
  member_sealer sealer;
  auto member = sealer.seal_run(some_identity, "{}\n");
  std::string raw;
  CHECK_EQ(inflate_member("{\"a\":1}\n", raw), member_status::not_gzip);
  CHECK_EQ(inflate_member(member + "x", raw), member_status::corrupt);
  CHECK_EQ(inflate_member("", raw), member_status::truncated);
  member[3] = '\x24'; // a reserved flag
  CHECK_EQ(inflate_member(member, raw), member_status::not_gzip);
}

TEST_CASE("a bomb is stopped at the size limit and at the ratio limit") {
  member_sealer sealer;
  std::string zeros(10 << 20, '0');
  zeros.back() = '\n';
  const auto bomb = sealer.seal_run(some_identity, zeros);
  CHECK_LT(bomb.size(), 100'000u);
  std::string raw;
  CHECK_EQ(inflate_member(bomb, raw, {1 << 20, 0}), member_status::too_large);
  CHECK_LE(raw.size(), 3u << 20);
  CHECK_EQ(inflate_member(bomb, raw, {64 << 20, 100}), member_status::too_large);
  CHECK_LE(raw.size(), 1u << 20);
  CHECK_EQ(inflate_member(bomb, raw, {10 << 20, 0}), member_status::ok);
  CHECK(raw == zeros);
}

TEST_CASE("a subfield that lies about its length gives no identity") {
  member_sealer sealer;
  auto member = sealer.seal_run(some_identity, "{}\n");
  REQUIRE(identity_of(member));
  auto shorter = member;
  shorter[14] = 32;
  CHECK_FALSE(identity_of(shorter));
  auto longer = member;
  longer[14] = 34;
  CHECK_FALSE(identity_of(longer));
  CHECK_FALSE(identity_of(member.substr(0, 40)));
  CHECK_FALSE(identity_of(""));
}
