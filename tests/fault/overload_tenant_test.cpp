#include <atomic>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

using clock_type = std::chrono::steady_clock;

/// Bodies without a pause from several connections at once, as of a customer whose logging ran away.
class runaway {
 public:
  runaway(const running_node& node, std::string token, const std::string& zone, unsigned connections,
          std::size_t body_bytes)
      : url_(node.ingest_url()), token_(std::move(token)) {
    const auto line = R"({"ZoneID":")" + zone + R"(","Noise":"0123456789abcdefghijklmnopqrstuvwxyz"})" + "\n";
    while (body_.size() < body_bytes)
      body_ += line;
    for (unsigned i = 0; i < connections; ++i)
      senders_.emplace_back([this] { work(); });
  }
  ~runaway() { stop(); }
  void stop() {
    stopping_ = true;
    for (auto& each : senders_)
      if (each.joinable())
        each.join();
  }

  std::atomic<std::uint64_t> taken{0}, refused{0}, without_time{0}, other{0};

 private:
  void work() {
    weir::http_client::settings how;
    how.token = token_;
    weir::http_client client(how);
    while (!stopping_) {
      const auto answer = client.post(url_, body_);
      if (answer.status == 200) {
        ++taken;
      } else if (answer.status == 429 || answer.status == 503) {
        ++refused;
        without_time += answer.headers.count("retry-after") == 0 ? 1 : 0;
      } else {
        ++other;
      }
    }
  }

  std::string url_, token_, body_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> senders_;
};

} // namespace

TEST_CASE(
    "OVL-02: a tenant at a hundred times its rate gets its share, then 429 and a time to wait; others notice nothing") {
  weir::sink_server sink;
  const auto zones = running_node::zones(10);
  const std::string secret = "the-hot-tenants-own-token";
  weir::node_plan plan;
  for (unsigned i = 1; i <= 10; ++i)
    plan.job_lines.push_back(weir::job_line(i, zones[i - 1], sink.url("/" + std::to_string(i) + "/")));
  plan.settings["limits"] = "memory = \"256MiB\"\ntenant_share = 0.1\n";
  plan.more = "[[tokens]]\nname = \"hot\"\nsecret_file = \"hot.token\"\nscopes = [\"zones/" + zones[9]
              + "\"]\nrights = [\"ingest\"]\n";
  running_node node(plan);
  weir::write_file(node.directory() + "/hot.token", secret + '\n');
  REQUIRE_EQ(weir::run_program({"chmod", {"600", node.directory() + "/hot.token"}}), 0);
  node.start();
  const std::vector<std::string> others(zones.begin(), zones.end() - 1);
  weir::steady_traffic steady(node, others);
  weir::control_poller operator_(node, {"/healthz", "/v1/overload"});
  const auto begin = clock_type::now();
  REQUIRE_FALSE(weir::wait_for([&] { return !node.running(); }, 4s));
  const auto flooded = clock_type::now();
  runaway hot(node, secret, zones[9], 16, 1'000'000);
  REQUIRE_FALSE(weir::wait_for([&] { return !node.running(); }, weir::phase_length(8s)));
  const auto end = clock_type::now();
  const auto peak = weir::usage_of(node.id()).peak_resident;
  hot.stop();
  operator_.stop();
  steady.stop();
  const auto before = steady.answer_times(begin, flooded), during = steady.answer_times(flooded, end);
  const auto p99_before = weir::percentile(before, 0.99), p99_during = weir::percentile(during, 0.99);
  std::printf(
      "hot: %llu bodies taken, %llu refused; others: acknowledgement p99 %.3f s before, %.3f s meanwhile, %llu "
      "repeats; RSS at most %llu MiB; control p99 %lld ms\n",
      static_cast<unsigned long long>(hot.taken), static_cast<unsigned long long>(hot.refused), p99_before, p99_during,
      static_cast<unsigned long long>(steady.repeats()), static_cast<unsigned long long>(peak >> 20),
      static_cast<long long>(operator_.p99().count()));
  CHECK_GT(hot.taken, 10); // its share, and what is to spare
  CHECK_GT(hot.refused, 10);
  CHECK_EQ(hot.without_time, 0);
  CHECK_EQ(hot.other, 0);
  CHECK_EQ(steady.given_up(), 0);
  CHECK_EQ(steady.not_accepted(), 0);
  CHECK_EQ(steady.repeats(), 0);
  CHECK_GT(during.size(), 60);
  CHECK_LE(p99_during, std::max(p99_before * 1.2, p99_before + 0.5));
  CHECK_LT(operator_.p99().count(), 1'000);
  CHECK_LE(peak, 256ull << 20);
  REQUIRE(node.drained(60s));
  for (std::size_t i = 0; i < others.size(); ++i)
    CHECK((sink.accepted_ids("/" + std::to_string(i + 1) + "/") == steady.ids(i)));
  const auto arrived = weir::delays(sink.requests("/1/"), flooded, end);
  CHECK_LE(weir::percentile(arrived, 0.99), 3.0);
  const auto book = node.ledger();
  CHECK_EQ(book["balanced"], true);
}
