#include "supervisors/node.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <caf/all.hpp>

#include "actors/mailbox_gauge.hpp"
#include "supervisors/overload_limits.hpp"
#include "supervisors/supervisor.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

constexpr std::uint64_t unbounded = std::numeric_limits<std::uint64_t>::max() / 2;
constexpr std::chrono::seconds unpark_patience{5};

/// Bounded by its bytes alone.
std::shared_ptr<credit_window> window(std::uint64_t bytes) {
  return std::make_shared<credit_window>(credit_window::limits{bytes, unbounded});
}

store::settings store_settings(const node_config& config) {
  store::settings how;
  how.directory = config.data_dir + "/store";
  how.segment_bytes = config.store.segment_bytes;
  how.group_bytes = config.store.group_bytes;
  how.spare_segments = config.store.spare_segments;
  how.free_reserve = config.store.free_reserve;
  how.alert_at = config.limits.disk_alert_at;
  how.refuse_new_buffers_at = config.limits.disk_refuse_new_buffers_at;
  how.refuse_appends_at = config.limits.disk_refuse_appends_at;
  how.max_bytes = config.limits.store_max_bytes;
  how.window_batches = config.limits.window_batches;
  how.window_age = config.limits.window_age;
  return how;
}

} // namespace

node::node(caf::actor_system& system, node_parts parts)
    : system_(system), parts_(std::move(parts)), began_(look_at(*parts_.world.clock)) {}

node::~node() {
  if (!stopped_)
    stop(std::chrono::milliseconds{0}, [] { return true; });
}

caf::expected<std::unique_ptr<node>> node::start(caf::actor_system& system, node_parts parts) {
  std::unique_ptr<node> made{new node{system, std::move(parts)}};
  made->stopped_ = true; // until something runs
  if (auto why = made->open_store())
    return why;
  made->make_shared_parts();
  if (auto why = made->start_tree())
    return why;
  made->stopped_ = false;
  return made;
}

caf::error node::open_store() {
  const auto how = store_settings(parts_.config);
  if (auto why = parts_.world.disk->make_directories(how.directory))
    return make_error(errc::store_failed, "cannot make " + how.directory + ": " + why.message());
  auto opened = store::segmented_store::open(how, parts_.world);
  if (!opened)
    return std::move(opened.error());
  store_ = std::move(opened->store);
  recovery_ = opened->report;
  mark_.emplace(parts_.world.disk, parts_.config.data_dir);
  return caf::none;
}

void node::make_shared_parts() {
  const auto& config = parts_.config;
  const auto cores = config.threads.data;
  metrics_ = std::make_shared<node_metrics_set>();
  metrics_->store.recovery_seconds.Set(std::chrono::duration<double>(recovery_.took).count());
  metrics_->supervisor.unclean_starts.Set(static_cast<double>(mark_->unclean_starts()));
  status_ = std::make_shared<node_status>();
  directory_ = std::make_shared<node_directory>(cores, cores, config.threads.shards);
  credentials_ = std::make_shared<weir::credentials>(config.tokens);
  memory_ = window(config.limits.in_flight_bytes);
  on_the_way_ = window(unbounded);
  shares_ = std::make_shared<tenant_shares>(memory_, config.limits.tenant_share);
  buffer_admission::limits admitted;
  admitted.buffers = config.limits.buffers;
  admitted.creations_per_second = admitted.burst = config.limits.buffer_creation_rate;
  admitted.tenant_share = config.limits.tenant_buffers_share;
  admitted.enforced = parts_.guards.admission;
  admission_ = std::make_shared<buffer_admission>(admitted);
  pushes_ = std::make_shared<push_overview>();
  board_ = std::make_shared<supervision_board>();
  overload_ = std::make_shared<overload_board>(
      overload_limits(config, {parts_.world, status_, memory_, admission_, shares_, store_, metrics_}),
      parts_.world.clock, part(metrics_, metrics_->overload));
  show_before_scrapes();
  intake_parts door;
  door.world = parts_.world;
  door.store = store_;
  door.status = status_;
  door.directory = directory_;
  door.credentials = credentials_;
  door.memory = memory_;
  door.on_the_way = on_the_way_;
  door.metrics = part(metrics_, metrics_->forwarder);
  door.under_way = under_way_;
  door.delays = part(metrics_, metrics_->delays);
  door.sender_share = config.limits.tenant_share;
  intake_ = std::make_shared<intake>(std::move(door));
  make_config_parts();
}

