/// Does control need an actor system of its own? (docs/adr/0001-two-actor-systems.md)
///
/// A flood as measured on the hot path: shards whose handlers take as long as sealing a 256 KiB
/// block, each with a full credit window waiting, and optionally thousands of ready job actors with
/// short handlers. Beside it, a control actor is asked 100 times a second from a thread of its own,
/// as the control endpoint's threads do. Arguments: seconds per case (4), ready job actors (10000).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <time.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

namespace weir::bench {

using steady = std::chrono::steady_clock;

/// Where an answer lands; the asker waits on it.
struct mail_slot {
  std::mutex mutex;
  std::condition_variable filled;
  bool answered = false;
  std::thread::id handled_on;

  void answer() {
    {
      std::lock_guard lock{mutex};
      answered = true;
      handled_on = std::this_thread::get_id();
    }
    filled.notify_one();
  }
  bool wait(std::chrono::seconds limit) {
    std::unique_lock lock{mutex};
    return filled.wait_for(lock, limit, [this] { return answered; });
  }
};

struct block {}; ///< Work that returns to its shard when done, so that the queue stays as deep as its credit.
struct question {
  std::shared_ptr<mail_slot> slot;
};

} // namespace weir::bench

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::bench::block)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::bench::question)

namespace weir::bench {

namespace {

struct load_config {
  const char* name;
  int shards;
  int shard_credit;                     // messages waiting at each
  std::chrono::microseconds shard_work; // igzip level 1 over 256 KiB (357 us measured)
  int jobs;
  int job_credit;
  std::chrono::microseconds job_work;
};

struct flood_state {
  std::atomic<bool> on{true};
  std::atomic<std::uint64_t> busy_us{0}; // work done, in microseconds of handlers
};

/// Computes for so long by the CPU clock of its thread: being preempted is no work.
void spin(std::chrono::microseconds time) {
  const auto now = [] {
    timespec x{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &x);
    return std::chrono::seconds{x.tv_sec} + std::chrono::nanoseconds{x.tv_nsec};
  };
  for (const auto end = now() + time; now() < end;) {
  }
}

caf::behavior worker(caf::event_based_actor* self, std::shared_ptr<flood_state> flood, std::chrono::microseconds work) {
  return {
      [=](block) {
        spin(work);
        flood->busy_us.fetch_add(static_cast<std::uint64_t>(work.count()), std::memory_order_relaxed);
        if (flood->on)
          self->send(self, block{});
      },
      [](const question& x) { x.slot->answer(); },
  };
}

/// Does what a status page costs: 50 us.
caf::behavior control(caf::event_based_actor*, std::chrono::microseconds work) {
  return {[=](const question& x) {
    spin(work);
    x.slot->answer();
  }};
}

struct system_config : caf::actor_system_config {
  system_config(std::size_t threads, const char* policy) {
    set("scheduler.max-threads", threads);
    set("scheduler.max-throughput", 50);
    set("scheduler.policy", std::string{policy} == "sharing" ? caf::atom("sharing") : caf::atom("stealing"));
  }
};

enum class placement { same_system, own_system, detached };

struct outcome {
  std::vector<double> ms;
  std::uint64_t unanswered = 0;
  double work = 0; // cores' worth of data handlers done
};

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty())
    return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

void ask(const caf::actor& whom, bool urgent, outcome& result) {
  auto slot = std::make_shared<mail_slot>();
  const auto begin = steady::now();
  // From no actor: `anon_send` names no execution unit, so the receiver runs in its own system.
  if (urgent)
    caf::anon_send<caf::message_priority::high>(whom, question{slot});
  else
    caf::anon_send(whom, question{slot});
  if (slot->wait(std::chrono::seconds{5}))
    result.ms.push_back(std::chrono::duration<double, std::milli>(steady::now() - begin).count());
  else
    ++result.unanswered;
}

enum class asked { control_actor, shard, shard_urgently };

outcome run(const load_config& load, const char* policy, placement where, asked what, std::chrono::seconds time) {
  auto flood = std::make_shared<flood_state>();
  outcome result;
  {
    system_config data_config{2, policy};
    caf::actor_system data{data_config};
    system_config control_config{1, policy};
    std::optional<caf::actor_system> second;
    if (where == placement::own_system)
      second.emplace(control_config);
    const std::chrono::microseconds page{50};
    auto controller = where == placement::own_system ? second->spawn(control, page)
                      : where == placement::detached ? data.spawn<caf::detached>(control, page)
                                                     : data.spawn(control, page);
    std::vector<caf::actor> workers;
    for (int i = 0; i < load.shards; ++i)
      workers.push_back(data.spawn(worker, flood, load.shard_work));
    for (int i = 0; i < load.jobs; ++i)
      workers.push_back(data.spawn(worker, flood, load.job_work));
    for (int i = 0; i < load.shards + load.jobs; ++i)
      for (int n = 0; n < (i < load.shards ? load.shard_credit : load.job_credit); ++n)
        caf::anon_send(workers[static_cast<std::size_t>(i)], block{});

    std::this_thread::sleep_for(std::chrono::milliseconds{500}); // queues fill, work is stolen
    const auto work_before = flood->busy_us.load();
    const auto begin = steady::now();
    for (auto next = begin; next < begin + time; next = std::max(next + std::chrono::milliseconds{10}, steady::now())) {
      std::this_thread::sleep_until(next);
      ask(what == asked::control_actor ? controller : workers.front(), what == asked::shard_urgently, result);
    }
    const std::chrono::duration<double, std::micro> elapsed = steady::now() - begin;
    result.work = static_cast<double>(flood->busy_us - work_before) / elapsed.count();
    flood->on = false;
    for (auto& worker : workers)
      caf::anon_send<caf::message_priority::high>(worker, caf::exit_msg{worker.address(), caf::exit_reason::kill});
    caf::anon_send_exit(controller, caf::exit_reason::kill);
    workers.clear();
    controller = nullptr;
  }
  std::sort(result.ms.begin(), result.ms.end());
  return result;
}

/// Which scheduler runs an actor that is sent to from another system?
void show_execution_units() {
  system_config one{1, "stealing"};
  system_config other{1, "stealing"};
  caf::actor_system a{one};
  caf::actor_system b{other};
  auto in_a = a.spawn(control, std::chrono::microseconds{0});
  auto in_b = b.spawn(control, std::chrono::microseconds{0});
  const auto home = [](const caf::actor& whom) {
    auto slot = std::make_shared<mail_slot>();
    caf::anon_send(whom, question{slot});
    slot->wait(std::chrono::seconds{5});
    return slot->handled_on;
  };
  const auto thread_a = home(in_a);
  const auto thread_b = home(in_b);
  const auto where = [&](std::thread::id id) {
    return id == thread_a ? "the sender's" : id == thread_b ? "its own" : "?";
  };
  for (bool anonymous : {false, true}) {
    auto slot = std::make_shared<mail_slot>();
    a.spawn(
        [=](caf::event_based_actor* self, int) {
          if (anonymous)
            caf::anon_send(in_b, question{slot});
          else
            self->send(in_b, question{slot});
        },
        0);
    slot->wait(std::chrono::seconds{5});
    std::printf("%-11s to an actor of another system: it runs on %s scheduler\n",
                anonymous ? "anon_send" : "self->send", where(slot->handled_on));
  }
  auto seen = std::make_shared<mail_slot>();
  auto watching = std::make_shared<mail_slot>();
  auto watcher = b.spawn(
      [=](caf::event_based_actor* self, const caf::actor& whom) -> caf::behavior {
        self->set_down_handler([=](caf::down_msg&) { seen->answer(); });
        self->monitor(whom);
        watching->answer();
        return {[](const question&) {}};
      },
      in_a);
  watching->wait(std::chrono::seconds{5});
  caf::anon_send_exit(in_a, caf::exit_reason::kill);
  seen->wait(std::chrono::seconds{5});
  std::printf("down_msg    of an actor of another system: the watcher runs on %s scheduler\n",
              seen->handled_on == thread_a   ? "the dead one's"
              : seen->handled_on == thread_b ? "its own"
                                             : "?");
  caf::anon_send_exit(watcher, caf::exit_reason::kill);
  caf::anon_send_exit(in_b, caf::exit_reason::kill);
}

} // namespace

