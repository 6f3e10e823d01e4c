#include "actors/object_assembly.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <vector>

#include "actors/object_name.hpp"

using namespace weir;
using namespace weir::store;

namespace {

constexpr job_id some_job{1'000'007};
constexpr generation some_generation{77};

struct block {
  sequence_range range;
  std::uint32_t raw_bytes = 0;
  std::string member;
};

/// Events say their own sequence, so that a test sees which ones came.
std::string event(sequence n, std::size_t size = 0) {
  auto text = fmt::format(R"({{"n":{},"x":")", n);
  while (text.size() + 3 < size)
    text += static_cast<char>('a' + (text.size() * 7 + n * 13) % 26);
  return text + "\"}\n";
}

std::string events(sequence first, std::uint64_t count, std::size_t size = 0) {
  std::string text;
  for (auto n = first; n < first + count; ++n)
    text += event(n, size);
  return text;
}

block make_block(sequence first, std::uint64_t count, std::size_t size = 0, job_id job = some_job) {
  static member_sealer sealer;
  const sequence_range range{some_generation, first, count};
  const auto raw = events(first, count, size);
  return {range, static_cast<std::uint32_t>(raw.size()), sealer.seal_run({job, range}, raw)};
}

struct assembled {
  std::string bytes;
  std::string raw;
  std::vector<sequence_range> members;
  std::size_t largest_window = 0;
  std::size_t most_held = 0;
  assembly_result result = assembly_result::ok;
  std::uint64_t events = 0, missing = 0, merged = 0, passed = 0;
};

assembled assemble(const sequence_range& cut, const std::vector<block>& blocks,
                   std::size_t merge_below = object_assembly::untouched_raw_bytes) {
  assembly_tools tools;
  object_assembly object{some_job, cut, merge_below};
  assembled result;
  const auto drain = [&] {
    for (auto window = object.pull(); !window.empty(); window = object.pull()) {
      result.largest_window = std::max(result.largest_window, window.size());
      result.bytes += window;
    }
  };
  for (const auto& b : blocks) {
    if (!object.wants_block())
      break;
    result.result = object.push(tools, b.range, b.raw_bytes, b.member);
    if (result.result != assembly_result::ok)
      return result;
    result.most_held = std::max(result.most_held, object.held_bytes());
    drain();
    CHECK(object.wants_block() == (object.next() < cut.end()));
  }
  object.finish(tools);
  drain();
  CHECK(object.done());
  result.events = object.events();
  result.missing = object.missing();
  result.merged = object.merged_members();
  result.passed = object.passed_members();
  member_reader reader;
  reader.open(result.bytes);
  decoded_member member;
  member_status status;
  while ((status = reader.next(member)) == member_status::ok) {
    REQUIRE(member.identity);
    CHECK(member.identity->job == some_job);
    result.members.push_back(member.identity->range);
    result.raw += member.raw;
  }
  CHECK_EQ(status, member_status::end);
  return result;
}

} // namespace

TEST_CASE("large members inside a cut pass untouched") {
  const auto a = make_block(1, 100, 650), b = make_block(101, 200, 650);
  const auto object = assemble({some_generation, 1, 300}, {a, b});
  CHECK(object.bytes == a.member + b.member);
  CHECK_EQ(object.passed, 2u);
  CHECK_EQ(object.merged, 0u);
}

TEST_CASE("small members are merged up to 256 KiB raw, in order and without loss") {
  std::vector<block> blocks;
  sequence next = 1;
  while (next < 2'000) {
    const auto count = 1 + next % 3;
    blocks.push_back(make_block(next, count, 650));
    next += count;
  }
  const auto object = assemble({some_generation, 1, next - 1}, blocks);
  CHECK(object.raw == events(1, next - 1, 650));
  CHECK_EQ(object.events, next - 1);
  CHECK_EQ(object.merged, blocks.size());
  CHECK_EQ(object.members.size(), (events(1, next - 1, 650).size() + 256 * 1024) / (256 * 1024));
  sequence expected = 1;
  for (const auto& member : object.members) {
    CHECK_EQ(member.first, expected);
    expected = member.end();
  }
  std::size_t before = 0;
  for (const auto& b : blocks)
    before += b.member.size();
  CHECK_LT(object.bytes.size(), before);
}