namespace {

constexpr std::size_t accounts_per_scrape = 20'000; // under 1 ms of the store's lock

void show_destinations(pusher_metrics& metrics, const std::vector<push_policy::destination_report>& troubled,
                       std::uint64_t parked) {
  using push_policy::destination_health;
  std::array<std::uint64_t, destination_trouble_count> counts{};
  std::uint64_t failing_jobs = parked;
  for (const auto& x : troubled) {
    const auto trouble = x.health == destination_health::open   ? destination_trouble::open
                         : x.health == destination_health::slow ? destination_trouble::slow
                                                                : destination_trouble::failing;
    ++counts[static_cast<std::size_t>(trouble)];
    if (trouble != destination_trouble::slow)
      failing_jobs += x.waiting + x.in_flight;
  }
  for (std::size_t i = 0; i < destination_trouble_count; ++i)
    metrics.troubled_destinations[static_cast<destination_trouble>(i)].Set(static_cast<double>(counts[i]));
  metrics.failing_jobs.Set(static_cast<double>(failing_jobs));
}

} // namespace

/// What nobody pushes into a metric is looked up when somebody asks.
void node::show_before_scrapes() {
  metrics_->registry.before_scrape(
      [all = metrics_.get(), store = store_, board = board_, pushes = pushes_, gate = admission_, shares = shares_] {
        all->buffer.known.Set(static_cast<double>(store->used().buffers));
        count_up_to(all->overload.tenants_over_quota,
                    static_cast<double>(gate->look().refused[static_cast<std::size_t>(shed_reason::tenant_share)]
                                        + shares->refused()));
        all->store.unbalanced_accounts.Set(static_cast<double>(store->unbalanced_accounts(accounts_per_scrape)));
        std::uint64_t parked_buffers = 0;
        for (const auto& x : mailbox_gauge::summarize())
          for (std::size_t i = 0; i < mailbox_owner_count; ++i)
            if (const auto owner = static_cast<mailbox_owner>(i); name_of(owner) == x.role) {
              all->overload.mailbox_messages[owner].Set(static_cast<double>(x.deepest));
              count_up_to(all->overload.mailbox_refused[owner], static_cast<double>(x.refused));
            }
        for (const auto& x : board->tallies())
          for (std::size_t i = 0; i < supervisor_name_count; ++i)
            if (const auto name = static_cast<supervisor_name>(i); name_of(name) == x.supervisor) {
              count_up_to(all->supervisor.restarts[name], static_cast<double>(x.restarts));
              all->supervisor.parked[name].Set(static_cast<double>(x.parked));
              if (name == supervisor_name::buffers)
                parked_buffers = x.parked;
            }
        show_destinations(all->pusher, pushes->troubled(), parked_buffers);
      });
}

bool node::recovered() const {
  bool all = status_->recovered_shards.load() >= directory_->shard_count();
  for (std::size_t i = 0; all && i < directory_->receiver_count(); ++i)
    all = static_cast<bool>(directory_->receiver(i));
  for (std::size_t i = 0; all && i < directory_->forwarder_count(); ++i)
    all = static_cast<bool>(directory_->forwarder(i));
  return all;
}

std::vector<std::string> node::not_ready() const {
  std::vector<std::string> reasons;
  if (status_->shutting_down.load())
    reasons.emplace_back("shutting_down");
  if (!status_->configured.load())
    reasons.emplace_back("no_config");
  if (status_->gave_up.load())
    reasons.emplace_back("gave_up");
  if (status_->memory.load() >= node_status::memory_step::refuse_ingest)
    reasons.emplace_back("memory");
  if (status_->disk.load() >= static_cast<std::uint8_t>(store::disk_state::refuse_appends))
    reasons.emplace_back("disk_full");
  if (!directory_->writer())
    reasons.emplace_back("store_writer");
  if (!recovered())
    reasons.emplace_back("recovering");
  return reasons;
}

