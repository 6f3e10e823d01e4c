#include "apps/node_process.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "actors/destinations/routing_network.hpp"
#include "apps/config_world.hpp"
#include "apps/real/real_environment.hpp"
#include "apps/version.hpp"
#include "supervisors/config_routes.hpp"
#include "supervisors/control_answers.hpp"
#include "supervisors/control_routes.hpp"
#include "supervisors/ledger_routes.hpp"
#include "supervisors/overload_routes.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

/// Sets what the config says; everything else of `how` stays as its owner has it.
void listen_at(http::listener_settings& how, const listen_address& at, const tls_files& tls) {
  how.address = at.host;
  how.port = at.port;
  if (tls.on())
    how.tls = http::tls_settings{tls.certificate, tls.key};
}

std::map<std::string, rate_limits> rates_of(const node_config& config) {
  std::map<std::string, rate_limits> rates;
  for (const auto& token : config.tokens)
    rates[token.name] = {static_cast<double>(token.requests_per_second), static_cast<double>(token.bytes_per_second),
                         static_cast<double>(token.events_per_second)};
  return rates;
}

http_source_settings source_settings(const node_config& config) {
  const auto& http = config.http;
  http_source_settings how;
  how.listener.name = "ingest";
  listen_at(how.listener, http.listen, http.tls);
  how.listener.threads = http.threads;
  how.listener.connections = http.max_connections;
  how.listener.connections_per_address = http.max_connections_per_address;
  auto& connection = how.listener.connection;
  connection.head.bytes = http.max_header_bytes;
  connection.head_within = http.header_timeout;
  connection.body_within = http.body_timeout;
  connection.idle_within = http.idle_timeout;
  connection.write_within = http.write_timeout;
  connection.body_rate = http.min_body_bytes_per_second;
  how.max_body_bytes = http.max_body_bytes;
  how.max_ratio = http.max_compression_ratio;
  how.token_rates = rates_of(config);
  return how;
}

bool same_datasets(const node_config& a, const node_config& b) {
  return std::equal(
      a.datasets.begin(), a.datasets.end(), b.datasets.begin(), b.datasets.end(),
      [](const dataset_config& x, const dataset_config& y) { return x.name == y.name && x.scopes == y.scopes; });
}

void count_refused_copies(metrics_registry& metrics, const std::vector<kept_config::copy_refused>& refused) {
  std::vector<std::string_view> reasons;
  for (std::size_t i = 1; i < config_refusals; ++i)
    reasons.push_back(name_of(static_cast<config_refusal>(i)));
  const config_refusal_counters counters{metrics.families(), "disk", reasons};
  for (const auto& x : refused)
    counters.count(x.reason);
}

} // namespace

node_process::node_process(std::string config_path, config_world world, loaded_node loaded, guard_switches guards,
                           std::function<void()> gave_up)
    : path_(std::move(config_path)),
      files_(std::move(world)),
      loaded_(std::move(loaded)),
      guards_(guards),
      gave_up_(std::move(gave_up)) {
  const auto& config = loaded_.file.config;
  world_.clock = make_real_clock();
  world_.disk = make_real_disk();
  world_.random = make_real_random();
  world_.memory = make_real_memory();
  const auto rules = rules_for_destinations(config, job_origin::declared);
  network_settings how;
  how.http.addresses = rules.addresses;
  how.http.connect_timeout = config.pusher.connect_timeout;
  how.files.roots = rules.file_roots;
  how.files.closed_roots = rules.closed_roots;
  world_.network = make_network(how, world_.disk, std::make_shared<network_counters>());
  system_config_ = std::make_unique<data_system_config>(config.threads.data);
}

node_process::~node_process() {
  source_.reset();
  poller_.reset();
  control_.reset();
  desk_.reset();
  publisher_.reset();
  node_.reset();
  control_system_.reset();
  system_.reset();
}

