#include <doctest/doctest.h>

#include "store/block_index.hpp"

using namespace weir;
using namespace weir::store;

TEST_CASE(
    "the index knows to the minute when a block arrived, and its raw size to within an eighth and never too small") {
  block_index index;
  const auto slot = index.jobs().find_or_add(job_id{1});
  sequence next = 1;
  for (std::uint32_t raw : {1u, 63u, 64u, 65u, 511u, 512u, 513u, 1'023u, 1'024u, 1'025u, 16'383u, 16'385u, 100'000u,
                            262'144u, 262'145u, 1'048'576u, 16'777'216u, 16'777'217u}) {
    indexed_block block;
    block.range = {generation{1}, next, 3};
    block.place = {1, 4096, 16, 64};
    block.arrival_seconds = 1'700'000'000 + 50 * static_cast<std::uint32_t>(next);
    block.raw_bytes_at_most = raw;
    index.append(slot, block);
    next += 3;
    indexed_block last;
    index.visit(slot, [&](const indexed_block& x) {
      last = x;
      return true;
    });
    CAPTURE(raw);
    CHECK_LE(last.arrival_seconds, block.arrival_seconds);
    CHECK_LT(block.arrival_seconds - last.arrival_seconds, 64u);
    CHECK_GE(last.raw_bytes_at_most, raw);
    CHECK_LE(last.raw_bytes_at_most, raw + raw / 8 + 64);
  }
}
