#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/bulky_sender.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/steady_traffic.hpp"

using namespace std::chrono_literals;
using weir::ledger_number;
using weir::running_node;
using clock_type = std::chrono::steady_clock;

TEST_CASE(
    "OVL-05: with all destinations dead the store fills to its budget and no further; when they are back it "
    "drains, and new events are not starved") {
  weir::sink_server::settings light;
  light.keep_bodies = false;
  weir::sink_server sink(light);
  weir::node_plan plan;
  plan.job_lines = {
      weir::job_line(1, running_node::zones(1).front(), sink.url("/old/"), R"(,"max_upload_bytes":4000000)"),
      weir::job_line(2, running_node::zones(2).back(), sink.url("/fresh/"))};
  constexpr std::uint64_t budget = 96ull << 20;
  plan.settings["limits"] = "memory = \"256MiB\"\nstore_max_bytes = \"96MiB\"\n";
  plan.settings["store"] = "segment_bytes = \"4MiB\"\n";
  plan.settings["pusher"] = "retry_most = \"2s\"\nprobe_interval = \"1s\"\nbreaker_open = \"1s\"\n";
  running_node node(plan);
  node.start();
  sink.refuse_connections(true);
  weir::bulky_sender sender(node);
  std::optional<int> refused;
  REQUIRE(weir::wait_for(
      [&] {
        const auto answer = sender.post();
        if (answer.status != 200)
          refused = answer.status;
        return refused.has_value();
      },
      60s));
  INFO(node.log());
  CHECK((*refused == 507 || *refused == 429));
  std::uint64_t on_disk = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(node.data_dir() + "/store"))
    on_disk += entry.is_regular_file() ? entry.file_size() : 0;
  std::printf("the store has %llu of %llu MiB\n", static_cast<unsigned long long>(on_disk >> 20),
              static_cast<unsigned long long>(budget >> 20));
  CHECK_LE(on_disk, budget + budget / 16); // segments, and beside them checkpoints and sidecars
  CHECK(weir::wait_for([&] { return node.metric("weir_overload_state", R"(state="disk_full")") == 1; }, 5s));
  CHECK(weir::wait_for([&] { return node.metric("weir_overload_state", R"(state="destinations_open")") == 1; }, 15s));
  const auto waiting = ledger_number(node.ledger()["totals"]["buffered"]);
  CHECK_EQ(waiting, sender.accepted);
  CHECK_LE(weir::usage_of(node.id()).peak_resident, 256ull << 20);

  sink.refuse_connections(false);
  const auto back = clock_type::now();
  // As soon as there is room again, new events come in, beside what is left of the old ones.
  weir::steady_traffic fresh(node, {running_node::zones(2).back()});
  std::uint64_t last = waiting;
  unsigned steps = 0;
  CHECK(weir::wait_for(
      [&] {
        const auto book = node.ledger();
        for (const auto& each : book["jobs"])
          if (ledger_number(each["job"]) == 1) {
            const auto left = ledger_number(each["buffered"]);
            CHECK_LE(left, last); // steadily down
            steps += left < last ? 1 : 0;
            last = left;
          }
        return last == 0;
      },
      60s));
  std::printf("%llu events drained in %.1f s, in %u steps\n", static_cast<unsigned long long>(waiting),
              std::chrono::duration<double>(clock_type::now() - back).count(), steps);
  REQUIRE(weir::wait_for([&] { return fresh.bodies() >= 40; }));
  fresh.stop();
  REQUIRE(node.drained(30s));
  CHECK_EQ(fresh.given_up(), 0);
  CHECK_EQ(sink.accepted_ids("/old/").size(), sender.accepted);
  CHECK((sink.accepted_ids("/fresh/") == fresh.ids(0)));
  CHECK(weir::wait_for(
      [&] {
        return node.metric("weir_overload_state", R"(state="disk_full")") == 0
               && node.metric("weir_overload_state", R"(state="destinations_open")") == 0;
      },
      15s));
  CHECK_EQ(sender.post().status, 200); // without a restart
  CHECK_EQ(node.ledger()["balanced"], true);
}