std::string node_process::start_node() {
  const auto& config = loaded_.file.config;
  auto kept = kept_config::open(world_.disk, config);
  if (!kept.kept)
    return fmt::format("config: {}", kept.problem);
  kept_ = std::move(kept.kept);
  refused_copies_ = std::move(kept.refused);
  for (const auto& x : refused_copies_)
    log::error("last-known-good-refused", "the {} copy of the last known good config is refused ({}): {}",
               name_of(x.which), x.reason, x.text);
  const auto begins_with = number(kept.snapshot->version);
  if (begins_with == 0 && !kept.first_start)
    log::error("no-last-known-good",
               "no copy of the last known good config can be used; the node takes no events until "
               "the publisher has a config");
  node_parts parts;
  parts.config = config;
  parts.snapshot = std::move(kept.snapshot);
  parts.world = world_;
  parts.guards = guards_;
  parts.keep = [good = kept_](const config_snapshot& snapshot) { return good->keep(snapshot); };
  parts.gave_up = gave_up_;
  auto started = node::start(*system_, std::move(parts));
  if (!started)
    return fmt::format("the store in {} could not be opened: {}", config.data_dir, system_->render(started.error()));
  node_ = std::move(*started);
  if (begins_with > 0)
    log::info("config-loaded", "version {}, the last known good one, is in force from the start", begins_with);
  count_refused_copies(node_->metrics(), refused_copies_);
  return {};
}

std::string node_process::start_publisher() {
  declared_.set(loaded_.snapshot, "start");
  control_side_parts parts;
  parts.config = loaded_.file.config;
  parts.world = world_;
  parts.guards = guards_;
  parts.targets = node_->targets();
  parts.metrics = &node_->metrics();
  parts.signer = kept_->signer();
  const bool external = parts.config.forwarding.source != forwarding_source_config::source_kind::jobs;
  // The poller comes later and goes earlier: until then an external source was not read.
  parts.source = [this, external]() {
    if (!external)
      return declared_.read();
    std::lock_guard lock{polling_};
    return poller_ ? poller_->last() : config_reading{nullptr, "not_read_yet", "The source was not read yet.", {}, {}};
  };
  auto started = control_side::start(*control_system_, std::move(parts));
  if (!started)
    return fmt::format("the config publisher could not be started: {}", control_system_->render(started.error()));
  publisher_ = std::move(*started);
  // Nobody may read it before it is there, else the news of its first look would be lost.
  std::lock_guard lock{polling_};
  poller_ = source_poller::start(loaded_.file.config, files_, [this] { publisher_->config().changed(); });
  return {};
}

std::string node_process::start() {
  const auto& config = loaded_.file.config;
  control_system_ = std::make_unique<caf::actor_system>(control_config_);
  system_ = std::make_unique<caf::actor_system>(*system_config_);
  if (auto wrong = start_node(); !wrong.empty())
    return wrong;
  const auto& recovery = node_->recovery();
  log::info("store-recovered", "{} segments with {} blocks in {} ms; {} torn bytes, {} records set aside",
            recovery.segments, recovery.blocks, recovery.took.count(), recovery.torn_bytes, recovery.set_aside_records);
  process_metrics_ = std::make_unique<process_metrics>(node_->metrics().families(), std::string{version}, config.name);
  node_->metrics().before_scrape([this] { process_metrics_->sample(*world_.memory); });
  marks_ = std::make_unique<ledger_marks>(world_.disk, config.data_dir + "/ledger");
  std::vector<operator_desk::work> duties{hourly_marks(*node_, *marks_, world_.clock)};
  if (config.heartbeat.enabled) {
    heartbeat_parts beat;
    beat.gate = node_->gate();
    beat.world = world_;
    beat.node = config.name;
    beat.snapshot = [this] { return node_->snapshot(); };
    beat.rules = rules_for_destinations(config, job_origin::declared);
    beat.every = config.heartbeat.every;
    beat.metrics = &node_->metrics();
    heartbeat_ = std::make_unique<heartbeat>(std::move(beat));
    duties.push_back([this] {
      if (takes_events_)
        heartbeat_->tick();
    });
  }
  drills_ = std::make_unique<drill_runs>(drill_parts());
  duties.push_back([this] {
    if (takes_events_)
      drills_->tick();
  });
  desk_ = std::make_unique<operator_desk>(std::move(duties));
  if (auto wrong = start_publisher(); !wrong.empty())
    return wrong;
  if (auto wrong = open_control(); !wrong.empty())
    return wrong;
  if (auto wrong = wait_for_roles(); !wrong.empty())
    return wrong;
  if (auto wrong = open_source(); !wrong.empty())
    return wrong;
  log::info("node-started", "{} takes events on {}:{} and shows itself on {}:{}; {} jobs of {} tenants", config.name,
            config.http.listen.host, source_->port(), config.control.listen.host, control_->port(),
            node_->snapshot()->jobs.size(), node_->snapshot()->tenants.size());
  return {};
}

