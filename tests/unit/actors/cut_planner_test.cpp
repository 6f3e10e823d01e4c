#include "actors/cut_planner.hpp"

#include <doctest/doctest.h>

#include <map>

#include "actors/object_name.hpp"
#include "messages/error.hpp"

using namespace weir;

namespace {

store::block_info block(std::uint64_t of, sequence first, std::uint64_t count, std::uint32_t raw = 100) {
  store::block_info x;
  x.range = {generation{of}, first, count};
  x.raw_bytes_at_most = raw;
  return x;
}

/// Revisions by first sequence: each holds from there on.
struct revisions {
  std::map<sequence, std::uint64_t> from{{0, 1}};
  std::size_t asked = 0;

  auto lookup() {
    return [this](const store::block_info& x) -> caf::expected<std::uint64_t> {
      ++asked;
      return std::prev(from.upper_bound(x.range.first))->second;
    };
  }
};

cut_plan planned(const std::vector<store::block_info>& blocks, cut_limits limits, revisions& known) {
  auto plan = plan_cut(blocks, limits, known.lookup());
  REQUIRE(plan);
  REQUIRE(*plan);
  return **plan;
}

proto::Cut cut_of(sequence first, std::uint64_t count) {
  proto::Cut cut;
  cut.set_generation(5);
  cut.set_first(first);
  cut.set_count(count);
  cut.set_revision(3);
  cut.set_destination_fingerprint(9);
  cut.set_object_name(object_file_name(job_id{1}, {generation{5}, first, count}, 1'731'584'580'000'000'000,
                                       1'731'584'581'000'000'000, false));
  return cut;
}

} // namespace

TEST_CASE("a cut takes whole blocks from the oldest on, up to the limits, and one block at least") {
  revisions all;
  std::vector<store::block_info> blocks;
  for (sequence n = 0; n < 10; ++n)
    blocks.push_back(block(5, 1 + n * 10, 10));
  CHECK(planned(blocks, {1000, 1 << 20}, all).range == sequence_range{generation{5}, 1, 100});
  CHECK(planned(blocks, {35, 1 << 20}, all).range.count == 30);
  CHECK(planned(blocks, {30, 1 << 20}, all).range.count == 30);
  CHECK(planned(blocks, {1000, 250}, all).range.count == 20);
  CHECK(planned(blocks, {5, 1 << 20}, all).range.count == 10);
  CHECK(planned(blocks, {1000, 1}, all).range.count == 10);
  const auto plan = planned(blocks, {35, 1 << 20}, all);
  CHECK(plan.first_block.range.first == 1);
  CHECK(plan.last_block.range.first == 21);
}

TEST_CASE("without a block there is nothing to cut") {
  revisions all;
  const auto plan = plan_cut({}, {}, all.lookup());
  REQUIRE(plan);
  CHECK_FALSE(*plan);
  CHECK(all.asked == 0);
}

TEST_CASE("a cut spans neither two generations nor a gap") {
  revisions all;
  CHECK(planned({block(5, 1, 10), block(5, 11, 10), block(6, 1, 10)}, {}, all).range.count == 20);
  CHECK(planned({block(5, 1, 10), block(5, 21, 10)}, {}, all).range.count == 10);
}

TEST_CASE("a cut never spans two revisions, wherever the second begins, and looks at few blocks to know") {
  std::vector<store::block_info> blocks;
  for (sequence n = 0; n < 1000; ++n)
    blocks.push_back(block(5, 1 + n, 1));
  for (sequence second = 2; second <= 1000; second += 7) {
    revisions two{{{0, 1}, {second, 2}}};
    const auto plan = planned(blocks, {100'000, 1 << 30}, two);
    CHECK(plan.revision == 1);
    CHECK(plan.range.count == second - 1);
    CHECK(two.asked <= 13);
  }
  revisions three{{{0, 1}, {400, 2}, {700, 3}}};
  CHECK(planned(blocks, {100'000, 1 << 30}, three).range.count == 399);
  revisions one;
  planned(blocks, {100'000, 1 << 30}, one);
  CHECK(one.asked == 2);
}

TEST_CASE("a block that cannot be read makes no cut") {
  const auto plan = plan_cut({block(5, 1, 10)}, {}, [](const store::block_info&) -> caf::expected<std::uint64_t> {
    return make_error(errc::corrupt);
  });
  REQUIRE_FALSE(plan);
  CHECK(code_of(plan.error()) == errc::corrupt);
}

TEST_CASE("halves cover their cut exactly, keep its revision and times, and have names of their own") {
  for (std::uint64_t count : {2, 3, 7, 100, 101}) {
    auto cut = cut_of(11, count);
    cut.set_long_hash(true);
    const auto [front, back] = split_cut(job_id{1}, cut);
    CHECK(front.first() == 11);
    CHECK(front.count() >= 1);
    CHECK(back.first() == 11 + front.count());
    CHECK(front.count() + back.count() == count);
    CHECK(back.revision() == 3);
    CHECK(back.destination_fingerprint() == 9);
    CHECK_FALSE(front.long_hash());
    CHECK(front.object_name() != back.object_name());
    CHECK(front.object_name().substr(0, 34) == cut.object_name().substr(0, 34));
    CHECK(front.object_name().size() == cut.object_name().size());
  }
}

TEST_CASE("a replaced cut is pushed part by part; a part may be replaced again") {
  auto cut = cut_of(1, 8);
  CHECK(next_part(cut).count() == 8);
  const auto halves = split_cut(job_id{1}, cut);
  cut = with_next_part(cut, {halves.front, halves.back});
  CHECK(range_of(next_part(cut)) == sequence_range{generation{5}, 1, 4});
  const auto quarters = split_cut(job_id{1}, next_part(cut));
  cut = with_next_part(cut, {quarters.front, quarters.back});
  REQUIRE(cut.replaced_by_size() == 3);
  CHECK(range_of(next_part(cut)) == sequence_range{generation{5}, 1, 2});
  CHECK(range_of(cut.replaced_by(2)) == sequence_range{generation{5}, 5, 4});
  CHECK(range_of(cut) == sequence_range{generation{5}, 1, 8});
}

TEST_CASE("the longer name of an object begins like the shorter one") {
  const auto cut = cut_of(1, 8);
  const auto longer = renamed_object(cut.object_name(), job_id{1}, range_of(cut), true);
  CHECK(longer.size() == cut.object_name().size() + 8);
  const auto hash = cut.object_name().rfind('_');
  CHECK(longer.substr(0, hash + 9) == cut.object_name().substr(0, hash + 9));
  CHECK(renamed_object(longer, job_id{1}, range_of(cut), false) == cut.object_name());
}