int main(int argc, char** argv) {
  const std::chrono::seconds time{argc > 1 ? std::atoi(argv[1]) : 4};
  const int jobs = argc > 2 ? std::atoi(argv[2]) : 10'000;
  using std::chrono::microseconds;
  const load_config loads[] = {
      {"shards", 4, 64, microseconds{350}, 0, 0, microseconds{0}},
      {"shards + jobs", 4, 64, microseconds{350}, jobs, 4, microseconds{20}},
  };
  struct {
    const char* name;
    placement where;
    asked what;
  } cases[] = {
      {"a  same system", placement::same_system, asked::control_actor},
      {"b  own system, 1 worker", placement::own_system, asked::control_actor},
      {"c  same system, detached", placement::detached, asked::control_actor},
      {"d  across: ask a shard", placement::own_system, asked::shard},
      {"e  across: urgently", placement::own_system, asked::shard_urgently},
  };
  show_execution_units();
  std::printf("%-14s %-9s %-26s %6s %9s %9s %9s %6s %7s\n", "load", "policy", "control", "asked", "p50 ms", "p99 ms",
              "max ms", "lost", "cores");
  for (const auto& load : loads)
    for (const char* policy : {"stealing", "sharing"})
      for (const auto& x : cases) {
        const auto result = run(load, policy, x.where, x.what, time);
        std::printf("%-14s %-9s %-26s %6zu %9.2f %9.2f %9.2f %6llu %7.2f\n", load.name, policy, x.name,
                    result.ms.size(), percentile(result.ms, 0.5), percentile(result.ms, 0.99),
                    result.ms.empty() ? 0 : result.ms.back(), static_cast<unsigned long long>(result.unanswered),
                    result.work);
        std::fflush(stdout);
      }
  return 0;
}

} // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::main(argc, argv);
}