drill_runs_parts node_process::drill_parts() const {
  drill_runs_parts parts;
  parts.settings = loaded_.file.config.drills;
  parts.directory = loaded_.file.config.data_dir + "/drills";
  parts.clock = world_.clock;
  parts.targets = node_->targets();
  parts.trouble = [this] { return node_->not_ready(); };
  parts.metrics = &node_->metrics().families();
  return parts;
}

static http::answer json_text(std::string text) {
  http::answer x;
  x.body = std::move(text);
  return x;
}

void node_process::add_drill_routes(control_router& router) {
  router.answer("GET", "/v1/drills", control_right::read,
                [this](const control_request&) { return json_text(drills_->list()); });
  router.route(
      "POST", "/v1/drills/{name}", control_right::operate,
      [this](const control_request& request, const control_responder& respond) {
        const auto& name = request.captures.front();
        if (const auto& all = drill_runs::names(); std::find(all.begin(), all.end(), name) == all.end())
          return respond(refusal(404, "unknown_drill", "see GET /v1/drills; nov14 is run by weir drill nov14"));
        if (!desk_->post([this, name, respond] {
              const auto outcome = drills_->run(name);
              respond(json_text(drill_json(name, *outcome)));
            }))
          respond(refusal(503, "busy", "too much waits already; try again"));
      });
}

std::string node_process::wait_for_roles() {
  constexpr std::chrono::seconds patience{30};
  constexpr std::chrono::milliseconds between{1};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!node_->recovered()) {
    if (std::chrono::steady_clock::now() > until)
      return fmt::format("the roles behind the source were not there within {} s", patience.count());
    std::this_thread::sleep_for(between);
  }
  return {};
}

std::string node_process::open_control() {
  const auto& config = loaded_.file.config.control;
  control_listener_settings how;
  listen_at(how.listener, config.listen, config.tls);
  how.listener.threads = config.threads;
  how.listener.connections = config.max_connections;
  control_router router;
  add_standard_routes(
      router,
      [this] {
        auto reasons = node_->not_ready();
        if (!takes_events_)
          reasons.push_back("starting"); // This listener is open before the one for events.
        return reasons;
      },
      node_->metrics(), node_->unsafe() ? "UNSAFE: a scratch node, for nobody's real events" : "");
  add_config_routes(router, publisher_->config());
  add_ledger_routes(router, *node_, *marks_, *desk_, world_.clock);
  add_overload_routes(router, node_->overload());
  add_drill_routes(router);
  add_node_routes(router, *node_, std::string{version}, [this](const std::function<void(reload_result)>& answer) {
    // It waits for the publisher, which the listener's thread must not.
    if (!desk_->post([this, answer] { answer(reload()); }))
      answer({reload_result::what_became::refused, 0, {}, "too much waits already; try again"});
  });
  const auto tokens = node_->tokens();
  auto opened = control_listener::open(
      std::move(how), std::move(router), [tokens](std::string_view token) { return tokens->control(token); },
      world_.clock, node_->metric_set().control);
  if (!opened)
    return fmt::format("control.listen: {}", system_->render(opened.error()));
  control_ = std::move(*opened);
  return {};
}

std::string node_process::open_source() {
  auto opened =
      http_source::open(source_settings(loaded_.file.config), node_->gate(), world_.clock, node_->metric_set().ingest);
  if (!opened)
    return fmt::format("ingest.http.listen: {}", system_->render(opened.error()));
  source_ = std::move(*opened);
  takes_events_ = true;
  return {};
}