std::vector<supervision_board::row> node::parked(std::size_t limit) const {
  return board_->list(child_state::parked, limit);
}

void node::unpark(job_id job, std::function<void(caf::error)> answer) const {
  const auto buffers = directory_->buffers();
  if (!buffers) {
    answer(make_error(errc::busy, "the buffers' supervisor is being restarted"));
    return;
  }
  system_.spawn(
      [](caf::event_based_actor* self, const buffers_actor& to, const std::string& id,
         const std::function<void(caf::error)>& tell) {
        self->request(to, unpark_patience, unpark_child{id})
            .then([tell](order_done) { tell(caf::none); }, [tell](caf::error& why) { tell(std::move(why)); });
      },
      buffers.actor, std::to_string(number(job)), std::move(answer));
}

bool node::drain_roles(std::chrono::steady_clock::time_point until) {
  caf::scoped_actor self{system_};
  bool all = true;
  const auto ask = [&](const auto& to) {
    const auto left =
        std::max<std::chrono::nanoseconds>(std::chrono::milliseconds{100}, until - std::chrono::steady_clock::now());
    self->request(to.actor, std::chrono::duration_cast<std::chrono::milliseconds>(left), drain{})
        .receive([](drained) {},
                 [&](const caf::error& why) {
                   all = false;
                   log::warn("drain-incomplete", "a role did not drain in time: {}", system_.render(why));
                 });
  };
  for (std::size_t i = 0; i < directory_->shard_count(); ++i)
    if (const auto shard = directory_->shard(i))
      ask(shard);
  if (const auto writer = directory_->writer())
    ask(writer);
  return all;
}

bool node::push_out(std::chrono::steady_clock::time_point until, const std::function<bool()>& hurry) {
  constexpr std::chrono::milliseconds look_every{20};
  constexpr std::chrono::seconds without_progress{3};
  const auto left = [this] { return store_->used().blocks; };
  auto last = left();
  auto moved = std::chrono::steady_clock::now();
  caf::scoped_actor self{system_};
  while (last > 0 && !hurry()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until || now - moved > without_progress)
      break;
    self->receive([](int) {}, caf::after(look_every) >> [] {});
    if (const auto rest = left(); rest != last) {
      last = rest;
      moved = std::chrono::steady_clock::now();
    }
  }
  if (const auto pusher = directory_->pusher()) {
    // Uploads under way may end; what does not end in time is tried again under the same name.
    self->request(pusher.actor, hurry() ? std::chrono::milliseconds{200} : std::chrono::milliseconds{3'000}, drain{})
        .receive([](drained) {}, [](const caf::error&) {});
  }
  return left() == 0;
}

void node::abandon() {
  stopped_ = true;
  if (!root_)
    return;
  auto root = caf::actor_cast<caf::actor>(std::exchange(root_, nullptr));
  caf::anon_send<caf::message_priority::high>(root, caf::exit_msg{root.address(), caf::exit_reason::kill});
  directory_->clear();
}

bool node::stop(std::chrono::milliseconds deadline, const std::function<bool()>& hurry) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  stopped_ = true;
  refuse_ingest();
  bool empty = false;
  if (root_) {
    drain_roles(until);
    empty = push_out(until, hurry);
    caf::scoped_actor self{system_};
    self->monitor(root_);
    caf::anon_send_exit(root_, caf::exit_reason::user_shutdown);
    bool down = false;
    self->receive([&](const caf::down_msg&) { down = true; }, caf::after(std::chrono::seconds{20}) >> [] {});
    if (!down) {
      caf::anon_send<caf::message_priority::high>(root_, weir::hurry{});
      log::error("stop-hurried", "the roles did not end within 20 s and are killed; nothing acknowledged is lost");
    }
    root_ = nullptr;
    directory_->clear();
  }
  if (auto why = store_->close())
    log::error("store-not-closed", "{}; the next start recovers by scanning", system_.render(why));
  if (!status_->gave_up.load())
    mark_->end();
  return empty;
}

} // namespace weir
