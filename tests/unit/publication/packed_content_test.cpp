#include "actors/publication/packed_content.hpp"

#include <iterator>
#include <random>
#include <string>

#include <doctest/doctest.h>

namespace {

/// Longer than any buffer on the way, and not the same twice.
std::string some_text(std::size_t lines) {
  std::mt19937_64 random{7};
  std::string text;
  for (std::size_t i = 0; i < lines; ++i)
    text += "job " + std::to_string(i) + " goes to " + std::to_string(random()) + "\n";
  return text;
}

std::string unpacked(const std::string& packed, bool& good) {
  weir::unpacking_stream from{packed};
  std::string text;
  char piece[1'000];
  while (from.read(piece, sizeof piece) || from.gcount() > 0)
    text.append(piece, static_cast<std::size_t>(from.gcount()));
  good = !from.bad();
  return text;
}

} // namespace

TEST_CASE("What a version says is packed while it is written, and comes back byte for byte") {
  for (const std::size_t lines : {0, 1, 100, 100'000}) {
    const auto text = some_text(lines);
    const auto packed = weir::packed_content([&](std::ostream& into) {
      for (std::size_t at = 0; at < text.size(); at += 777)
        into << text.substr(at, 777);
      return true;
    });
    REQUIRE(packed);
    bool good = false;
    CHECK(unpacked(*packed, good) == text);
    CHECK(good);
    if (lines > 1'000)
      CHECK_LT(packed->size(), text.size() / 2);
  }
}

TEST_CASE("A version that could not be written whole is not kept") {
  CHECK_FALSE(weir::packed_content([](std::ostream& into) {
    into << "half";
    return false;
  }));
}

TEST_CASE("A content that is cut off or damaged does not pass for the whole") {
  const auto text = some_text(50'000);
  const auto packed = *weir::packed_content([&](std::ostream& into) { return static_cast<bool>(into << text); });
  bool good = false;
  CHECK(unpacked(packed.substr(0, packed.size() / 2), good) != text);
  auto damaged = packed;
  damaged[0] = 'X';
  unpacked(damaged, good);
  CHECK_FALSE(good);
}
