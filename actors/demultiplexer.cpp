#include "actors/demultiplexer.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace weir {

namespace {

/// Never trusts an index of another version, nor the sender of one: else asks the own table by name.
entry_index entry_of(const routed_batch& routed, const scope_group& group, dataset_index dataset,
                     const config_snapshot& snapshot) {
  const bool same_table = routed.version == snapshot.version;
  return same_table && group.entry < snapshot.table.size() && snapshot.table.id(group.entry) == group.scope
             ? group.entry
             : snapshot.table.find(dataset, group.scope);
}

} // namespace

demultiplexer::demultiplexer(std::size_t shards, shard_of where, std::shared_ptr<credit_window> memory,
                             std::shared_ptr<tenant_shares> shares)
    : where_(std::move(where)), memory_(std::move(memory)), shares_(std::move(shares)), targets_(shards) {}

demultiplexer::result demultiplexer::split(const routed_batch& routed, const snapshot_ptr& snapshot,
                                           const snapshot_ptr& leaving) {
  result out;
  text_.clear();
  if (renderers_of_ != snapshot || leaving_renderers_of_ != leaving) {
    renderers_.clear();
    renderers_of_ = snapshot;
    leaving_renderers_of_ = leaving;
  }
  const auto dataset = static_cast<dataset_index>(routed.origin->dataset);
  for (const auto& group : routed.groups) {
    const auto at = entry_of(routed, group, dataset, *snapshot);
    const auto kept = at == not_entitled ? entry_span{} : snapshot->table.entries(at);
    entry_span before;
    if (leaving)
      if (const auto had = entry_of(routed, group, dataset, *leaving); had != not_entitled)
        before = leaving_jobs(kept, leaving->table.entries(had));
    if (kept.size() + before.size() == 0) {
      out.not_entitled += group.lines;
      continue;
    }
    offer_all(routed, group, kept, *snapshot, out);
    if (before.size() > 0)
      offer_all(routed, group, before, *leaving, out);
  }
  finish_rendering(out);
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (auto raw = std::move(targets_[i].raw))
      out.batches.emplace_back(i, std::move(raw));
    if (auto rendered = std::move(targets_[i].rendered))
      out.batches.emplace_back(i, std::move(rendered));
  }
  return out;
}

void demultiplexer::offer_all(const routed_batch& routed, const scope_group& group, entry_span wanted,
                              const config_snapshot& snapshot, result& out) {
  for (const auto& entry : wanted) {
    out.offered += group.lines;
    if (offer(routed, group, entry, snapshot))
      ++out.slices;
    else
      out.shed_share += group.lines;
  }
}

/// Those of `before` that are not in `kept`. Spans are ordered by job and short.
entry_span demultiplexer::leaving_jobs(entry_span kept, entry_span before) {
  left_.clear();
  std::set_difference(before.begin(), before.end(), kept.begin(), kept.end(), std::back_inserter(left_),
                      [](const forwarding_entry& a, const forwarding_entry& b) { return a.job < b.job; });
  return {left_.data(), left_.size()};
}

bool demultiplexer::offer(const routed_batch& routed, const scope_group& group, const forwarding_entry& entry,
                          const config_snapshot& snapshot) {
  const auto* lines = routed.lines.data() + group.first_line;
  std::uint64_t raw_bytes = 0;
  for (std::uint32_t i = 0; i < group.lines; ++i)
    raw_bytes += lines[i].size;
  credit share;
  if (!shares_->admit(snapshot.version, entry.tenant, raw_bytes, share)) {
    ticket duty{routed.origin->root.shared()};
    duty.shed(entry.job, shed_reason::tenant_share, group.lines, group.scope);
    return false;
  }
  const auto settings = snapshot.jobs.at(entry.settings);
  const bool render = settings.field_names != nullptr && !settings.field_names->empty();
  auto& target = targets_[where_(entry.job)];
  auto& batch = batch_for(render ? target.rendered : target.raw, routed, group.lines);
  slice x;
  x.job = entry.job;
  x.first_line = static_cast<std::uint32_t>(batch.lines.size());
  x.lines = group.lines;
  x.scope = group.scope;
  x.duty = ticket{routed.origin->root.shared()};
  x.share = std::move(share);
  if (render) {
    auto& renderer = renderer_for(*settings.field_names);
    for (std::uint32_t i = 0; i < group.lines; ++i) {
      const auto begin = text_.size();
      renderer.render(routed.origin->bytes->view().substr(lines[i].offset, lines[i].size), text_);
      const auto size = static_cast<std::uint32_t>(text_.size() - begin - 1);
      batch.lines.push_back({static_cast<std::uint32_t>(begin), size});
      x.bytes += size + 1;
    }
  } else {
    for (std::uint32_t i = 0; i < group.lines; ++i) {
      batch.lines.push_back(lines[i]);
      x.bytes += lines[i].size + 1;
    }
  }
  batch.slices.push_back(std::move(x));
  return true;
}

slice_batch& demultiplexer::batch_for(slice_batch_ptr& slot, const routed_batch& routed, std::size_t lines) {
  if (!slot) {
    slot = std::make_shared<slice_batch>();
    slot->bytes = routed.origin->bytes;
    slot->origin = routed.origin;
    slot->version = routed.version;
    slot->lines.reserve(std::max(lines, routed.lines.size() / targets_.size()));
    slot->slices.reserve(routed.groups.size() / targets_.size() + 1);
  }
  return *slot;
}

field_renderer& demultiplexer::renderer_for(const std::vector<std::string>& fields) {
  auto& renderer = renderers_[&fields];
  if (!renderer)
    renderer = std::make_unique<field_renderer>(fields);
  return *renderer;
}

/// Moves the rendered text into a payload of its own that memory was granted for, or sheds.
void demultiplexer::finish_rendering(result& out) {
  if (text_.empty())
    return;
  auto granted = credit::acquire(memory_, text_.size());
  std::shared_ptr<payload> bytes;
  if (granted) {
    bytes = std::make_shared<payload>();
    bytes->reserve(text_.size());
    std::memcpy(bytes->data_for_writing(), text_.data(), text_.size());
    bytes->resize(text_.size());
    bytes->seal();
    bytes->hold(std::move(*granted));
  }
  for (auto& target : targets_) {
    if (!target.rendered)
      continue;
    if (bytes) {
      target.rendered->bytes = bytes;
      continue;
    }
    for (auto& x : target.rendered->slices) {
      out.shed_memory += x.lines;
      x.duty.shed(x.job, shed_reason::memory, x.lines, x.scope);
    }
    out.slices -= target.rendered->slices.size();
    target.rendered.reset();
  }
}

} // namespace weir
