#include <optional>

#include <doctest/doctest.h>

#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;

namespace {

using clock_type = std::chrono::steady_clock;

/// Nothing happens in the test while traffic runs; a phase ends early if the node does.
void let_run(running_node& node, std::chrono::seconds time) {
  const auto ended = weir::wait_for([&] { return !node.running(); }, time);
  INFO(node.log());
  REQUIRE_FALSE(ended);
}

struct phase {
  const char* name;
  clock_type::time_point from, to;
};

/// Jobs 1 to `healthy` at `sink` below /good, in their phases against the first one.
void check_bystanders(const weir::sink_server& sink, const std::vector<phase>& phases) {
  const auto requests = sink.requests("/good/");
  double baseline = 0;
  for (const auto& each : phases) {
    const auto all = weir::delays(requests, each.from, each.to);
    const auto p99 = weir::percentile(all, 0.99);
    std::printf("%-28s %6zu events of other jobs, delay p50 %.3f s, p99 %.3f s\n", each.name, all.size(),
                weir::percentile(all, 0.5), p99);
    if (baseline == 0)
      baseline = p99;
    CAPTURE(each.name);
    CHECK_GT(all.size(), 100);
    CHECK_LE(p99, std::max(baseline * 1.2, baseline + 0.5));
  }
  std::fflush(stdout);
}

/// Every event of these jobs arrived at its path, once and in order.
void check_arrival(const weir::sink_server& sink, const std::string& path, const std::vector<std::string>& sent) {
  const auto got = sink.accepted_ids(path);
  CAPTURE(path);
  CHECK_EQ(got.size(), sent.size());
  CHECK((got == sent));
}

void check_books(running_node& node, std::uint64_t events) {
  const auto totals = node.ledger()["totals"];
  INFO(totals.dump());
  CHECK_EQ(ledger_number(totals["accepted"]), events);
  CHECK_EQ(ledger_number(totals["delivered"]), events);
  for (const auto* none : {"shed", "expired", "dead_lettered", "set_aside", "lost", "not_entitled", "rejected"})
    CHECK_EQ(ledger_number(totals[none]), 0);
}

} // namespace

TEST_CASE("OVL-04: of 100 destinations one, then fifty are dead; the others notice nothing and nothing is dropped") {
  weir::sink_server good, dead, refusing;
  const auto zones = running_node::zones(100);
  weir::node_plan plan;
  for (unsigned i = 1; i <= 100; ++i)
    plan.job_lines.push_back(weir::job_line(i, zones[i - 1],
                                            i <= 50
                                                ? good.url("/good/" + std::to_string(i) + "/")
                                                : (i < 100 ? dead : refusing).url("/dead/" + std::to_string(i) + "/")));
  // So that a try which nobody answers ends within this test, and what comes back is noticed soon.
  plan.settings["pusher"] =
      "stall_timeout = \"8s\"\nno_progress = \"5s\"\nretry_most = \"5s\"\nprobe_interval = \"5s\"\n";
  running_node node(plan);
  node.start();
  weir::control_poller operator_(node);
  weir::steady_traffic traffic(node, zones);
  std::vector<phase> phases;
  auto run_phase = [&](const char* name, std::chrono::seconds time) {
    const auto from = clock_type::now();
    let_run(node, weir::phase_length(time));
    // What is sent in the last two seconds is delivered in the next phase.
    phases.push_back({name, from, clock_type::now() - 2s});
  };
  let_run(node, 2s); // The first events of a hundred new jobs are no baseline.
  run_phase("all destinations well", 8s);
  refusing.refuse_connections(true);
  run_phase("one refuses", 8s);
  dead.script("/dead/99/", [] {
    weir::sink_behaviour silent;
    silent.never_answer = true;
    return silent;
  }());
  run_phase("and one never answers", 10s);
  dead.script("/dead/", [] {
    weir::sink_behaviour silent;
    silent.never_answer = true;
    return silent;
  }());
  run_phase("fifty are dead", 20s);

  const auto state = node.state();
  INFO(state["destinations"].dump());
  CHECK_GE(state["destinations"].size(), 50);
  for (const auto& each : state["destinations"]) {
    CHECK_GT(ledger_number(each["job"]), 50);
    CHECK_NE(each["reason"], "");
  }
  let_run(node, 2s);
  operator_.stop();
  CHECK_LT(operator_.p99().count(), 1000);
  CHECK_GT(ledger_number(node.ledger()["totals"]["buffered"]), 50 * 100);

  dead.script("/dead/", {});
  dead.script("/dead/99/", {});
  dead.reset_connections();
  refusing.refuse_connections(false);
  traffic.stop();
  const auto back = clock_type::now();
  const auto drained = node.drained(60s);
  std::printf("all of it arrived %.1f s after they came back\n",
              std::chrono::duration<double>(clock_type::now() - back).count());
  INFO(node.state()["destinations"].dump());
  REQUIRE(drained);
  CHECK_EQ(traffic.given_up(), 0);
  CHECK_EQ(traffic.not_accepted(), 0);
  check_bystanders(good, phases);
  for (unsigned i = 1; i <= 100; ++i)
    check_arrival(i <= 50   ? good
                  : i < 100 ? dead
                            : refusing,
                  (i <= 50 ? "/good/" : "/dead/") + std::to_string(i) + "/", traffic.ids(i - 1));
  check_books(node, traffic.bodies() * 100);
  CHECK(weir::wait_for([&] { return node.state()["destinations"].empty(); }));
}