TEST_CASE("a node that is short of time passes small members untouched too") {
  const auto a = make_block(1, 2), b = make_block(3, 1), c = make_block(4, 3);
  const auto whole = assemble({some_generation, 1, 6}, {a, b, c}, 0);
  CHECK(whole.bytes == a.member + b.member + c.member);
  const auto part = assemble({some_generation, 2, 4}, {a, b, c}, 0);
  CHECK(part.raw == events(2, 4));
  CHECK_EQ(part.passed, 1u);
}

TEST_CASE("small and large members alternate without changing the order") {
  std::vector<block> blocks;
  sequence next = 5;
  for (int i = 0; i < 20; ++i) {
    const auto count = i % 3 == 0 ? 60u : 2u;
    blocks.push_back(make_block(next, count, 650));
    next += count;
  }
  const auto object = assemble({some_generation, 5, next - 5}, blocks);
  CHECK(object.raw == events(5, next - 5, 650));
  CHECK_EQ(object.passed, 7u);
  CHECK_EQ(object.merged, 13u);
}

TEST_CASE("of a block partly inside the cut only the events inside are taken") {
  const auto a = make_block(1, 100, 650), b = make_block(101, 100, 650), c = make_block(201, 100, 650);
  for (const auto& cut : {sequence_range{some_generation, 50, 200}, sequence_range{some_generation, 101, 50},
                          sequence_range{some_generation, 150, 1}, sequence_range{some_generation, 200, 1},
                          sequence_range{some_generation, 101, 100}}) {
    CAPTURE(cut.first);
    CAPTURE(cut.count);
    std::vector<block> inside;
    for (const auto& x : {a, b, c})
      if (x.range.end() > cut.first && x.range.first < cut.end())
        inside.push_back(x);
    const auto object = assemble(cut, inside);
    CHECK_EQ(object.result, assembly_result::ok);
    CHECK(object.raw == events(cut.first, cut.count, 650));
    CHECK_EQ(object.missing, 0u);
  }
}

TEST_CASE("a split cut gives the same events in two objects as it gave in one") {
  constexpr std::uint64_t seed = 17;
  INFO("seed ", seed);
  std::mt19937_64 random{seed};
  std::vector<block> blocks;
  sequence next = 1;
  for (int i = 0; i < 60; ++i) {
    const auto count = 1 + random() % (i % 5 ? 4 : 150);
    blocks.push_back(make_block(next, count, 100 + random() % 900));
    next += count;
  }
  const auto whole = assemble({some_generation, 1, next - 1}, blocks);
  for (int i = 0; i < 20; ++i) {
    const auto at = 1 + random() % (next - 2);
    std::vector<block> first, second;
    for (const auto& b : blocks) {
      if (b.range.first <= at)
        first.push_back(b);
      if (b.range.end() > at + 1)
        second.push_back(b);
    }
    const auto left = assemble({some_generation, 1, at}, first);
    const auto right = assemble({some_generation, at + 1, next - 1 - at}, second);
    CHECK(left.raw + right.raw == whole.raw);
  }
}

TEST_CASE("a missing block is a gap in the members, never hidden by merging") {
  const auto object = assemble({some_generation, 1, 12}, {make_block(1, 3), make_block(6, 2), make_block(8, 2)});
  CHECK(object.raw == events(1, 3) + events(6, 4));
  REQUIRE_EQ(object.members.size(), 2u);
  CHECK(object.members[0] == sequence_range{some_generation, 1, 3});
  CHECK(object.members[1] == sequence_range{some_generation, 6, 4});
  CHECK_EQ(object.missing, 5u);
  CHECK_EQ(object.events, 7u);
}

TEST_CASE("memory and windows stay bounded however large the cut is") {
  std::vector<block> blocks;
  sequence next = 1;
  for (int i = 0; i < 1'000; ++i) {
    const auto count = i % 2 ? 400u : 3u;
    blocks.push_back(make_block(next, count, 650));
    next += count;
  }
  const auto object = assemble({some_generation, 1, next - 1}, blocks);
  CHECK(object.raw == events(1, next - 1, 650));
  CHECK_GT(object.bytes.size(), 1u << 20);
  CHECK_EQ(object.largest_window, object_assembly::window_bytes);
  CHECK_LE(object.most_held, 1u << 20);
}

