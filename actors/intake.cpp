#include "actors/intake.hpp"

#include <cstring>
#include <limits>

#include <isa-l/crc64.h>
#include <openssl/sha.h>

#include "actors/body_router.hpp"
#include "actors/buffer_records.hpp"
#include "actors/sources/ingest_answers.hpp"

namespace weir {

namespace {

std::uint64_t digest_of(const payload& bytes) {
  return crc64_ecma_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

/// What has to be known of a body when its receipt is settled.
struct pending_body {
  std::shared_ptr<node_directory> directory;
  std::function<void(ingest_answer)> respond;
  answer_context context;
  batch_id id;
  std::uint64_t digest = 0;
  std::uint64_t received_ns = 0;
  std::shared_ptr<const sender> from;
  std::shared_ptr<const void> under_way;
  std::shared_ptr<delay_metrics> delays;
  std::shared_ptr<clock_source> clock;
  std::chrono::steady_clock::time_point began;
};

ingest_answer not_stored(const answer_context& context) {
  receipt_outcome failed;
  failed.failed = true;
  return answer_for(failed, context);
}

std::string account_of(const pending_body& body, receipt& settled, const ingest_answer& answer, bool final) {
  using kind = ledger_entry::kind;
  // A body that has to be sent again is accounted with the try that is kept; of this one the sender's
  // account says only that it was turned back. What its jobs shed is theirs with each try.
  const bool again = answer.status == 429 || answer.status == 507;
  proto::BodyAccount account;
  account.set_at_ns(body.received_ns);
  for (const auto& x : settled.take_entries()) {
    if (again && x.job == job_id{}) {
      if (x.what != kind::received)
        continue;
      auto* turned_back = account.add_deltas();
      turned_back->set_sender(body.from->token);
      turned_back->set_kind(static_cast<std::uint32_t>(kind::turned_back));
      turned_back->set_events(x.events);
    }
    auto* delta = account.add_deltas();
    if (x.job == job_id{})
      delta->set_sender(body.from->token);
    delta->set_job(number(x.job));
    delta->set_kind(static_cast<std::uint32_t>(x.what));
    delta->set_reason(x.reason);
    delta->set_events(x.events);
  }
  if (final) {
    account.mutable_batch()->set_high(body.id.high);
    account.mutable_batch()->set_low(body.id.low);
    account.set_body_digest(body.digest);
    account.set_status(static_cast<std::uint32_t>(answer.status));
    account.set_answer(answer.body);
  }
  return account.SerializeAsString();
}

/// Everything is settled: account for it durably, then answer. On whatever thread settled last.
void conclude(const pending_body& body, receipt& settled) {
  const auto outcome = settled.outcome();
  auto answer = answer_for(outcome, body.context);
  if (outcome.failed) {
    body.respond(std::move(answer));
    return;
  }
  // Only a final answer is kept for repeats: a refusal for now has to be tried anew.
  const bool final = body.id && answer.status == 200;
  auto account = std::make_shared<body_account>();
  account->batch = final ? body.id : batch_id{};
  account->meta = account_of(body, settled, answer, final);
  account->finish = [body, answer = std::move(answer)](bool durable) {
    if (durable && answer.status == 200)
      body.delays->ingest_durable.Observe(std::chrono::duration<double>(body.clock->steady() - body.began).count());
    body.respond(durable ? answer : not_stored(body.context));
  };
  body.directory->writer().tell(std::move(account)); // dies unsettled if there is no writer: 503
}

} // namespace

batch_id batch_id_of(const sender& from, const std::string& idempotency_key) {
  if (idempotency_key.empty())
    return {};
  const auto text = from.token + '\0' + idempotency_key;
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  batch_id id;
  std::memcpy(&id.high, digest, sizeof id.high);
  std::memcpy(&id.low, digest + sizeof id.high, sizeof id.low);
  return id;
}

void intake::configure(std::shared_ptr<const config_snapshot> snapshot) {
  const bool published = snapshot->version != config_version{};
  {
    std::lock_guard lock{mutex_};
    snapshot_.swap(snapshot);
  }
  parts_.status->configured.store(published);
}

std::shared_ptr<const config_snapshot> intake::snapshot() const {
  std::lock_guard lock{mutex_};
  return snapshot_;
}

std::optional<std::uint32_t> intake::dataset(std::string_view name) const {
  const auto known = snapshot();
  if (!known)
    return std::nullopt;
  const auto index = known->find_dataset(name);
  return index ? std::optional<std::uint32_t>{*index} : std::nullopt;
}

bool intake::fits(std::uint32_t dataset, std::string_view scope) const {
  const auto known = snapshot();
  return !known || dataset >= known->datasets.size()
         || scope.substr(0, scope.find('/')) == name_of(known->datasets[dataset].scopes);
}

std::shared_ptr<const sender> intake::authenticate(std::string_view bearer_token) const {
  return parts_.credentials->ingest(bearer_token);
}

bool intake::may_send_for(const sender& from, std::string_view scope) const {
  const auto known = snapshot();
  const auto slash = scope.find('/');
  if (!known || slash == std::string_view::npos)
    return from.any_scope;
  const auto kind = scope.substr(0, slash) == name_of(scope_kind::zones) ? scope_kind::zones : scope_kind::accounts;
  return may_send(from, kind, scope.substr(slash + 1), known->tenants);
}

std::shared_ptr<credit_window> intake::window_of(const sender& from) {
  std::lock_guard lock{mutex_};
  auto& window = sender_windows_[from.token];
  if (!window) {
    const auto most =
        static_cast<std::uint64_t>(parts_.sender_share * static_cast<double>(parts_.memory->granted().bytes));
    window = std::make_shared<credit_window>(credit_window::limits{most, std::numeric_limits<std::uint64_t>::max()});
  }
  return window;
}

std::optional<credit> intake::reserve(const sender& from, std::uint64_t bytes, ingest_refusal& refusal) {
  const auto& status = *parts_.status;
  if (status.shutting_down.load()) {
    refusal = {503, "shutting_down", 5};
    return std::nullopt;
  }
  if (!status.configured.load()) {
    refusal = {503, "no_config", 5};
    return std::nullopt;
  }
  if (status.disk.load() >= static_cast<std::uint8_t>(store::disk_state::refuse_appends)) {
    refusal = {507, "disk_full", 10};
    return std::nullopt;
  }
  if (status.memory.load() >= node_status::memory_step::refuse_ingest) {
    refusal = {503, "memory", 2};
    return std::nullopt;
  }
  // A sender with `*` is the platform itself: its tenants are told apart behind the forwarder.
  if (!from.any_scope) {
    const auto window = window_of(from);
    if (window->used().bytes + bytes > window->granted().bytes && window->used().messages > 0) {
      refusal = {429, "tenant_share", 1};
      return std::nullopt;
    }
    auto total = credit::acquire(parts_.memory, bytes);
    if (total) {
      if (auto share = credit::acquire(window, bytes)) {
        total->also(std::move(*share));
        return total;
      }
      refusal = {429, "tenant_share", 1};
      return std::nullopt;
    }
  } else if (auto total = credit::acquire(parts_.memory, bytes)) {
    return total;
  }
  refusal = {429, "memory", 1};
  return std::nullopt;
}

bool intake::answer_repeat(const ingest_body& body, const batch_id& id, std::uint64_t digest) {
  const auto done = parts_.store->done(id);
  if (!done)
    return false;
  if (done->body_digest != digest) {
    parts_.metrics->key_reused_bodies.Increment();
    body.respond(key_reused_answer());
    return true;
  }
  parts_.metrics->repeated_bodies.Increment();
  ingest_answer answer;
  answer.status = static_cast<int>(done->status);
  answer.body = done->answer;
  body.respond(std::move(answer));
  return true;
}

void intake::accept(ingest_body body) {
  const auto id = batch_id_of(*body.from, body.idempotency_key);
  const auto digest = id ? digest_of(*body.bytes) : 0;
  if (id && answer_repeat(body, id, digest))
    return;
  pending_body pending;
  pending.directory = parts_.directory;
  pending.respond = std::move(body.respond);
  pending.context.has_key = static_cast<bool>(id);
  pending.context.strict = body.strict;
  pending.id = id;
  pending.digest = digest;
  pending.received_ns = wall_ns(parts_.world);
  pending.from = body.from;
  pending.under_way = parts_.under_way->enter(body.from->token, body.bytes->size());
  pending.delays = parts_.delays;
  pending.clock = parts_.world.clock;
  pending.began = parts_.world.clock->steady();
  auto next = std::make_shared<batch>();
  next->bytes = std::move(body.bytes);
  next->dataset = body.dataset;
  next->scope = std::move(body.scope);
  next->sender = std::move(body.from);
  next->id = id;
  next->strict = body.strict;
  next->received_ns = pending.received_ns;
  next->root = ticket{
      std::make_shared<receipt>([pending = std::move(pending)](receipt& settled) { conclude(pending, settled); })};
  if (auto place = credit::acquire(parts_.on_the_way, next->bytes->size()))
    next->on_the_way = std::move(*place);
  const auto forwarder = parts_.directory->forwarder(turn_.fetch_add(1) % parts_.directory->forwarder_count());
  forwarder.tell(std::move(next)); // with no forwarder there, the receipt fails: 503
}

} // namespace weir
