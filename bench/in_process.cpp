// What the roles take without HTTP: bodies that lie in memory are handed to the node's gate, as many
// at a time as the gate grants memory for. Usage: weir_bench_in_process DIRECTORY JOBS
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include <caf/actor_system.hpp>

#include "actors/destinations/routing_network.hpp"
#include "apps/config_world.hpp"
#include "apps/data_system.hpp"
#include "apps/real/real_environment.hpp"
#include "drills/generate_bodies.hpp"
#include "drills/generate_events.hpp"
#include "supervisors/node.hpp"
#include "telemetry/log.hpp"

namespace {

using namespace weir;
using steady = std::chrono::steady_clock;

constexpr std::size_t pool_bodies = 256;
constexpr std::chrono::seconds run_for{6};

std::string config_text(const std::string& directory, std::uint64_t jobs) {
  auto text = fmt::format(
      "[node]\nname = \"bench\"\ndata_dir = \"{}/data\"\n[datasets.http_requests]\nscope_field = \"ZoneID\"\n"
      "timestamp_field = \"EdgeStartTimestamp\"\n[limits]\nmemory = \"2GiB\"\nbuffer_creation_rate = 1000000\n"
      "[jobs]\nfile = \"{}/jobs.ndjson\"\n",
      directory, directory);
  std::FILE* file = std::fopen((directory + "/jobs.ndjson").c_str(), "w");
  for (std::uint64_t i = 0; i < jobs; ++i)
    fmt::print(file,
               "{{\"id\":{},\"dataset\":\"http_requests\",\"scope\":\"zones/{}\",\"enabled\":true,"
               "\"destination_conf\":\"file://{}/objects/{}\",\"max_upload_interval_seconds\":5}}\n",
               i + 1, generate::zone_id(i), directory, i);
  std::fclose(file);
  return text;
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
         + 1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

struct flood {
  std::shared_ptr<ingest_gate> gate;
  std::vector<generate::ready_body> bodies;
  std::shared_ptr<const sender> from = std::make_shared<const sender>(sender{"bench", true, {}});
  std::mutex mutex;
  std::condition_variable answered;
  std::uint64_t under_way = 0;
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> refused{0};

  /// Hands over one body, or waits for an answer when the gate has no memory to give.
  void push(const generate::ready_body& ready) {
    ingest_refusal refusal;
    auto granted = gate->reserve(*from, ready.bytes.size(), refusal);
    std::unique_lock lock{mutex};
    if (!granted) {
      answered.wait_for(lock, std::chrono::milliseconds{5});
      return;
    }
    ++under_way;
    lock.unlock();
    auto bytes = std::make_shared<payload>();
    bytes->reserve(ready.bytes.size());
    std::memcpy(bytes->data_for_writing(), ready.bytes.data(), ready.bytes.size());
    bytes->resize(ready.bytes.size());
    bytes->seal();
    bytes->hold(std::move(*granted));
    ingest_body body;
    body.bytes = std::move(bytes);
    body.from = from;
    body.respond = [this, count = ready.count](const ingest_answer& answer) {
      (answer.status == 200 ? events : refused) += count;
      std::lock_guard done{mutex};
      --under_way;
      answered.notify_one();
    };
    gate->accept(std::move(body));
  }

  void wait_for_all() {
    std::unique_lock lock{mutex};
    answered.wait(lock, [this] { return under_way == 0; });
  }
};

int run(const std::string& directory, std::uint64_t jobs) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  environment world{make_real_clock(), make_real_disk(), nullptr, make_real_random(), make_real_memory()};
  auto machine = real_config_world();
  auto file = parse_node_config(config_text(directory, jobs), directory, machine);
  problem_list problems;
  auto snapshot = load_declared_jobs(file.config, machine, config_version{1}, world.clock->wall(), problems);
  if (!file.ok() || !snapshot) {
    std::cerr << "the bench's own config is refused\n";
    return 1;
  }
  network_settings network;
  network.files.roots = {directory};
  world.network = make_network(network, world.disk, std::make_shared<network_counters>());
  data_system_config config{file.config.threads.data};
  caf::actor_system system{config};
  auto started = node::start(system, {file.config, snapshot, world, true, {}});
  if (!started) {
    std::cerr << system.render(started.error()) << '\n';
    return 1;
  }
  flood load;
  load.gate = (*started)->gate();
  generate::body_plan plan;
  plan.what.zones = jobs;
  auto source = generate::make_body_source(plan);
  for (std::size_t i = 0; i < pool_bodies; ++i)
    source->next(load.bodies.emplace_back());

  const auto cpu = cpu_seconds();
  const auto begin = steady::now();
  for (std::size_t i = 0; steady::now() - begin < run_for; ++i)
    load.push(load.bodies[i % load.bodies.size()]);
  load.wait_for_all();
  const std::chrono::duration<double> took = steady::now() - begin;
  const auto used = cpu_seconds() - cpu;
  rusage peak{};
  getrusage(RUSAGE_SELF, &peak);
  const auto millions = static_cast<double>(load.events) / 1e6;
  fmt::print("| {} | {:.2f} M | {:.2f} | {} |\n", jobs, millions / took.count(), used / millions,
             peak.ru_maxrss / 1024);
  if (load.refused > 0)
    std::cerr << load.refused << " events were refused\n";
  (*started)->stop(std::chrono::seconds{0}, [] { return true; });
  started->reset();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: weir_bench_in_process DIRECTORY JOBS\n";
    return 2;
  }
  log::settings how;
  how.where = log::settings::destination::standard_error; // standard output is the table
  log::configure(how);
  return run(argv[1], std::stoull(argv[2]));
}
