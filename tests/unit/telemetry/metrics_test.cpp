#include <doctest/doctest.h>

#include <set>
#include <sstream>
#include <string>

#include "telemetry/delay_metrics.hpp"
#include "telemetry/http_metrics.hpp"
#include "telemetry/node_metrics.hpp"
#include "telemetry/role_metrics.hpp"

using namespace weir;

namespace {

struct fixed_memory : memory_meter {
  std::uint64_t resident() const override { return 123'000'000; }
  std::uint64_t available() const override { return 4'000'000'000; }
};

/// Every metric of a node, as the assembly makes them.
struct all_metrics {
  metrics_registry registry;
  ingest_metrics ingest{registry.families()};
  control_metrics control{registry.families()};
  forwarder_metrics forwarder{registry.families()};
  receiver_metrics receiver{registry.families()};
  shard_metrics shard{registry.families()};
  store_metrics store{registry.families()};
  pusher_metrics pusher{registry.families()};
  buffer_metrics buffer{registry.families()};
  overload_metrics overload{registry.families()};
  supervisor_metrics supervisor{registry.families()};
  process_metrics process{registry.families(), "0.1.0", "n1"};
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("counters end in _total, gauges do not, and every family has a help text") {
  all_metrics all;
  const auto families = all.registry.families().Collect();
  CHECK_GE(families.size(), 60u);
  for (const auto& family : families) {
    INFO(family.name);
    CHECK_FALSE(family.help.empty());
    const bool total = family.name.size() > 6 && family.name.substr(family.name.size() - 6) == "_total";
    // The one exception is named by Prometheus' own conventions and sampled, so it is a gauge inside.
    if (family.name != "process_cpu_seconds_total")
      CHECK_EQ(total, family.type == prometheus::MetricType::Counter);
  }
}

TEST_CASE("labels are a fixed small set, so the number of series does not depend on jobs or senders") {
  all_metrics all;
  const std::set<std::string> allowed{"reason", "class",   "trigger", "purpose",    "use",   "result", "state",
                                      "role",   "version", "node",    "supervisor", "level", "health"};
  std::size_t series = 0;
  for (const auto& family : all.registry.families().Collect())
    for (const auto& metric : family.metric) {
      ++series;
      for (const auto& label : metric.label)
        CHECK_MESSAGE(allowed.count(label.name) == 1, family.name, " has label ", label.name);
    }
  CHECK_LE(series, 250u);
}

TEST_CASE("each value of an enumeration has its own series under its API name") {
  all_metrics all;
  all.shard.shed_events[shed_reason::job_quota].Increment(3);
  all.ingest.trouble[http_trouble::bad_framing].Increment();
  const auto text = all.registry.text();
  CHECK(contains(text, "weir_shard_shed_events_total{reason=\"job_quota\"} 3"));
  CHECK(contains(text, "weir_shard_shed_events_total{reason=\"disk_full\"} 0"));
  CHECK(contains(text, "weir_ingest_trouble_total{reason=\"bad_framing\"} 1"));
}

TEST_CASE("an overload state counts how often it was entered, not how often it was reported") {
  all_metrics all;
  all.overload.set(overload_state::credit_shrunk, true);
  all.overload.set(overload_state::credit_shrunk, true);
  all.overload.set(overload_state::credit_shrunk, false);
  all.overload.set(overload_state::credit_shrunk, true);
  const auto text = all.registry.text();
  CHECK(contains(text, "weir_overload_state{state=\"credit_shrunk\"} 1"));
  CHECK(contains(text, "weir_overload_entered_total{state=\"credit_shrunk\"} 2"));
}

TEST_CASE("a gauge that several owners share is their sum, and forgets an owner that is gone") {
  all_metrics all;
  gauge_share one{all.shard.open_bytes};
  one.set(100);
  {
    gauge_share other{all.shard.open_bytes};
    other.set(30);
    one.set(70);
    CHECK_EQ(all.shard.open_bytes.Value(), 100);
  }
  CHECK_EQ(all.shard.open_bytes.Value(), 70);
}

TEST_CASE("a counter follows a total that is counted elsewhere, and never goes back") {
  all_metrics all;
  count_up_to(all.store.set_aside_records, 3);
  count_up_to(all.store.set_aside_records, 2);
  count_up_to(all.store.set_aside_records, 5);
  CHECK_EQ(all.store.set_aside_records.Value(), 5);
}

TEST_CASE("gauges that nobody pushes are refreshed by each scrape") {
  all_metrics all;
  fixed_memory memory;
  all.registry.before_scrape([&] { all.process.sample(memory); });
  const auto text = all.registry.text();
  CHECK(contains(text, "process_resident_memory_bytes 123000000"));
  CHECK_GT(all.process.threads.Value(), 0);
  CHECK_GT(all.process.open_files.Value(), 2);
  CHECK_GT(all.process.cpu_seconds.Value(), 0);
  CHECK_GT(all.process.start_time_seconds.Value(), 1.6e9);
}

TEST_CASE("delays of deliveries are kept for each dataset, and for no more than a bounded number of them") {
  weir::metrics_registry registry;
  weir::delay_metrics delays{registry.families()};
  delays.ingest_durable.Observe(0.004);
  delays.delivered("http_requests", 1.5);
  delays.delivered("http_requests", -3); // the wall clock was set back
  for (std::size_t i = 0; i < weir::delay_metrics::most_datasets + 10; ++i)
    delays.delivered("set" + std::to_string(i), 0.2);
  const auto text = registry.text();
  CHECK(text.find("weir_ingest_durable_seconds_count 1") != std::string::npos);
  CHECK(text.find("weir_delivery_delay_seconds_count{dataset=\"http_requests\"} 2") != std::string::npos);
  CHECK(text.find("weir_delivery_delay_seconds_sum{dataset=\"http_requests\"} 1.5") != std::string::npos);
  CHECK(text.find("weir_delivery_delay_seconds_count{dataset=\"other\"} 11") != std::string::npos);
}
