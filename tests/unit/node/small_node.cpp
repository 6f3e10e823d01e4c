#include "tests/unit/node/small_node.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "actors/pusher.hpp"
#include "config/config_builder.hpp"
#include "config/forwarding_guards.hpp"
#include "store/gzip_member.hpp"

namespace weir {

namespace {

constexpr std::size_t most_steps = 3'000'000;

} // namespace

small_node::small_node(std::vector<small_job> jobs, std::uint64_t seed)
    : network(std::make_shared<fake_network>(clock)), jobs_(std::move(jobs)), picks_(seed) {
  random = std::make_shared<fake_random>(seed);
  world = {clock, disk, network, random, memory};
  config.name = "small";
  config.data_dir = "/data";
  dataset_config requests;
  requests.name = "http_requests";
  requests.scope_field = "ZoneID";
  config.datasets.push_back(requests);
  config.threads.data = 1;
  config.threads.shards = 2;
  config.buffer.block_bytes = 2 << 10;
  config.store.segment_bytes = 256 << 10;
  config.store.group_bytes = 32 << 10;
  config.store.spare_segments = 2;
  config.store.free_reserve = 1;
  disk->make_directories("/data");
}

small_node::~small_node() {
  if (node_) {
    disk->power_off();
    node_->abandon();
    pump();
    node_.reset();
  }
  network->forget();
  world = {};
}

config_snapshot_ptr small_node::snapshot_of(const std::vector<small_job>& jobs) {
  config_builder builder{config.datasets, config.pusher.object};
  for (const auto& x : jobs) {
    job settings;
    settings.id = job_id{x.id};
    settings.dataset = "http_requests";
    settings.scope = "zones/" + x.zone;
    settings.destination_conf = secret{fmt::format("file:///out/{}", x.id)};
    settings.field_names = x.fields;
    settings.enabled = x.enabled;
    if (x.on_hold)
      settings.on_hold_since = static_cast<std::uint32_t>(std::chrono::system_clock::to_time_t(clock->wall()));
    settings.max_upload_interval_seconds = static_cast<std::uint64_t>(x.interval.count());
    settings.max_upload_records = x.max_records;
    settings.max_upload_bytes = x.max_bytes;
    settings.max_buffer_bytes = x.quota;
    REQUIRE(builder.add(settings, x.id));
  }
  snapshot_identity identity;
  version_ = config_version{number(version_) + 1};
  identity.version = version_;
  identity.cluster = "weir";
  return builder.finish(identity);
}

void small_node::start() {
  start_with(snapshot_of(jobs_), {});
}

void small_node::start_with(config_snapshot_ptr first, std::function<std::string(const config_snapshot&)> keep) {
  REQUIRE_FALSE(node_);
  node_parts parts;
  parts.config = config;
  parts.snapshot = std::move(first);
  parts.keep = std::move(keep);
  parts.guards = guards;
  parts.world = world;
  parts.own_threads = false;
  auto made = node::start(system, std::move(parts));
  REQUIRE_MESSAGE(made, system.render(made.error()));
  node_ = std::move(*made);
  pass(100ms, 10ms); // the shards drain the writer before they take anything
}

void small_node::crash(std::uint64_t seed, std::optional<fake_disk::pending_fate> fate) {
  ++*life_;
  disk->power_off();
  network->forget();
  node_->abandon();
  while (!scheduler.jobs.empty())
    scheduler.run_once();
  node_.reset();
  network->forget();
  disk->crash(seed, fate);
}

void small_node::publish(std::vector<small_job> jobs) {
  jobs_ = std::move(jobs);
  const auto next = snapshot_of(jobs_);
  auto& to = *node_->targets();
  adopt_everywhere(judging_role::receiver, next);
  to.apply_to_buffers(next);
  adopt_everywhere(judging_role::forwarder, next);
  to.apply_to_intake(next);
  pump();
}

/// Who is being restarted, or dies over it, is asked again.
void small_node::adopt_everywhere(judging_role role, const config_snapshot_ptr& next) {
  const auto& roles = node_->targets()->roles();
  bool all = false;
  for (int tries = 0; !all && tries < 60; ++tries) {
    all = true;
    const auto versions = roles.versions(role);
    for (std::size_t i = 0; i < versions.size(); ++i) {
      if (versions[i] == next->version)
        continue;
      all = false;
      config_offer what;
      what.snapshot = next;
      what.approved = approval_hash(roles.of(role, i, clock->steady()).in_force->content, next->content);
      if (const auto answer = offer(role, i, std::move(what)))
        REQUIRE_MESSAGE(answer->adopted, answer->text);
    }
  }
  REQUIRE_MESSAGE(all, "a role is gone for good");
}

std::optional<config_answer> small_node::offer(judging_role role, std::size_t i, config_offer what) {
  const auto answer = std::make_shared<std::optional<config_answer>>();
  what.answer = [answer](config_answer said) { *answer = std::move(said); };
  const auto sent = std::make_shared<const config_offer>(std::move(what));
  auto& to = *node_->targets();
  if (role == judging_role::forwarder ? to.offer_to_forwarder(i, sent) : to.offer_to_receiver(i, sent))
    pump_until([&] { return answer->has_value(); }, 1s);
  else
    pass(1s);
  return *answer;
}

awaited_answer small_node::post(const std::string& body, const std::string& key) {
  auto answer = std::make_shared<ingest_answer>();
  answer->status = 0;
  const auto gate = node_->gate();
  ingest_refusal refusal;
  auto granted = gate->reserve(*from_, body.size(), refusal);
  if (!granted) {
    answer->status = refusal.status;
    answer->body = refusal.reason;
    return answer;
  }
  auto bytes = std::make_shared<payload>();
  bytes->reserve(body.size());
  std::memcpy(bytes->data_for_writing(), body.data(), body.size());
  bytes->resize(body.size());
  bytes->seal();
  bytes->hold(std::move(*granted));
  ingest_body whole;
  whole.bytes = std::move(bytes);
  whole.from = from_;
  whole.idempotency_key = key;
  whole.respond = [answer, life = life_, now = *life_](ingest_answer said) {
    if (*life == now)
      *answer = std::move(said);
  };
  gate->accept(std::move(whole));
  return answer;
}

ingest_answer small_node::put(const std::string& body, const std::string& key) {
  const auto answer = post(body, key);
  pump_until([&] { return answer->status != 0; }, 1s);
  return *answer;
}

bool small_node::step() {
  const auto pick = shuffled_ ? picks_.next() : 0;
  if (shuffled_ && pick % 4 == 0 && network->step(pick >> 2))
    return true;
  if (scheduler.jobs.empty())
    return network->step(pick >> 2);
  if (shuffled_)
    std::swap(scheduler.jobs.front(), scheduler.jobs[(pick >> 2) % scheduler.jobs.size()]);
  scheduler.run_once();
  return true;
}

void small_node::step_or_wait() {
  if (step())
    return;
  clock->advance(1ms);
  scheduler.advance_time(1ms);
}

void small_node::pump() {
  std::size_t steps = 0;
  while (step())
    REQUIRE_MESSAGE(++steps < most_steps, "somebody feeds itself without end");
}

bool small_node::pump_until(const std::function<bool()>& holds, std::chrono::milliseconds most) {
  std::size_t steps = 0;
  for (std::chrono::milliseconds passed{0}; passed <= most; passed += 10ms) {
    do {
      if (holds())
        return true;
      REQUIRE_MESSAGE(++steps < most_steps, "somebody feeds itself without end");
    } while (step());
    clock->advance(10ms);
    scheduler.advance_time(10ms);
  }
  return false;
}

void small_node::pass(std::chrono::nanoseconds by, std::chrono::nanoseconds each) {
  pump();
  for (; by.count() > 0; by -= each) {
    clock->advance(std::min(by, each));
    scheduler.advance_time(std::min(by, each));
    pump();
  }
}

store::job_account small_node::account(std::uint64_t job) const {
  const auto ledger = node_->ledger();
  const auto found = ledger.jobs.find(job_id{job});
  return found == ledger.jobs.end() ? store::job_account{} : found->second;
}

std::uint64_t small_node::buffered() const {
  std::uint64_t sum = 0;
  for (const auto& [job, x] : node_->ledger().jobs)
    sum += x.buffered;
  return sum;
}

bool small_node::balanced() const {
  return node_->ledger().balances();
}

buffer_actor small_node::buffer_of(std::uint64_t job) {
  const auto pusher = node_->roles().pusher();
  if (!pusher)
    return {};
  using self_type = bounded_actor<pusher_actor, pusher_state>;
  auto* self = dynamic_cast<self_type*>(caf::actor_cast<caf::abstract_actor*>(pusher.actor));
  const auto found = self->state.wanted.find(job);
  return found == self->state.wanted.end() ? buffer_actor{} : found->second.buffer;
}

std::vector<delivered_event> small_node::delivered(std::uint64_t job) const {
  std::vector<delivered_event> result;
  store::member_reader reader;
  for (const auto& x : network->objects()) {
    if (x.url.find(fmt::format("/out/{}/", job)) == std::string::npos)
      continue;
    reader.open(std::string_view{x.bytes});
    store::decoded_member member;
    auto status = reader.next(member);
    for (; status == store::member_status::ok; status = reader.next(member)) {
      REQUIRE(member.identity);
      CHECK(number(member.identity->job) == job);
      auto at = member.identity->range.first;
      for (auto raw = member.raw; !raw.empty(); ++at) {
        const auto end = raw.find('\n');
        REQUIRE(end != raw.npos);
        result.push_back({number(member.identity->range.generation), at, std::string{raw.substr(0, end)}});
        raw.remove_prefix(end + 1);
      }
      CHECK(at == member.identity->range.end());
    }
    CHECK(status == store::member_status::end);
  }
  return result;
}

std::string small_node::delivered_text(std::uint64_t job) const {
  std::string text;
  for (const auto& x : delivered(job))
    text += x.text + '\n';
  return text;
}

std::string small_node::disorder(std::uint64_t job, const std::vector<sequence>& holes) const {
  std::map<std::uint64_t, sequence> next;
  for (const auto& x : delivered(job)) {
    auto& expected = next.try_emplace(x.of, 1).first->second;
    while (x.number > expected && std::find(holes.begin(), holes.end(), expected) != holes.end())
      ++expected;
    if (x.number != expected)
      return fmt::format("job {}: {} of generation {} came where {} was due", job, x.number, x.of, expected);
    ++expected;
  }
  return {};
}

std::string event(const std::string& zone, std::uint64_t n, const std::string& more) {
  return fmt::format(R"({{"ZoneID":"{}","n":{}{}}})", zone, n, more);
}

std::string events(const std::string& zone, std::uint64_t first, std::uint64_t count) {
  std::string text;
  for (auto n = first; n < first + count; ++n)
    text += event(zone, n) + '\n';
  return text;
}

} // namespace weir
