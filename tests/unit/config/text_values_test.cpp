#include <doctest/doctest.h>

#include "config/text_values.hpp"

using namespace weir;
using namespace std::chrono_literals;

TEST_CASE("a size is a whole number with its unit") {
  CHECK_EQ(*parse_size("1GiB"), 1ull << 30);
  CHECK_EQ(*parse_size("64KiB"), 65'536u);
  CHECK_EQ(*parse_size("5MB"), 5'000'000u);
  CHECK_EQ(*parse_size("0B"), 0u);
  for (const char* bad : {"", "1", "GiB", "1 GiB", "-1GiB", "1.5GiB", "1gib", "1GiBs", "unlimited", "+1B", "0x10B",
                          "99999999999999999999B", "9999999999TiB"})
    CHECK_FALSE_MESSAGE(parse_size(bad), bad);
}

TEST_CASE("a time is a whole number with its unit") {
  CHECK_EQ(*parse_duration("50ms"), 50ms);
  CHECK_EQ(*parse_duration("30s"), 30s);
  CHECK_EQ(*parse_duration("5min"), 5min);
  CHECK_EQ(*parse_duration("72h"), 72h);
  CHECK_EQ(*parse_duration("7d"), 168h);
  for (const char* bad : {"", "30", "s", "-1s", "1.5s", "1m", "1 s", "forever", "99999999999999999999s"})
    CHECK_FALSE_MESSAGE(parse_duration(bad), bad);
}

TEST_CASE("sizes and times are shown as they would be written") {
  for (const char* text : {"0B", "1B", "1023B", "1KiB", "64KiB", "5MB", "1GiB", "3TiB"})
    CHECK_EQ(size_text(*parse_size(text)), text);
  for (const char* text : {"0ms", "50ms", "30s", "5min", "71h", "3d"})
    CHECK_EQ(duration_text(*parse_duration(text)), text);
}