TEST_CASE(
    "OVL-06: a thousand senders that all try again at once are served or turned away cheaply, and nothing is "
    "stored twice") {
  constexpr unsigned senders = 1'000, threads = 8, events = 20;
  const auto zone = running_node::zones(1).front();
  weir::node_plan plan;
  plan.jobs = 1;
  plan.settings["ingest.http"] = "max_connections = 1500\nmax_connections_per_address = 1500\n";
  running_node node(plan);
  node.start();
  const auto request_of = [&](unsigned sender) {
    std::string body;
    for (unsigned i = 0; i < events; ++i)
      body += R"({"ZoneID":")" + zone + R"(","RayID":")" + std::to_string(sender) + '-' + std::to_string(i) + "\"}\n";
    return "POST /v1/ingest/http_requests HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
           + "\r\nIdempotency-Key: storm-" + std::to_string(sender)
           + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  std::atomic<std::uint64_t> done{0}, tries{0}, turned_away{0}, strange{0};
  // Each sender: its body under its key until it is taken, and once more as if the answer had been lost.
  const auto work = [&](unsigned thread) {
    std::vector<std::pair<unsigned, std::unique_ptr<weir::raw_client>>> open;
    for (auto i = thread; i < senders; i += threads)
      open.emplace_back(i, std::make_unique<weir::raw_client>(node.ingest_port()));
    std::vector<unsigned> answered(open.size(), 0);
    const auto until = clock_type::now() + 60s;
    for (std::size_t left = open.size(); left > 0 && clock_type::now() < until;) {
      for (std::size_t i = 0; i < open.size(); ++i)
        if (answered[i] < 2) {
          open[i].second->send(request_of(open[i].first));
          ++tries;
        }
      for (std::size_t i = 0; i < open.size(); ++i) {
        if (answered[i] >= 2)
          continue;
        const auto answer = open[i].second->receive();
        if (answer && answer->status == 200) {
          if (++answered[i] == 2) {
            ++done;
            --left;
            open[i].second->close(); // there is a limit to the connections of one token, too
          }
        } else {
          if (answer && (answer->status == 429 || answer->status == 503))
            ++turned_away;
          else
            ++strange;
          if (!answer || open[i].second->broken() || answer->field("Connection") == "close")
            open[i].second = std::make_unique<weir::raw_client>(node.ingest_port());
        }
      }
    }
  };
  node.send_signal(SIGSTOP); // all of them wait at once
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i)
    all.emplace_back(work, i);
  REQUIRE(weir::wait_for([&] { return tries >= senders; }));
  weir::control_poller operator_(node, {"/healthz"});
  node.send_signal(SIGCONT);
  const auto begin = clock_type::now();
  for (auto& each : all)
    each.join();
  const auto took = std::chrono::duration<double>(clock_type::now() - begin).count();
  operator_.stop();
  std::printf("%llu of %u senders served in %.1f s with %llu tries, %llu turned away; control p99 %lld ms\n",
              static_cast<unsigned long long>(done.load()), senders, took,
              static_cast<unsigned long long>(tries.load()), static_cast<unsigned long long>(turned_away.load()),
              static_cast<long long>(operator_.p99().count()));
  CHECK_EQ(done, senders);
  CHECK_EQ(strange, 0);
  CHECK_LT(took, 60.0);
  REQUIRE(node.drained());
  const auto book = node.ledger();
  CHECK_EQ(ledger_number(book["totals"]["accepted"]), std::uint64_t{senders} * events);
  CHECK_EQ(ledger_number(book["totals"]["delivered"]), std::uint64_t{senders} * events);
  CHECK_EQ(book["balanced"], true);
  CHECK_LT(weir::usage_of(node.id()).peak_resident, 512ull << 20);
}
