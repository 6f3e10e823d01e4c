#include "supervisors/overload_limits.hpp"

#include <algorithm>
#include <utility>

namespace weir {

namespace {

using watched = overload_board::watched;
using reading = overload_board::reading;
using time_point = std::chrono::steady_clock::time_point;
using memory_step = node_status::memory_step;
using namespace std::chrono_literals;

constexpr auto calm = 5s;          ///< Without a refusal, until a state that shows in refusals is left.
constexpr double nearly_all = 0.9; ///< Of slots, connections or handles in use.

/// Whether a count has grown since it was last looked at.
class growth {
 public:
  bool operator()(double total) { return total > std::exchange(last_, std::max(last_, total)); }

 private:
  double last_ = 0;
};

/// How fast a count grows, a second, over the last whole second.
class pace {
 public:
  double operator()(double total, time_point now) {
    const std::chrono::duration<double> passed = now - since_;
    if (since_ == time_point{} || passed.count() >= 1) {
      rate_ = since_ == time_point{} ? 0 : (total - from_) / passed.count();
      since_ = now;
      from_ = total;
    }
    return rate_;
  }

 private:
  time_point since_{};
  double from_ = 0;
  double rate_ = 0;
};

double number_of(std::uint64_t x) {
  return static_cast<double>(x);
}

void add_memory(std::vector<watched>& rows, const limits_config& limits, const overload_sources& from) {
  const struct {
    overload_state state;
    memory_step step;
    const char* path;
    double at;
    const char* action;
  } steps[] = {
      {overload_state::sealing_early, memory_step::seal_early, "limits.memory_seal_at", limits.memory_seal_at,
       "open blocks are sealed at once and new buffers refused"},
      {overload_state::credit_shrunk, memory_step::shrink_credit, "limits.memory_shrink_at", limits.memory_shrink_at,
       "bodies under way may take a quarter of their memory: 429 for who asks for more"},
      {overload_state::refusing_ingest, memory_step::refuse_ingest, "limits.memory_refuse_at", limits.memory_refuse_at,
       "new bodies are refused with 503; deliveries go on"},
  };
  for (const auto& x : steps)
    // The ladder has a hysteresis of its own: nothing to wait for here.
    rows.push_back({x.state, x.path, "bytes", x.action, 0ms, [x, from, memory = limits.memory](time_point) {
                      return reading{number_of(from.world.memory->resident()), x.at * number_of(memory),
                                     from.status->memory.load() >= x.step};
                    }});
}

/// Bytes of the store, or of the file system if the store has all of it, in use and in all.
std::pair<double, double> disk_use(const store::segmented_store& store, std::uint64_t most) {
  const auto used = store.used();
  const auto occupied =
      number_of(used.segments - std::min(used.segments, used.free_segments)) * number_of(used.segment_bytes);
  const auto of_disk = number_of(used.disk_total - std::min(used.disk_total, used.disk_available));
  const auto total = number_of(used.disk_total);
  if (most > 0 && (total == 0 || occupied / number_of(most) >= of_disk / total))
    return {occupied, number_of(most)};
  return {of_disk, total};
}

void add_disk(std::vector<watched>& rows, const limits_config& limits, const overload_sources& from) {
  const struct {
    overload_state state;
    store::disk_state step;
    const char* path;
    double at;
    const char* action;
  } steps[] = {
      {overload_state::disk_low, store::disk_state::low, "limits.disk_alert_at", limits.disk_alert_at,
       "nothing yet: time to make room"},
      {overload_state::refusing_new_buffers, store::disk_state::refuse_new_buffers, "limits.disk_refuse_new_buffers_at",
       limits.disk_refuse_new_buffers_at, "jobs without a buffer get none"},
      {overload_state::disk_full, store::disk_state::refuse_appends, "limits.disk_refuse_appends_at",
       limits.disk_refuse_appends_at, "new events are refused with 507; deliveries go on and make room"},
  };
  for (const auto& x : steps)
    rows.push_back({x.state, x.path, "bytes", x.action, 0ms, [x, from, most = limits.store_max_bytes](time_point) {
                      const auto [used, total] = from.store ? disk_use(*from.store, most) : std::pair{0.0, 0.0};
                      return reading{used, x.at * total, from.status->disk.load() >= static_cast<std::uint8_t>(x.step)};
                    }});
}

void add_buffers(std::vector<watched>& rows, const node_config& config, const overload_sources& from) {
  const auto refusals = [](const buffer_admission::report& seen, shed_reason why) {
    return number_of(seen.refused[static_cast<std::size_t>(why)]);
  };
  const auto& gate = from.admission;
  rows.push_back({overload_state::buffers_full, "limits.buffers", "buffers",
                  "jobs without a buffer get none until one is free; those that have one go on", calm,
                  [gate, refusals, more = growth{}](time_point) mutable {
                    const auto seen = gate->look();
                    const auto most = number_of(gate->in_force().buffers);
                    return reading{number_of(seen.buffers), most,
                                   more(refusals(seen, shed_reason::buffer_count)) || number_of(seen.buffers) >= most};
                  }});
  rows.push_back({overload_state::buffers_paced, "limits.buffer_creation_rate", "buffers/s",
                  "new buffers come at this rate; who is refused is asked to come again", calm,
                  [gate, refusals, more = growth{}, speed = pace{}](time_point now) mutable {
                    const auto seen = gate->look();
                    return reading{speed(number_of(seen.created), now),
                                   number_of(gate->in_force().creations_per_second),
                                   more(refusals(seen, shed_reason::creation_rate))};
                  }});
  rows.push_back({overload_state::tenant_over_buffers, "limits.tenant_buffers_share", "buffers of one tenant",
                  "a tenant beyond its share gets no new buffer while others may need them", calm,
                  [gate, refusals, more = growth{}](time_point) mutable {
                    const auto seen = gate->look();
                    return reading{number_of(seen.most_of_a_tenant), number_of(gate->most_buffers_of_a_tenant()),
                                   more(refusals(seen, shed_reason::tenant_share))};
                  }});
  rows.push_back({overload_state::open_blocks_full, "limits.open_block_bytes", "bytes",
                  "open blocks are sealed at once and new buffers refused", 1s,
                  [metrics = from.metrics, most = number_of(config.limits.open_block_bytes)](time_point) {
                    const auto open = metrics->shard.open_bytes.Value();
                    return reading{open, most, open > most};
                  }});
}

void add_bodies(std::vector<watched>& rows, const node_config& config, const overload_sources& from) {
  rows.push_back({overload_state::in_flight_full, "limits.in_flight_bytes", "bytes",
                  "bodies are refused with 429 before they are read", 1s, [memory = from.memory](time_point) {
                    const auto used = number_of(memory->used().bytes);
                    const auto most = number_of(memory->granted().bytes);
                    return reading{used, most, used >= nearly_all * most};
                  }});
  rows.push_back({overload_state::tenant_over_memory, "limits.tenant_share", "bytes of one tenant",
                  "that tenant's events are refused with 429 while memory is short; others do not notice", calm,
                  [shares = from.shares, more = growth{}](time_point) mutable {
                    return reading{number_of(shares->highest_use()), number_of(shares->most_bytes_of_a_tenant()),
                                   more(number_of(shares->refused()))};
                  }});
  const auto& all = from.metrics;
  const auto crowded = [all](http_metrics& of, std::uint32_t most) {
    // Refused connections count even if some have gone since.
    return [keep = all, &of, most = number_of(most), more = growth{}](time_point) mutable {
      const auto open = of.connections.Value();
      return reading{open, most, more(of.trouble[http_trouble::connection_limit].Value()) || open >= most};
    };
  };
  rows.push_back({overload_state::connections_full, "ingest.http.max_connections", "connections",
                  "further connections get 503 and are closed", calm,
                  crowded(all->ingest, config.http.max_connections)});
  rows.push_back({overload_state::control_connections_full, "control.max_connections", "connections",
                  "further connections of operators and scrapers get 503 and are closed", calm,
                  crowded(all->control, config.control.max_connections)});
  rows.push_back({overload_state::ingest_rate_limited, "tokens.events_per_second", "refusals/s",
                  "a token beyond its rate of requests, bytes or events gets 429 with the time to wait", calm,
                  [all, more = growth{}, speed = pace{}](time_point now) mutable {
                    const auto refused = all->ingest.trouble[http_trouble::rate].Value();
                    return reading{speed(refused, now), 0, more(refused)};
                  }});
}

void add_pushes(std::vector<watched>& rows, const node_config& config, const overload_sources& from) {
  const auto& all = from.metrics;
  rows.push_back({overload_state::upload_slots_full, "pusher.slots", "uploads",
                  "due jobs wait in turn, tenant by tenant; a share of the slots is kept for healthy destinations", 1s,
                  [all, most = number_of(config.pusher.slots)](time_point) {
                    const auto used = all->pusher.slots_in_use.Value();
                    return reading{used, most, used >= nearly_all * most && all->pusher.waiting_jobs.Value() > 0};
                  }});
  rows.push_back({overload_state::destinations_open, "pusher.breaker_failures", "destinations",
                  "a destination that fails in a row is only probed; its jobs' events wait on disk", 1s,
                  [all](time_point) {
                    const auto open = all->pusher.open_breakers.Value();
                    return reading{open, 0, open > 0};
                  }});
  rows.push_back(
      {overload_state::retries_scarce, "pusher.retry_budget", "retries/s",
       "retries wait; each destination still gets a probe within pusher.probe_interval", calm,
       [all, share = config.pusher.retry_budget, retries = pace{}, uploads = pace{}](time_point now) mutable {
         double ended = 0;
         for (std::size_t i = 0; i < upload_result_count; ++i)
           ended += all->pusher.uploads[static_cast<upload_result>(i)].Value();
         const auto again = all->pusher.retries.Value();
         const auto rate = retries(again, now);
         const auto firsts = std::max(0.0, uploads(ended, now) - rate);
         // A quiet node may always try again ten times a minute.
         const auto most = std::max(share * firsts, 10.0 / 60);
         return reading{rate, most, rate > most};
       }});
}

void add_files(std::vector<watched>& rows) {
  rows.push_back({overload_state::file_handles_low, "the system's limit of open files", "file handles",
                  "further connections may fail; raise LimitNOFILE or lower ingest.http.max_connections", calm,
                  [seen = file_handle_use{}, at = time_point{}](time_point now) mutable {
                    if (at == time_point{} || now - at >= 1s) {
                      seen = file_handles();
                      at = now;
                    }
                    return reading{number_of(seen.open), number_of(seen.most),
                                   seen.most > 0 && number_of(seen.open) >= nearly_all * number_of(seen.most)};
                  }});
}

} // namespace

std::vector<watched> ladder_limits(const limits_config& limits, const overload_sources& from) {
  std::vector<watched> rows;
  add_memory(rows, limits, from);
  add_disk(rows, limits, from);
  return rows;
}

std::vector<watched> overload_limits(const node_config& config, const overload_sources& from) {
  auto rows = ladder_limits(config.limits, from);
  add_buffers(rows, config, from);
  add_bodies(rows, config, from);
  add_pushes(rows, config, from);
  add_files(rows);
  return rows;
}

} // namespace weir
