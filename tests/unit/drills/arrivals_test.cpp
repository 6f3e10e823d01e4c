#include <doctest/doctest.h>

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "drills/arrivals.hpp"
#include "drills/generate_events.hpp"
#include "drills/scratch_node.hpp"

using namespace weir;
using namespace weir::drills;

namespace {

std::string member(const std::string& text) {
  z_stream stream{};
  REQUIRE_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string events(std::uint64_t seed, std::uint64_t first, std::uint64_t count) {
  const generate::event_generator maker{{seed, 4, 0}};
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i)
    maker.append(first + i, text);
  return text;
}

void put(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
  std::ofstream{path, std::ios::binary} << bytes;
}

} // namespace

TEST_CASE("each event that arrived is found by its sender and counter, in any member of any object") {
  const drill_place place{"/tmp"};
  put(place.path() + "/1/a.log.gz",
      member(events(7, 0, 3'000)) + member(events(7, 3'000, 1)) + member(events(7, 3'001, 99)));
  put(place.path() + "/2/b.log.gz", member(events(8, 0, 50)) + member(events(7, 3'500, 10)));
  put(place.path() + "/2/.c.log.gz.part", "of an upload that is under way");
  const auto found = read_arrivals(place.path(), 7, 4'000);
  CHECK_EQ(found.objects, 2u);
  CHECK_EQ(found.arrived, 3'110u);
  CHECK_EQ(found.doubled, 0u);
  CHECK_EQ(found.foreign_events, 50u);
  CHECK_EQ(found.unknown_events, 0u);
  CHECK_EQ(found.damaged, 0u);
  CHECK(found.at_ns[3'099] > 0);
  CHECK_EQ(found.at_ns[3'100], 0);
  CHECK(found.at_ns[3'509] > 0);
}

TEST_CASE("an event that came twice, one that nobody sent, and an object that does not unpack are told apart") {
  const drill_place place{"/tmp"};
  put(place.path() + "/a.log.gz", member(events(7, 0, 10)));
  put(place.path() + "/b.log.gz", member(events(7, 5, 10) + "{\"a\":1}\nno event\n"));
  auto broken = member(events(7, 20, 1'000));
  broken[broken.size() / 2] = static_cast<char>(broken[broken.size() / 2] ^ 0x55);
  put(place.path() + "/c.log.gz", broken);
  put(place.path() + "/d.log.gz", member(events(7, 5'000, 1)).substr(0, 60));
  const auto found = read_arrivals(place.path(), 7, 15, 1);
  CHECK_EQ(found.arrived, 15u);
  CHECK_EQ(found.doubled, 5u);
  CHECK_GE(found.unknown_events, 2u);
  CHECK_EQ(found.damaged, 2u);
}