TEST_CASE("OVL-04: a failed handshake, 403, 404 and a name nobody knows open the circuit with their reason") {
  weir::sink_server sink;
  const auto zones = running_node::zones(5);
  weir::sink_behaviour answer;
  answer.status = 403;
  sink.script("/403/", answer);
  answer.status = 404;
  sink.script("/404/", answer);
  weir::node_plan plan;
  plan.job_lines = {weir::job_line(1, zones[0], sink.url("/good/")), weir::job_line(2, zones[1], sink.url("/403/")),
                    weir::job_line(3, zones[2], sink.url("/404/")),
                    weir::job_line(4, zones[3], "https://127.0.0.1:" + std::to_string(sink.port()) + "/tls/"),
                    weir::job_line(5, zones[4], "http://nowhere.invalid/gone/")};
  plan.settings["pusher"] = "retry_most = \"2s\"\nprobe_interval = \"3s\"\n";
  running_node node(plan);
  node.start();
  weir::steady_traffic traffic(node, zones);
  std::string seen;
  const auto named = weir::wait_for([&] {
    const auto state = node.state();
    seen = state["destinations"].dump();
    return state["destinations"].size() == 4 && seen.find("403") != std::string::npos
           && seen.find("404") != std::string::npos;
  });
  INFO(seen);
  CHECK(named);
  CHECK(weir::wait_for([&] { return node.metric("weir_pusher_open_breakers") >= 2; }));
  let_run(node, 3s);
  traffic.stop();
  sink.script("/403/", {});
  sink.script("/404/", {});
  const auto sent = traffic.bodies();
  CHECK(weir::wait_for([&] { return ledger_number(node.ledger()["totals"]["delivered"]) == 3 * sent; }, 40s));
  const auto totals = node.ledger()["totals"];
  INFO(totals.dump());
  CHECK_EQ(ledger_number(totals["buffered"]), 2 * sent);
  CHECK_EQ(ledger_number(totals["dead_lettered"]), 0);
  check_arrival(sink, "/good/", traffic.ids(0));
  check_arrival(sink, "/403/", traffic.ids(1));
  check_arrival(sink, "/404/", traffic.ids(2));
}

TEST_CASE("OVL-03: a third of the destinations read 1 KB/s, say 429 or 503; Retry-After is kept, the rest goes on") {
  weir::sink_server good, bad;
  const auto zones = running_node::zones(18);
  weir::node_plan plan;
  for (unsigned i = 1; i <= 18; ++i)
    plan.job_lines.push_back(weir::job_line(i, zones[i - 1],
                                            i <= 12   ? good.url("/good/" + std::to_string(i) + "/")
                                            : i <= 14 ? bad.url("/slow/" + std::to_string(i) + "/")
                                            : i <= 16 ? bad.url("/later/" + std::to_string(i) + "/")
                                                      : bad.url("/never/" + std::to_string(i) + "/")));
  plan.settings["pusher"] = "retry_most = \"3s\"\nprobe_interval = \"4s\"\nslots = 16\n";
  running_node node(plan);
  node.start();
  weir::steady_traffic traffic(node, zones, 300);
  let_run(node, 2s);
  std::vector<phase> phases;
  auto from = clock_type::now();
  let_run(node, weir::phase_length(6s));
  phases.push_back({"all destinations well", from, clock_type::now() - 2s});

  weir::sink_behaviour slow, later, never;
  slow.bytes_per_second = 1000;
  later.status = 429;
  later.retry_after = 4s;
  never.status = 503;
  bad.script("/slow/", slow);
  bad.script("/later/", later);
  bad.script("/never/", never);
  from = clock_type::now();
  let_run(node, weir::phase_length(18s));
  const auto usage = weir::usage_of(node.id());
  CHECK_LT(usage.peak_resident, 512ull << 20);
  phases.push_back({"a third slow or refusing", from, clock_type::now() - 2s});

  for (const auto* path : {"/later/15/", "/later/16/"}) {
    std::optional<clock_type::time_point> refused;
    unsigned tries = 0;
    for (const auto& request : bad.requests(path)) {
      if (refused)
        CHECK_GE(std::chrono::duration<double>(request.at - *refused).count(), 4.0);
      refused = request.status == 429 ? std::optional(request.at) : std::nullopt;
      tries += request.status == 429;
    }
    CAPTURE(path);
    CHECK_GE(tries, 2);
  }
  for (const auto* path : {"/slow/", "/later/", "/never/"})
    bad.script(path, {});
  bad.reset_connections();
  traffic.stop();
  const auto drained = node.drained(40s);
  INFO(node.state()["destinations"].dump());
  REQUIRE(drained);
  check_bystanders(good, phases);
  for (unsigned i = 1; i <= 18; ++i)
    check_arrival(i <= 12 ? good : bad,
                  (i <= 12   ? "/good/"
                   : i <= 14 ? "/slow/"
                   : i <= 16 ? "/later/"
                             : "/never/")
                      + std::to_string(i) + "/",
                  traffic.ids(i - 1));
  check_books(node, traffic.bodies() * 18);
}
