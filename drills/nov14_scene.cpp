#include "drills/nov14_scene.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string_view>
#include <thread>

#include <fmt/format.h>

namespace weir::drills {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t token_words = 8;

/// The watch over a rollout would take everybody's config back within a second, and nothing would be left for the
/// guards behind it.
constexpr std::string_view unwatched_rollout = R"(max_shed_rise = 1.0
max_not_entitled_rise = 1.0
max_delivered_fall = 1.0
min_events = 1000000000
)";
constexpr std::chrono::seconds no_more_deliveries{5};

secret make_token() {
  std::random_device random;
  std::string text;
  for (std::size_t i = 0; i < token_words; ++i)
    text += fmt::format("{:08x}", random());
  return secret{std::move(text)};
}

} // namespace

scene::scene(const nov14_plan& plan, const std::string& name, std::vector<std::string> unsafe_off)
    : plan_(plan),
      memory_(name == "memory" ? plan.ladder_memory_bytes : plan.memory_bytes),
      place_(plan.place, plan.keep),
      objects_(plan.destinations, plan.keep),
      ingest_(free_loopback_port()),
      control_(free_loopback_port()),
      edge_(make_token()),
      stray_(make_token()),
      watches_rollout_(std::find(unsafe_off.begin(), unsafe_off.end(), "receiver_guards") == unsafe_off.end()
                       || std::find(unsafe_off.begin(), unsafe_off.end(), "forwarder_guards") == unsafe_off.end()) {
  while (control_ == ingest_)
    control_ = free_loopback_port();
  write_file(place_.path() + "/edge.token", edge_.reveal(), 0600);
  write_file(place_.path() + "/stray.token", stray_.reveal(), 0600);
  publish_entitled();
  node_ = std::make_unique<scratch_node>(
      scratch_plan{plan.program, place_.path(), config(), std::move(unsafe_off), ingest_, control_, edge_});
}

scene::~scene() = default;

void scene::open_destinations() {
  std::filesystem::create_directory_symlink(objects_.path(), node_->directory() + "/objects");
}

std::string scene::config() const {
  // 160 connections may each hold the first MiB of a packed body.
  return fmt::format(
      R"([node]
name = "nov14"
data_dir = "data"

[ingest.http]
listen = "127.0.0.1:{ingest}"
max_connections_per_address = 256

[control]
listen = "127.0.0.1:{control}"

[[tokens]]
name = "edge"
secret_file = "edge.token"
scopes = ["*"]
rights = ["ingest", "read", "write", "operate"]

[[tokens]]
name = "stray"
secret_file = "stray.token"
scopes = ["*"]
rights = ["ingest"]

[datasets.http_requests]
scope_field = "ZoneID"
timestamp_field = "EdgeStartTimestamp"

[limits]
memory = "{memory}MiB"
buffers = {buffers}
in_flight_bytes = "{in_flight}MiB"
open_block_bytes = "{open_blocks}MiB"

[forwarding]
source = "file:forwarding.json"
poll = "1s"

[config]
interval = "2s"
hold = "5s"

[rollout]
canary = "1s"
tenth = "1s"
all = "1s"
{watch}
[drills]
schedule = []
)",
      fmt::arg("watch", watches_rollout_ ? std::string_view{} : unwatched_rollout), fmt::arg("ingest", ingest_),
      fmt::arg("control", control_), fmt::arg("memory", memory_ >> 20),
      fmt::arg("buffers", plan_.entitled + plan_.spare_buffers), fmt::arg("in_flight", (memory_ >> 20) / 2),
      fmt::arg("open_blocks", (memory_ >> 20) / 5));
}

std::string scene::document(unsigned scopes) {
  auto text = fmt::format(R"({{"format":1,"cluster":"weir","version":{},"entries":{},"jobs":[)"
                          "\n",
                          ++version_, scopes);
  for (unsigned i = 0; i < scopes; ++i) {
    const auto interval = i < plan_.entitled ? plan_.upload_interval.count() : 30;
    fmt::format_to(std::back_inserter(text),
                   R"({}{{"id":{},"dataset":"http_requests","scope":"zones/{}","destination_conf":)"
                   R"("file://{}/scratch/objects/{}","max_upload_interval_seconds":{}}})"
                   "\n",
                   i == 0 ? "" : ",", i + 1, generate::zone_id(i), place_.path(), i + 1, interval);
  }
  return text + "]}\n";
}

void scene::publish_blank() {
  write_file(place_.path() + "/forwarding.json", "", 0600);
}

void scene::publish_everybody() {
  write_file(place_.path() + "/forwarding.json", document(plan_.known), 0600);
}

void scene::publish_entitled() {
  write_file(place_.path() + "/forwarding.json", document(plan_.entitled), 0600);
}

double scene::source_failures() const {
  return sum_metric(node_->metrics(), "weir_config_source_failures_total");
}

void scene::await_delivery(std::uint64_t events, std::chrono::milliseconds within) const {
  const auto until = std::chrono::steady_clock::now() + within;
  double last = -1;
  auto moved = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < until) {
    const auto metrics = node_->metrics();
    const auto delivered = sum_metric(metrics, "weir_pusher_delivered_events_total");
    if (delivered != last) {
      last = delivered;
      moved = std::chrono::steady_clock::now();
    }
    if (delivered >= sum_metric(metrics, "weir_shard_sealed_events_total") && delivered >= static_cast<double>(events))
      return;
    if (std::chrono::steady_clock::now() - moved > no_more_deliveries + plan_.upload_interval)
      return;
    std::this_thread::sleep_for(200ms);
  }
}

std::map<std::string, double> guards_fired(const std::string& metrics) {
  constexpr std::array<std::string_view, 9> counted{"weir_guard_fired_total",
                                                    "weir_config_refused_total",
                                                    "weir_config_source_failures_total",
                                                    "weir_buffers_refused_total",
                                                    "weir_forwarder_not_entitled_events_total",
                                                    "weir_receiver_not_entitled_events_total",
                                                    "weir_shard_shed_events_total",
                                                    "weir_receiver_shed_events_total",
                                                    "weir_overload_entered_total"};
  std::map<std::string, double> fired;
  for (std::size_t at = 0; at < metrics.size();) {
    const auto end = std::min(metrics.find('\n', at), metrics.size());
    const std::string_view line{metrics.data() + at, end - at};
    at = end + 1;
    const auto name = line.substr(0, line.find_first_of("{ "));
    const auto space = line.rfind(' ');
    if (space == std::string_view::npos || std::find(counted.begin(), counted.end(), name) == counted.end())
      continue;
    if (const auto value = std::strtod(std::string{line.substr(space + 1)}.c_str(), nullptr); value > 0)
      fired[std::string{line.substr(0, space)}] += value;
  }
  return fired;
}

expected_guard guard_expected(const std::string& variant) {
  if (variant == "publisher")
    return {"weir_config_refused_total", R"(where="publisher")"};
  if (variant == "forwarders")
    return {"weir_config_refused_total", R"(where="forwarder")"};
  if (variant == "receivers")
    return {"weir_config_refused_total", R"(where="receiver")"};
  if (variant == "admission")
    return {"weir_buffers_refused_total", ""};
  return {"weir_overload_entered_total", R"(state="sealing_early")"};
}

double times_fired(const std::map<std::string, double>& guards, const expected_guard& expected) {
  double sum = 0;
  for (const auto& [guard, count] : guards)
    if (guard.compare(0, expected.metric.size(), expected.metric) == 0
        && guard.find(expected.label) != std::string::npos)
      sum += count;
  return sum;
}

} // namespace weir::drills