/// Certificates are what may still be refused when everything else is fine.
std::string node_process::replace_certificates(const node_config& config) {
  if (config.http.tls.on() && loaded_.file.config.http.tls.on())
    if (auto why = source_->reload_tls({config.http.tls.certificate, config.http.tls.key}))
      return fmt::format("ingest.http.tls: {}\n", system_->render(why));
  if (config.control.tls.on() && loaded_.file.config.control.tls.on())
    if (auto why = control_->reload_tls({config.control.tls.certificate, config.control.tls.key}))
      return fmt::format("control.tls: {}\n", system_->render(why));
  return {};
}

reload_result node_process::reload() {
  constexpr std::chrono::seconds patience{5};
  const auto refused = [this](std::string wrong, const std::string& why) {
    log::error("reload-refused", "{} {}; everything stays as it was", path_, why);
    return reload_result{reload_result::what_became::refused, number(node_->snapshot()->version), {}, std::move(wrong)};
  };
  if (!takes_events_)
    return {reload_result::what_became::refused, 0, {}, "the node is still starting"};
  std::lock_guard lock{reloading_};
  if (ending_)
    return {reload_result::what_became::refused, 0, {}, "the node is shutting down"};
  auto loaded = load_node(path_, files_, config_version{1}, world_.clock->wall());
  if (!loaded.snapshot) {
    std::string wrong;
    for (const auto& problem : loaded.file.problems.kept())
      wrong += fmt::format("{}: {}\n", problem.path, problem.what);
    return refused(std::move(wrong), fmt::format("has {} problems", loaded.file.problems.count()));
  }
  const auto& config = loaded.file.config;
  const bool own_jobs = config.forwarding.source == forwarding_source_config::source_kind::jobs;
  if (own_jobs && loaded.snapshot->table.entry_count() == 0)
    return refused("jobs: no job is enabled; a config without entries is never put in force\n", "names no enabled job");
  if (!same_datasets(config, loaded_.file.config))
    return refused("datasets: another list of datasets needs a restart\n", "has other datasets");
  if (auto wrong = replace_certificates(config); !wrong.empty())
    return refused(wrong, "has certificates that cannot be used");
  node_->tokens()->replace(config.tokens);
  source_->reload_rates({}, rates_of(config));
  reload_result result{
      reload_result::what_became::in_force, number(node_->snapshot()->version), {}, "the jobs are another program's"};
  if (own_jobs) {
    declared_.set(loaded.snapshot, "reload");
    result = await_judgement(declared_, publisher_->config(), patience);
  }
  if (result.became == reload_result::what_became::refused)
    log::error("reload-refused", "{}: tokens and certificates are in force, its jobs are not: {}", path_, result.text);
  else
    log::info("reloaded", "{}: {}", path_, result.text);
  loaded_ = std::move(loaded);
  return result;
}

bool node_process::stop(const std::function<bool()>& hurry) {
  const auto deadline = std::chrono::steady_clock::now() + loaded_.file.config.drain_deadline;
  const auto left = [&] {
    const auto rest = deadline - std::chrono::steady_clock::now();
    return std::max(std::chrono::milliseconds{0}, std::chrono::duration_cast<std::chrono::milliseconds>(rest));
  };
  log::info("stopping", "no new bodies; what is acknowledged is drained for at most {} s",
            loaded_.file.config.drain_deadline.count() / 1'000);
  node_->refuse_ingest();
  {
    std::lock_guard lock{reloading_};
    ending_ = true;
  }
  const bool answered = source_->stop(hurry() ? std::chrono::milliseconds{100} : left());
  source_.reset();
  {
    std::unique_ptr<source_poller> ending;
    std::lock_guard lock{polling_};
    ending.swap(poller_);
  }
  publisher_->stop();
  const bool empty = node_->stop(left(), hurry);
  const auto used = node_->store_usage();
  log::info("stopped", "{}; {} blocks wait on disk for the next start",
            answered ? "every body has its answer" : "some bodies were cut off without an answer", used.blocks);
  control_.reset();
  desk_.reset();
  publisher_.reset();
  node_.reset();
  return answered || empty;
}

} // namespace weir