TEST_CASE("a large event goes into a member of its own size") {
  const auto big = make_block(2, 1, 900'000);
  const auto object = assemble({some_generation, 1, 3}, {make_block(1, 1), big, make_block(3, 1)});
  CHECK(object.raw == events(1, 1) + events(2, 1, 900'000) + events(3, 1));
  CHECK_EQ(object.passed, 1u);
}

TEST_CASE("an assembly refuses blocks that are not the next ones of its cut") {
  assembly_tools tools;
  const auto a = make_block(1, 5), b = make_block(6, 5), c = make_block(11, 5);
  object_assembly object{some_job, {some_generation, 1, 10}};
  CHECK_EQ(object.push(tools, c.range, c.raw_bytes, c.member), assembly_result::out_of_order);
  CHECK_EQ(object.push(tools, b.range, b.raw_bytes, b.member), assembly_result::ok);
  CHECK_EQ(object.push(tools, a.range, a.raw_bytes, a.member), assembly_result::out_of_order);
  CHECK_EQ(object.push(tools, b.range, b.raw_bytes, b.member), assembly_result::out_of_order);
  CHECK_FALSE(object.wants_block());
  object.finish(tools);
  CHECK_EQ(object.missing(), 5u);
  const sequence_range other{generation{78}, 1, 5};
  object_assembly fresh{some_job, {some_generation, 1, 10}};
  CHECK_EQ(fresh.push(tools, other, a.raw_bytes, a.member), assembly_result::out_of_order);
}

TEST_CASE("an assembly refuses a member of other events, or one that is damaged") {
  assembly_tools tools;
  member_sealer sealer;
  const auto good = make_block(1, 5), longer = make_block(1, 6), foreign = make_block(1, 5, 0, job_id{8});
  const auto fresh = [] { return object_assembly{some_job, {some_generation, 1, 10}}; };
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, longer.member), assembly_result::wrong_member);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, foreign.member), assembly_result::wrong_member);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, ""), assembly_result::wrong_member);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, good.member.substr(0, good.member.size() - 1)),
           assembly_result::corrupt);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, good.member + "x"), assembly_result::corrupt);
  const auto four = events(1, 4);
  CHECK_EQ(fresh().push(tools, good.range, static_cast<std::uint32_t>(four.size()),
                        sealer.seal_run({some_job, good.range}, four)),
           assembly_result::corrupt);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes + 1, good.member), assembly_result::corrupt);
  CHECK_EQ(fresh().push(tools, good.range, good.raw_bytes, good.member), assembly_result::ok);
}

TEST_CASE("an object's name tells when its events came, and its hash follows from the cut") {
  constexpr std::uint64_t first = 1'628'807'400'123'456'789, last = 1'628'808'000'999'999'999;
  const sequence_range cut{generation{5}, 1, 1'000};
  const auto name = object_file_name(job_id{9}, cut, first, last, false);
  CHECK_EQ(name.substr(0, 34), "20210812T223000Z_20210812T224000Z_");
  CHECK_EQ(name.size(), 34 + 8 + 7);
  CHECK_EQ(name.substr(42), ".log.gz");
  CHECK_EQ(name.find_first_not_of("0123456789abcdef", 34), 42u);
  const auto longer = object_file_name(job_id{9}, cut, first, last, true);
  CHECK_EQ(longer.size(), name.size() + 8);
  CHECK_EQ(longer.substr(0, 42), name.substr(0, 42));
  CHECK_EQ(object_file_name(job_id{9}, cut, first, last, false), name);
  for (const auto& other : {object_file_name(job_id{10}, cut, first, last, false),
                            object_file_name(job_id{9}, {generation{6}, 1, 1'000}, first, last, false),
                            object_file_name(job_id{9}, {generation{5}, 2, 1'000}, first, last, false),
                            object_file_name(job_id{9}, {generation{5}, 1, 999}, first, last, false)})
    CHECK_NE(other, name);
}

TEST_CASE("{DATE} in a path becomes the day of the first event") {
  constexpr std::uint64_t at = 1'628'807'400'000'000'000;
  CHECK_EQ(expand_date("logs/{DATE}/x-{DATE}", at), "logs/20210812/x-20210812");
  CHECK_EQ(expand_date("{DATE}", 0), "19700101");
  CHECK_EQ(expand_date("a/{date}/{DATE", at), "a/{date}/{DATE");
  CHECK_EQ(expand_date("", at), "");
}
