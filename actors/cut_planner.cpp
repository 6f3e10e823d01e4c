#include "actors/cut_planner.hpp"

#include <algorithm>

#include "actors/object_name.hpp"

namespace weir {

namespace {

/// How many blocks from the front keep the limits and the generation; at least one.
std::size_t fitting(const std::vector<store::block_info>& blocks, const cut_limits& limits) {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
  std::size_t n = 0;
  for (const auto& x : blocks) {
    if (x.range.generation != blocks.front().range.generation)
      break;
    // A gap (a block that was set aside) ends the cut: an object's range is what it says it is.
    if (n > 0 && x.range.first != blocks[n - 1].range.end())
      break;
    events += x.range.count;
    bytes += x.raw_bytes_at_most;
    if (n > 0 && (events > limits.events || bytes > limits.raw_bytes))
      break;
    ++n;
  }
  return n;
}

} // namespace

caf::expected<std::optional<cut_plan>> plan_cut(
    const std::vector<store::block_info>& blocks, const cut_limits& limits,
    const std::function<caf::expected<std::uint64_t>(const store::block_info&)>& revision_of) {
  if (blocks.empty())
    return std::optional<cut_plan>{};
  auto n = fitting(blocks, limits);
  auto revision = revision_of(blocks.front());
  if (!revision)
    return std::move(revision.error());
  // Revisions only grow along a job's blocks: where the first one ends is found by halving, and the
  // usual case, one revision throughout, by one look at the last block.
  std::size_t same = 1;
  for (auto probe = n - 1; same < n; probe = same + (n - same) / 2) {
    auto other = revision_of(blocks[probe]);
    if (!other)
      return std::move(other.error());
    if (*other == *revision)
      same = probe + 1;
    else
      n = probe;
  }
  cut_plan plan;
  plan.first_block = blocks.front();
  plan.last_block = blocks[n - 1];
  plan.revision = *revision;
  plan.range = {blocks.front().range.generation, blocks.front().range.first,
                blocks[n - 1].range.end() - blocks.front().range.first};
  return std::optional<cut_plan>{plan};
}

std::string renamed_object(const std::string& name, job_id job, const sequence_range& range, bool long_hash) {
  const auto hashed = object_file_name(job, range, 0, 0, long_hash);
  return name.substr(0, name.rfind('_')) + hashed.substr(hashed.rfind('_'));
}

sequence_range range_of(const proto::Cut& cut) {
  return {generation{cut.generation()}, cut.first(), cut.count()};
}

const proto::Cut& next_part(const proto::Cut& cut) {
  return cut.replaced_by().empty() ? cut : cut.replaced_by(0);
}

cut_halves split_cut(job_id job, const proto::Cut& cut) {
  cut_halves halves{cut, cut};
  const auto front = cut.count() / 2;
  halves.front.set_count(front);
  halves.back.set_first(cut.first() + front);
  halves.back.set_count(cut.count() - front);
  for (auto* half : {&halves.front, &halves.back}) {
    half->clear_replaced_by();
    half->set_long_hash(false);
    half->set_object_name(renamed_object(cut.object_name(), job, range_of(*half), false));
  }
  return halves;
}

proto::Cut with_next_part(const proto::Cut& cut, const std::vector<proto::Cut>& replacement) {
  auto changed = cut;
  changed.clear_replaced_by();
  for (const auto& x : replacement)
    *changed.add_replaced_by() = x;
  for (int i = 1; i < cut.replaced_by_size(); ++i)
    *changed.add_replaced_by() = cut.replaced_by(i);
  return changed;
}

} // namespace weir
