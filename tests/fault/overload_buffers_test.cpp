#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

using clock_type = std::chrono::steady_clock;

/// Asks for the buffers of all zones from `first` on, again and again, without caring for the answers.
class storm {
 public:
  storm(const running_node& node, const std::vector<std::string>& zones, std::size_t first, unsigned connections)
      : url_(node.ingest_url()), token_(node.token()), zones_(zones), first_(first), next_(first) {
    for (unsigned i = 0; i < connections; ++i)
      senders_.emplace_back([this] { work(); });
  }
  ~storm() { stop(); }
  void stop() {
    stopping_ = true;
    for (auto& each : senders_)
      if (each.joinable())
        each.join();
  }
  std::uint64_t asked() const { return asked_; }
  /// Whether every zone was asked for at least once.
  bool asked_for_all() const { return asked_ >= zones_.size() - first_; }

 private:
  void work() {
    weir::http_client::settings how;
    how.token = token_;
    weir::http_client client(how);
    constexpr std::size_t events = 2'000;
    while (!stopping_) {
      std::string body;
      const auto begin = next_.fetch_add(events);
      for (std::size_t i = begin; i < begin + events; ++i)
        body += R"({"ZoneID":")" + zones_[first_ + i % (zones_.size() - first_)] + "\"}\n";
      client.post(url_, body);
      asked_ += events;
    }
  }

  std::string url_, token_;
  const std::vector<std::string>& zones_;
  std::size_t first_;
  std::atomic<std::size_t> next_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> asked_{0};
  std::vector<std::thread> senders_;
};

/// A scratch node whose guards for configs are off and whose config another program makes, as in the incident: only
/// admission is left to stop a flood.
struct unguarded_node {
  explicit unguarded_node(const std::string& limits) {
    plan.settings["limits"] = limits;
    plan.settings["forwarding"] = "source = \"file:" + document() + "\"\npoll = \"100ms\"\n";
    plan.settings["jobs"] = "";
    plan.settings["rollout"] = "canary = \"100ms\"\ntenth = \"100ms\"\n";
    node.emplace(plan);
  }
  std::string document() const { return files.path() + "/forwarding.json"; }
  /// The first `count` zones, a job each; in force when this returns.
  void entitle(const std::vector<std::string>& zones, std::size_t count, unsigned interval_seconds) {
    std::string jobs;
    for (std::size_t i = 0; i < count; ++i)
      jobs += (i == 0 ? "" : ",\n") + (R"({"id":)" + std::to_string(i + 1))
              + R"(,"dataset":"http_requests","scope":"zones/)" + zones[i] + R"(","destination_conf":"file://)"
              + place.path() + "/objects/" + std::to_string(i + 1) + R"(","max_upload_interval_seconds":)"
              + std::to_string(interval_seconds) + '}';
    weir::write_file(document() + ".new", R"({"format":1,"cluster":"weir","version":)" + std::to_string(++version)
                                              + R"(,"entries":)" + std::to_string(count) + R"(,"jobs":[)" + jobs
                                              + "]}\n");
    std::filesystem::rename(document() + ".new", document());
  }
  void start() {
    node->launch({}, {"--scratch", place.path(), "--unsafe-off=publisher_guards,forwarder_guards,receiver_guards"});
    const auto is_ready = node->wait_until_ready(60s);
    INFO(node->log());
    REQUIRE(is_ready);
  }
  bool knows(std::size_t jobs) {
    return weir::wait_for([&] { return ledger_number(node->state()["jobs"]) >= jobs && node->ready(); }, 60s);
  }

  weir::temporary_directory place{"weir-scratch"}, files{"weir-forwarding"};
  weir::node_plan plan;
  std::optional<running_node> node;
  unsigned version = 0;
};

/// The ledger's jobs in pages as large as they come: there are many.
std::uint64_t jobs_with_events(running_node& node) {
  std::uint64_t count = 0;
  for (std::string cursor;;) {
    const auto answer = node.control("/v1/ledger?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    REQUIRE_EQ(answer.status, 200);
    const auto page = nlohmann::json::parse(answer.body);
    for (const auto& each : page["jobs"])
      count += ledger_number(each["accepted"]) > 0 ? 1 : 0;
    cursor = page.value("next_cursor", "");
    if (cursor.empty())
      return count;
  }
}

bool all_delivered(running_node& node) {
  return weir::wait_for(
      [&] {
        const auto book = nlohmann::json::parse(node.control("/v1/ledger?limit=1").body, nullptr, false);
        return book.is_object() && book["balanced"] == true && ledger_number(book["totals"]["buffered"]) == 0;
      },
      60s);
}

} // namespace

