#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "messages/ids.hpp"
#include "store/store.hpp"

namespace weir {

/// Most that one object may hold, from the job's settings.
struct cut_limits {
  std::uint64_t events = 100'000;
  std::uint64_t raw_bytes = 256ull << 20;
};

/// What the next object of a job holds.
struct cut_plan {
  sequence_range range;
  store::block_info first_block;
  store::block_info last_block;
  std::uint64_t revision = 0;
};

/// The longest run of blocks from the oldest on that keeps the limits, one generation and one
/// revision (of the settings the events were rendered under); nothing if there is no block.
/// `blocks` is oldest first; `revision_of` reads a block's meta and is asked log(n) times at most.
/// Errors are `revision_of`'s.
caf::expected<std::optional<cut_plan>> plan_cut(
    const std::vector<store::block_info>& blocks, const cut_limits& limits,
    const std::function<caf::expected<std::uint64_t>(const store::block_info&)>& revision_of);

/// The object's name after its cut became `range`, or needs the long hash: times stay, the hash follows.
std::string renamed_object(const std::string& name, job_id job, const sequence_range& range, bool long_hash);

/// The two halves of a cut that its destination refused, in order. `cut.count` must be at least 2.
struct cut_halves {
  proto::Cut front;
  proto::Cut back;
};
cut_halves split_cut(job_id job, const proto::Cut& cut);

/// The part of an open cut that is to be pushed next: itself, or the first of what replaced it.
const proto::Cut& next_part(const proto::Cut& cut);
sequence_range range_of(const proto::Cut& cut);

/// `replacement` instead of the first part of `cut`; the parts behind it stay.
proto::Cut with_next_part(const proto::Cut& cut, const std::vector<proto::Cut>& replacement);

} // namespace weir
