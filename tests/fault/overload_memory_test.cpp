#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

TEST_CASE("A destination that never answers and a sender at full speed leave memory flat, and others' events arrive") {
  using clock_type = std::chrono::steady_clock;
  weir::sink_server sink;
  weir::sink_behaviour silent;
  silent.never_answer = true;
  sink.script("/dead/", silent);
  const auto zones = running_node::zones(2);
  constexpr std::uint64_t budget = 256ull << 20;
  const std::string secret = "another-token-of-these-tests";
  weir::node_plan plan;
  plan.job_lines = {weir::job_line(1, zones[0], sink.url("/dead/")), weir::job_line(2, zones[1], sink.url("/other/"))};
  plan.settings["limits"] = "memory = \"256MiB\"\n";
  // The other tenant has a token of its own.
  plan.more = "[[tokens]]\nname = \"other\"\nsecret_file = \"other.token\"\nscopes = [\"zones/" + zones[1]
              + "\"]\nrights = [\"ingest\"]\n";
  running_node node(plan);
  weir::write_file(node.directory() + "/other.token", secret + '\n');
  REQUIRE_EQ(weir::run_program({"chmod", {"600", node.directory() + "/other.token"}}), 0);
  node.start();

  weir::steady_traffic other(node, {zones[1]}, 0, secret);
  REQUIRE(weir::wait_for([&] { return other.bodies() > 20; }));
  weir::control_poller operator_(node);
  weir::load_plan load;
  load.events = 0;
  load.zones = 1; // All of it for the job whose destination is dead.
  load.connections = 4;
  load.body_bytes = 500'000;
  auto flood = node.send(load);

  const auto time = weir::phase_length(20s);
  const auto begin = clock_type::now();
  std::uint64_t highest = 0, at_a_quarter = 0, index_at_a_quarter = 0, events_at_a_quarter = 0;
  const auto ended = weir::wait_for(
      [&] {
        const auto now = weir::usage_of(node.id()).resident;
        highest = std::max(highest, now);
        if (at_a_quarter == 0 && clock_type::now() - begin > time / 4) {
          at_a_quarter = now;
          index_at_a_quarter = ledger_number(node.state()["index_bytes"]);
          events_at_a_quarter = ledger_number(node.ledger()["totals"]["accepted"]);
        }
        return !node.running() || !flood.running();
      },
      time);
  INFO(node.log());
  REQUIRE_FALSE(ended);
  const auto end = clock_type::now();
  const auto at_the_end = weir::usage_of(node.id()).resident;
  const auto index = ledger_number(node.state()["index_bytes"]);
  operator_.stop();
  flood.terminate();
  CHECK_EQ(flood.wait(60s), 0);
  other.stop();
  const auto job = node.ledger()["jobs"];
  INFO(job.dump());
  const auto buffered = ledger_number(job[0]["buffered"]);
  std::printf(
      "%llu events wait on disk after %lld s; RSS %llu MiB at a quarter, %llu MiB at the end, highest %llu MiB "
      "of %llu MiB; index %llu, then %llu KiB\n",
      static_cast<unsigned long long>(buffered), static_cast<long long>(time.count()),
      static_cast<unsigned long long>(at_a_quarter >> 20), static_cast<unsigned long long>(at_the_end >> 20),
      static_cast<unsigned long long>(highest >> 20), static_cast<unsigned long long>(budget >> 20),
      static_cast<unsigned long long>(index_at_a_quarter >> 10), static_cast<unsigned long long>(index >> 10));

  REQUIRE_GT(at_a_quarter, 0);
  CHECK_LE(highest, budget);
  CHECK_LT(at_the_end, at_a_quarter + at_a_quarter / 10 + (32ull << 20));
  // The flood was one: events still came in three quarters of the time, and none of them left or was lost.
  CHECK_GT(buffered, events_at_a_quarter * 3 / 2);
  CHECK_EQ(ledger_number(job[0]["delivered"]), 0);
  CHECK_EQ(ledger_number(job[0]["expired"]), 0);
  // 16 bytes a block and what a growing table holds in reserve.
  CHECK_LT(index, index_at_a_quarter + buffered * 2 + (1 << 20));
  CHECK_LT(operator_.p99().count(), 1000);

  CHECK_EQ(other.given_up(), 0);
  CHECK_EQ(other.not_accepted(), 0);
  CHECK(weir::wait_for([&] { return sink.accepted_ids("/other/").size() >= other.bodies(); }));
  CHECK((sink.accepted_ids("/other/") == other.ids(0)));
  const auto arrived = weir::delays(sink.requests("/other/"), begin, end);
  std::printf("the other tenant: %zu events, delay p50 %.3f s, p99 %.3f s, %llu tries again\n", arrived.size(),
              weir::percentile(arrived, 0.5), weir::percentile(arrived, 0.99),
              static_cast<unsigned long long>(other.repeats()));
  CHECK_GT(arrived.size(), static_cast<std::size_t>(time.count()) * 5);
  CHECK_LT(weir::percentile(arrived, 0.99), 3.0);
}