TEST_CASE(
    "OVL-01: of forty times the buffers those there is room for are opened; the others' jobs notice nothing, and "
    "the room comes back") {
  constexpr std::size_t room = 500, asked = 40 * room, entitled = 50;
  const auto zones = running_node::zones(asked + 1);
  unguarded_node it("memory = \"512MiB\"\nbuffers = " + std::to_string(room) + "\n");
  auto& node = *it.node;
  it.entitle(zones, entitled, 1);
  it.start();
  REQUIRE(it.knows(entitled));
  const std::vector<std::string> own(zones.begin(), zones.begin() + entitled);
  weir::steady_traffic steady(node, own);
  weir::control_poller operator_(node, {"/healthz", "/v1/overload"});
  const auto begin = clock_type::now();
  REQUIRE_FALSE(weir::wait_for([&] { return !node.running(); }, 4s));
  it.entitle(zones, asked, 1);
  REQUIRE(it.knows(asked));

  const auto flooded = clock_type::now();
  const auto before = weir::usage_of(node.id()).resident;
  storm flood(node, zones, entitled, 2);
  REQUIRE_FALSE(weir::wait_for([&] { return !node.running(); }, weir::phase_length(8s)));
  const auto end = clock_type::now();
  const auto buffers = node.metric("weir_shard_jobs");
  const auto refused = node.metric("weir_buffers_refused_total", R"(reason="buffer_count")");
  const auto active = node.metric("weir_overload_state", R"(state="buffers_full")");
  flood.stop();
  const auto after = weir::usage_of(node.id()).resident;
  const auto calm = steady.answer_times(begin, flooded), during = steady.answer_times(flooded, end);
  const auto p99_calm = weir::percentile(calm, 0.99), p99_during = weir::percentile(during, 0.99);
  std::printf(
      "%llu events for %zu jobs; %.0f buffers of %zu, %.0f slices refused; RSS %llu, then %llu MiB; own jobs: "
      "acknowledgement p99 %.3f s, in the flood %.3f s\n",
      static_cast<unsigned long long>(flood.asked()), asked, buffers, room, refused,
      static_cast<unsigned long long>(before >> 20), static_cast<unsigned long long>(after >> 20), p99_calm,
      p99_during);
  CHECK(flood.asked_for_all());
  CHECK_EQ(buffers, room);
  CHECK_GT(refused, 0);
  CHECK_EQ(active, 1);
  CHECK_LT(after, before + (100ull << 20));
  CHECK_LE(p99_during, std::max(p99_calm * 1.2, p99_calm + 0.5));
  CHECK_EQ(steady.given_up(), 0);
  CHECK_EQ(steady.not_accepted(), 0);
  CHECK_EQ(jobs_with_events(node), room);

  operator_.stop();
  CHECK_LT(operator_.p99().count(), 1'000);
  steady.stop();

  // The config is put right while the node runs: what the flood opened is empty by then, and goes.
  REQUIRE(all_delivered(node));
  it.entitle(zones, entitled, 1);
  const auto right = clock_type::now();
  CHECK(weir::wait_for([&] { return node.metric("weir_shard_jobs") <= entitled; }, 60s));
  std::printf("%zu buffers left %.1f s after the config was put right\n", entitled,
              std::chrono::duration<double>(clock_type::now() - right).count());
  CHECK(weir::wait_for([&] { return node.metric("weir_overload_state", R"(state="buffers_full")") == 0; }, 10s));
  for (std::size_t job = 1; job <= entitled; ++job) {
    const auto book = nlohmann::json::parse(node.control("/v1/ledger?job=" + std::to_string(job)).body);
    const auto& account = book["jobs"][0];
    CHECK_EQ(ledger_number(account["delivered"]), steady.bodies());
    for (const auto& [reason, events] : account["shed"].items())
      CHECK_EQ(ledger_number(events), 0);
  }
}

TEST_CASE(
    "OVL-01: with a million buffers asked for and 25,000 admitted the node stays up, within memory, and own jobs go "
    "on") {
  constexpr std::size_t room = 25'000, asked = 1'000'000, entitled = 20;
  std::vector<std::string> zones;
  zones.reserve(asked);
  for (std::size_t i = 0; i < asked; ++i)
    zones.push_back("z" + std::to_string(i));
  unguarded_node it("memory = \"1GiB\"\nbuffers = " + std::to_string(room) + "\nbuffer_creation_rate = 10000\n");
  auto& node = *it.node;
  // The longest interval: what counts here is what is admitted, not 25,000 files.
  it.entitle(zones, entitled, 300);
  it.start();
  REQUIRE(it.knows(entitled));
  it.entitle(zones, asked, 300);
  REQUIRE(it.knows(asked));
  const std::vector<std::string> own(zones.begin(), zones.begin() + entitled);
  weir::steady_traffic steady(node, own);
  REQUIRE(weir::wait_for([&] { return steady.bodies() >= 20; }));
  const auto flooded = clock_type::now();
  const auto before = weir::usage_of(node.id()).resident;
  weir::control_poller operator_(node, {"/healthz", "/v1/overload"});
  storm flood(node, zones, entitled, 2);
  weir::wait_for([&] { return !node.running() || flood.asked_for_all(); }, 60s);
  const auto end = clock_type::now();
  INFO(node.log());
  REQUIRE(node.running());
  const auto buffers = node.metric("weir_shard_jobs");
  const auto after = weir::usage_of(node.id()).resident;
  flood.stop();
  operator_.stop();
  steady.stop();
  const auto peak = weir::usage_of(node.id()).peak_resident;
  const auto p99 = weir::percentile(steady.answer_times(flooded, end), 0.99);
  std::printf(
      "%llu events for a million jobs in %.1f s: %.0f buffers, RSS at most %llu MiB, own jobs' acknowledgement "
      "p99 %.3f s, control p99 %lld ms\n",
      static_cast<unsigned long long>(flood.asked()), std::chrono::duration<double>(end - flooded).count(), buffers,
      static_cast<unsigned long long>(peak >> 20), p99, static_cast<long long>(operator_.p99().count()));
  CHECK(flood.asked_for_all());
  CHECK_LE(buffers, room);
  CHECK_GT(buffers, room / 2);
  CHECK_LT(peak, 1ull << 30);
  CHECK_LT(after, before + (256ull << 20));
  CHECK_LT(p99, 1.0);
  CHECK_EQ(steady.given_up(), 0);
  CHECK_EQ(steady.not_accepted(), 0);
  CHECK_LT(operator_.p99().count(), 1'000);
}
