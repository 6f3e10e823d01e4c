#include "supervisors/node.hpp"

#include <algorithm>

#include <caf/all.hpp>

#include "actors/forwarder.hpp"
#include "actors/pusher.hpp"
#include "actors/receiver.hpp"
#include "actors/shard.hpp"
#include "actors/store_writer.hpp"
#include "supervisors/buffers.hpp"
#include "supervisors/node_watch.hpp"
#include "supervisors/supervisor.hpp"

// Who starts whom: the data side's supervision tree.

namespace weir {

namespace {

constexpr std::uint64_t messages_per_edge = 4'096;
constexpr std::uint64_t writer_edge_bytes = 64ull << 20; // of one shard: a second of the disk
constexpr std::chrono::seconds stop_patience{10};

std::shared_ptr<credit_window> edge(std::uint64_t bytes) {
  return std::make_shared<credit_window>(credit_window::limits{bytes, messages_per_edge});
}

push_policy::push_settings push_settings_of(const pusher_config& config) {
  push_policy::push_settings how;
  how.slots = config.slots;
  how.tenant_slots = config.slots_per_tenant;
  how.proven_share = config.healthy_share;
  how.slow_after = config.no_progress;
  how.retries = {config.retry_first, config.retry_most};
  how.probe_within = std::chrono::duration_cast<std::chrono::seconds>(config.probe_interval);
  how.concurrency.maximum = config.slots_per_destination;
  how.budget.share = config.retry_budget;
  how.breaker.failures_to_open = config.breaker_failures;
  how.breaker.probes.maximum = config.breaker_open;
  how.breaker.probes.minimum = std::min(how.breaker.probes.minimum, config.breaker_open);
  return how;
}

} // namespace

supervisor_spec node::spec_of(supervisor_name name) const {
  supervisor_spec spec;
  spec.name = std::string{name_of(name)};
  spec.observe = [board = board_](const child_transition& step) { board->note(step); };
  return spec;
}

child_spec node::writer_child() {
  return {"store_writer",
          [this]() -> caf::expected<caf::actor> {
            store_writer_parts parts;
            parts.store = store_;
            parts.status = status_;
            parts.directory = directory_;
            parts.metrics = part(metrics_, metrics_->store);
            parts.group_bytes = parts_.config.store.group_bytes;
            auto made = parts_.own_threads ? system_.spawn<caf::detached>(store_writer, std::move(parts))
                                           : system_.spawn(store_writer, std::move(parts));
            directory_->enter_writer({made, nullptr});
            return caf::actor_cast<caf::actor>(made);
          },
          restart::permanent, stop_patience};
}

/// Shards, then receivers, which hand them slices: when a shard dies, its receivers begin anew, too.
child_spec node::shards_and_receivers() {
  auto spec = spec_of(supervisor_name::shards);
  spec.how = strategy::rest_for_one;
  for (std::size_t i = 0; i < directory_->shard_count(); ++i) {
    spec.children.push_back({"shard-" + std::to_string(i),
                             [this, i]() -> caf::expected<caf::actor> {
                               shard_parts parts;
                               parts.index = i;
                               parts.settings.block_bytes = parts_.config.buffer.block_bytes;
                               parts.settings.linger = parts_.config.buffer.linger;
                               parts.settings.default_quota_bytes = parts_.config.limits.job_bytes;
                               parts.settings.hold_bytes = parts_.config.publication.hold_bytes;
                               parts.settings.window_batches = parts_.config.limits.window_batches;
                               parts.settings.open_bytes = std::max<std::uint64_t>(
                                   1, parts_.config.limits.open_block_bytes / directory_->shard_count());
                               parts.world = parts_.world;
                               parts.store = store_;
                               parts.admission = admission_;
                               parts.status = status_;
                               parts.directory = directory_;
                               parts.writer_window = edge(writer_edge_bytes);
                               parts.on_the_way = on_the_way_;
                               parts.metrics = part(metrics_, metrics_->shard);
                               auto made = system_.spawn(shard, std::move(parts));
                               targets_->introduce([&](const snapshot_ptr& snapshot) {
                                 caf::anon_send(made, snapshot);
                                 directory_->enter_shard(i, {made, edge(parts_.config.limits.in_flight_bytes)});
                               });
                               return caf::actor_cast<caf::actor>(made);
                             },
                             restart::permanent, stop_patience});
  }
  for (std::size_t i = 0; i < directory_->receiver_count(); ++i) {
    spec.children.push_back({"receiver-" + std::to_string(i),
                             [this, i]() -> caf::expected<caf::actor> {
                               receiver_parts parts;
                               parts.directory = directory_;
                               parts.memory = memory_;
                               parts.shares = shares_;
                               parts.judge = judge_of(judging_role::receiver, i);
                               parts.metrics = part(metrics_, metrics_->receiver);
                               auto made = system_.spawn(receiver, std::move(parts));
                               directory_->enter_receiver(i, {made, edge(parts_.config.limits.in_flight_bytes)});
                               return caf::actor_cast<caf::actor>(made);
                             },
                             restart::permanent, stop_patience});
  }
  return {"shards",
          [this, spec = std::move(spec)]() -> caf::expected<caf::actor> {
            return caf::actor_cast<caf::actor>(system_.spawn(supervisor, spec, parts_.world));
          },
          restart::permanent, std::chrono::seconds{30}};
}

child_spec node::forwarders() {
  auto spec = spec_of(supervisor_name::forwarders);
  for (std::size_t i = 0; i < directory_->forwarder_count(); ++i) {
    spec.children.push_back({"forwarder-" + std::to_string(i),
                             [this, i]() -> caf::expected<caf::actor> {
                               forwarder_parts parts;
                               parts.index = i;
                               parts.limits.max_event_bytes = parts_.config.limits.max_event_bytes;
                               parts.limits.max_depth = parts_.config.http.max_json_depth;
                               parts.directory = directory_;
                               parts.judge = judge_of(judging_role::forwarder, i);
                               parts.metrics = part(metrics_, metrics_->forwarder);
                               auto made = system_.spawn(forwarder, std::move(parts));
                               directory_->enter_forwarder(i, {made, nullptr});
                               return caf::actor_cast<caf::actor>(made);
                             },
                             restart::permanent, stop_patience});
  }
  return {"forwarders",
          [this, spec = std::move(spec)]() -> caf::expected<caf::actor> {
            return caf::actor_cast<caf::actor>(system_.spawn(supervisor, spec, parts_.world));
          },
          restart::permanent, std::chrono::seconds{30}};
}

child_spec node::buffers_child() {
  return {"buffers",
          [this]() -> caf::expected<caf::actor> {
            buffers_parts parts;
            parts.hold = parts_.config.publication.hold;
            parts.observe = [board = board_](const child_transition& step) { board->note(step); };
            auto& child = parts.child;
            child.settings.max_age = parts_.config.buffer.max_age;
            child.settings.passivate_after = parts_.config.buffer.passivate_after;
            child.settings.dead_letter_age = parts_.config.pusher.dead_letter_age;
            child.settings.rules = rules_for_destinations(parts_.config, job_origin::declared);
            child.world = parts_.world;
            child.store = store_;
            child.directory = directory_;
            child.metrics = part(metrics_, metrics_->buffer);
            child.delays = part(metrics_, metrics_->delays);
            child.began = began_;
            caf::actor result;
            targets_->introduce([&](const snapshot_ptr& snapshot) {
              child.snapshot = snapshot;
              auto made = system_.spawn(buffers, std::move(parts));
              directory_->enter_buffers({made, nullptr});
              result = caf::actor_cast<caf::actor>(made);
            });
            return result;
          },
          restart::permanent, std::chrono::seconds{60}};
}

child_spec node::pusher_child() {
  return {"pusher",
          [this]() -> caf::expected<caf::actor> {
            pusher_parts parts;
            parts.settings = push_settings_of(parts_.config.pusher);
            parts.world = parts_.world;
            parts.metrics = part(metrics_, metrics_->pusher);
            parts.stall_timeout = parts_.config.pusher.stall_timeout;
            parts.upload_timeout = parts_.config.pusher.upload_timeout;
            parts.allow_insecure_http = parts_.config.destinations.allow_insecure_http;
            parts.observe = [shown = pushes_](const push_policy::push_scheduler& scheduler) {
              shown->update(scheduler.reports(true, 1'000));
            };
            auto made = system_.spawn(pusher, std::move(parts));
            directory_->enter_pusher({made, nullptr});
            return caf::actor_cast<caf::actor>(made);
          },
          restart::permanent, stop_patience};
}

child_spec node::watch_child() {
  return {"node_watch",
          [this]() -> caf::expected<caf::actor> {
            const auto& limits = parts_.config.limits;
            node_watch_parts parts;
            parts.world = parts_.world;
            parts.status = status_;
            parts.memory = memory_;
            parts.metrics = part(metrics_, metrics_->overload);
            parts.board = overload_;
            parts.budget = limits.memory;
            parts.seal_early_at = limits.memory_seal_at;
            parts.shrink_credit_at = limits.memory_shrink_at;
            parts.refuse_ingest_at = limits.memory_refuse_at;
            // A thread of its own: a ladder that waits for its turn behind a flood is of no use.
            return caf::actor_cast<caf::actor>(parts_.own_threads
                                                   ? system_.spawn<caf::detached>(node_watch, std::move(parts))
                                                   : system_.spawn(node_watch, std::move(parts)));
          },
          restart::permanent, stop_patience};
}

supervisor_spec node::tree() {
  auto spec = spec_of(supervisor_name::data);
  spec.children.push_back(writer_child());
  spec.children.push_back(pusher_child());
  spec.children.push_back(buffers_child());
  spec.children.push_back(shards_and_receivers());
  spec.children.push_back(forwarders());
  spec.children.push_back(watch_child());
  return spec;
}

caf::error node::start_tree() {
  auto spec = tree();
  if (const auto problem = problem_of(spec))
    return make_error(errc::refused, *problem);
  root_ = system_.spawn(supervisor, std::move(spec), parts_.world);
  root_->attach_functor([status = status_, tell = parts_.gave_up](const caf::error&) {
    if (status->shutting_down.load())
      return;
    status->gave_up.store(true);
    if (tell)
      tell();
  });
  return caf::none;
}

} // namespace weir
