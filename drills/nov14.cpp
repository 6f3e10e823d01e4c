#include "drills/nov14.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "drills/node_observer.hpp"
#include "drills/nov14_scene.hpp"

namespace weir::drills {

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr double nanoseconds = 1e-9;
constexpr double most_delay_factor = 1.2, least_delay_margin_s = 0.5; // the bar of design section 11
constexpr double most_control_s = 1;
constexpr unsigned threads = 2; // for work before and after the measurement

double seconds_of(std::chrono::milliseconds x) {
  return std::chrono::duration<double>(x).count();
}

/// What a delay may be during the flood, by what it was before.
double most_delay(double before) {
  return std::max(before * most_delay_factor, before + least_delay_margin_s);
}

bool wait_for(std::chrono::milliseconds within, const std::function<bool()>& done) {
  const auto until = steady::now() + within;
  while (!done()) {
    if (steady::now() >= until)
      return false;
    std::this_thread::sleep_for(100ms);
  }
  return true;
}

struct variant_of {
  std::string name;
  std::vector<std::string> off;
};

const std::vector<variant_of>& all_variants() {
  static const std::vector<variant_of> all{
      {"publisher", {}},
      {"forwarders", {"publisher_guards", "receiver_guards"}},
      {"receivers", {"publisher_guards", "forwarder_guards"}},
      {"admission", {"publisher_guards", "forwarder_guards", "receiver_guards"}},
      {"memory", {"publisher_guards", "forwarder_guards", "receiver_guards", "admission"}},
  };
  return all;
}

/// The rate at which a node with the entitled jobs takes what they are sent, both on this machine.
double measure_capacity(const nov14_plan& plan) {
  scene s{plan, "calibrate", {}};
  s.node().start();
  generate::body_plan bodies;
  bodies.what.seed = calibration_seed;
  bodies.what.zones = plan.entitled;
  bodies.events = 1'000'000;
  bodies.body_bytes = plan.body_bytes;
  bodies.gzip = true;
  load_plan load;
  load.to = s.steady_sender();
  load.pool = render_pool(bodies, threads);
  load.run = "calibrate";
  load.connections = 32;
  load.cycles = true;
  load_sender sender{std::move(load)};
  sender.start();
  std::this_thread::sleep_for(plan.calibrate / 4);
  const auto from = sender.counts().answered_events;
  const auto began = steady::now();
  std::this_thread::sleep_for(plan.calibrate * 3 / 4);
  const auto events = sender.counts().answered_events - from;
  const std::chrono::duration<double> took = steady::now() - began;
  sender.finish(5s);
  if (events == 0)
    throw std::runtime_error(
        fmt::format("the node took nothing while its rate was measured: {}", sender.strange_answer()));
  return static_cast<double>(events) / took.count();
}

/// One variant from the start of its node to its end.
class run_of_variant {
 public:
  run_of_variant(const nov14_plan& plan, double capacity, std::shared_ptr<const body_pool> entitled,
                 std::shared_ptr<const body_pool> everybody, const std::function<void(const std::string&)>& say)
      : plan_(plan), capacity_(capacity), entitled_(std::move(entitled)), everybody_(std::move(everybody)), say_(say) {}

  nov14_variant run(const variant_of& what) {
    result_.name = what.name;
    result_.off = what.off;
    try {
      play(what);
    } catch (const std::exception& x) {
      result_.error = x.what();
    }
    return std::move(result_);
  }

 private:
  void play(const variant_of& what) {
    scene s{plan_, what.name, what.off};
    s.node().start();
    s.open_destinations();
    // Without admission there are more buffers than `limits.buffers`; they go at the pace of removals, which is slow on
    // purpose.
    const bool admits = std::find(what.off.begin(), what.off.end(), "admission") == what.off.end();
    node_observer observer{s.node(), admits ? "" : "buffers_full"};
    load_sender entitled{steady_load(s)};
    load_sender flood{flood_load(s)};
    say_(fmt::format("{}: {:.0f} events/s for {} entitled jobs", what.name, plan_.load_share * capacity_,
                     plan_.entitled));
    entitled.start();
    const auto began = wall_now_ns();
    std::this_thread::sleep_for(plan_.before);

    const auto broke = wall_now_ns();
    if (what.off.empty()) {
      say_(fmt::format("{}: a blank config", what.name));
      s.publish_blank();
      wait_for(5s, [&] { return s.source_failures() > 0; });
    }
    say_(fmt::format("{}: a config that entitles all {} scopes, and {:.0f} events/s of theirs", what.name, plan_.known,
                     plan_.flood_factor * capacity_));
    s.publish_everybody();
    flood.start();
    std::this_thread::sleep_for(plan_.flood);
    flood.end();
    const auto over = wall_now_ns();
    result_.flood_seconds = static_cast<double>(over - broke) * nanoseconds;
    flood.finish(10s);
    result_.flood = flood.counts();
    s.publish_entitled();
    std::this_thread::sleep_for(plan_.after);
    const bool calm = wait_for(plan_.normal_within - plan_.after, [&] { return observer.latest().normal; });
    const bool answered = entitled.finish(plan_.normal_within);
    const auto ended = wall_now_ns();
    s.await_delivery(entitled.counts().accepted, plan_.normal_within);
    observer.stop();
    read_counters(s, observer);
    const auto arrived = read_arrivals(s.objects(), steady_seed, entitled.plan().pool->events, threads);
    measure(entitled, arrived, observer, {began, broke, over, ended}, calm && answered);
    if (!entitled.strange_answer().empty())
      result_.error = "an entitled sender was answered " + entitled.strange_answer();
    if (s.node().running())
      s.node().stop();
    else
      result_.restarts = 1;
    judge();
  }

  load_plan steady_load(const scene& s) const {
    load_plan load;
    load.to = s.steady_sender();
    load.pool = entitled_;
    load.run = "entitled";
    load.connections = 96;
    load.events_per_second = plan_.load_share * capacity_;
    return load;
  }

  load_plan flood_load(const scene& s) const {
    load_plan load;
    load.to = s.flood_sender();
    load.pool = everybody_;
    load.run = "flood";
    load.connections = 64;
    load.events_per_second = plan_.flood_factor * capacity_;
    load.repeats = false;
    load.cycles = true;
    load.drop_after = 1s;
    return load;
  }

  void read_counters(scene& s, const node_observer& observer) {
    const auto metrics = s.node().metrics();
    result_.guards = guards_fired(metrics);
    result_.buffers_admitted = observer.most_buffers();
    result_.buffers_asked =
        result_.buffers_admitted + static_cast<std::uint64_t>(sum_metric(metrics, "weir_buffers_refused_total"));
    result_.memory_bytes = s.memory_bytes();
    result_.peak_resident_bytes = s.node().peak_resident_bytes();
    result_.states = observer.states_seen();
  }

  struct moments {
    std::int64_t began, broke, over, ended;
  };

  void measure(const load_sender& entitled, const arrivals& arrived, const node_observer& observer, const moments& at,
               bool calm) {
    const auto& fates = entitled.fates();
    // The first seconds open a thousand buffers and fill caches; they are nobody's normal.
    const auto warm = std::min<std::int64_t>((at.broke - at.began) / 3, 5'000'000'000);
    result_.before = measure_span(fates, arrived, at.began + warm, at.broke);
    result_.during = measure_span(fates, arrived, at.broke, at.over);
    result_.after = measure_span(fates, arrived, at.over, at.ended);
    const auto all = measure_span(fates, arrived, 0, at.ended);
    result_.entitled_offered = all.events;
    result_.entitled_lost = all.lost + all.shed + all.unacknowledged;
    result_.entitled_doubled = arrived.doubled;
    result_.entitled_refused_bodies = entitled.counts().refused_bodies;
    const auto told = entitled.counts().accepted;
    result_.ledger_difference = told > arrived.arrived ? told - arrived.arrived : arrived.arrived - told;
    if (arrived.damaged > 0)
      result_.error = "a delivered object does not unpack: " + arrived.first_damage;

    std::vector<double> control;
    std::int64_t last_abnormal = 0;
    for (const auto& look : observer.looks()) {
      if (look.at_ns >= at.broke && look.at_ns < at.over) {
        control.push_back(look.healthz_s);
        control.push_back(look.overload_s);
      }
      if (look.at_ns >= at.over && !look.normal)
        last_abnormal = look.at_ns;
    }
    result_.control_p99_s = quantile(control, 0.99);
    const auto last_late = last_late_ns(fates, arrived, at.over, most_delay(result_.before.ack_p99),
                                        most_delay(result_.before.delivery_p99));
    if (calm)
      result_.normal_after_s =
          static_cast<double>(std::max({at.over, last_abnormal, last_late}) - at.over) * nanoseconds;
  }

  void judge() {
    const auto add = [this](std::string what, std::string found, bool held) {
      result_.bars.push_back({std::move(what), std::move(found), held});
    };
    const auto& r = result_;
    add("entitled events lost: 0", fmt::format("{}", r.entitled_lost), r.entitled_lost == 0 && r.entitled_offered > 0);
    add("entitled events doubled: 0", fmt::format("{}", r.entitled_doubled), r.entitled_doubled == 0);
    add("receipts and arrivals differ by 0", fmt::format("{}", r.ledger_difference), r.ledger_difference == 0);
    const auto ack = most_delay(r.before.ack_p99), delivery = most_delay(r.before.delivery_p99);
    add(fmt::format("acknowledged, p99 during: at most {:.3f} s", ack), fmt::format("{:.3f} s", r.during.ack_p99),
        r.before.ack_p99 >= 0 && r.during.ack_p99 >= 0 && r.during.ack_p99 <= ack);
    add(fmt::format("delivered, p99 during: at most {:.3f} s", delivery),
        fmt::format("{:.3f} s", r.during.delivery_p99),
        r.before.delivery_p99 >= 0 && r.during.delivery_p99 >= 0 && r.during.delivery_p99 <= delivery);
    add(fmt::format("peak memory: at most {} MB", r.memory_bytes >> 20),
        fmt::format("{} MB", r.peak_resident_bytes >> 20),
        r.peak_resident_bytes > 0 && r.peak_resident_bytes <= r.memory_bytes);
    add("control path, p99 during: below 1 s", fmt::format("{:.3f} s", r.control_p99_s),
        r.control_p99_s >= 0 && r.control_p99_s < most_control_s);
    add(fmt::format("normal again: within {} s", plan_.normal_within.count()),
        r.normal_after_s < 0 ? std::string{"not"} : fmt::format("{:.1f} s", r.normal_after_s),
        r.normal_after_s >= 0 && r.normal_after_s <= static_cast<double>(plan_.normal_within.count()));
    add("restarts: 0", fmt::format("{}", r.restarts), r.restarts == 0);
    const auto offered = static_cast<double>(r.flood.due_events) / std::max(0.001, seconds_of(plan_.flood));
    add(fmt::format("flood offered: at least {:.0f} events/s", 0.98 * plan_.flood_factor * capacity_),
        fmt::format("{:.0f} events/s", offered), offered >= 0.98 * plan_.flood_factor * capacity_);
    const auto guard = guard_expected(r.name);
    const auto fired = times_fired(r.guards, guard);
    add(fmt::format("the first guard left fired: {}{{{}}}", guard.metric, guard.label),
        fmt::format("{:.0f} times", fired), fired > 0);
  }

  const nov14_plan& plan_;
  double capacity_;
  std::shared_ptr<const body_pool> entitled_, everybody_;
  const std::function<void(const std::string&)>& say_;
  nov14_variant result_;
};

bool wanted(const nov14_plan& plan, const std::string& name) {
  return plan.only.empty() || std::find(plan.only.begin(), plan.only.end(), name) != plan.only.end();
}

void run_all(const nov14_plan& plan, const std::function<void(const std::string&)>& say, nov14_report& report) {
  say("measuring what a node takes on this machine");
  report.capacity_events_per_s = measure_capacity(plan);
  const auto capacity = report.capacity_events_per_s;
  say(fmt::format("{:.0f} events/s; rendering the bodies", capacity));
  generate::body_plan bodies;
  bodies.gzip = true;
  bodies.body_bytes = plan.body_bytes;
  bodies.what.seed = steady_seed;
  bodies.what.zones = plan.entitled;
  // As long as a run can last: until it is normal again, at the latest.
  const auto longest = seconds_of(plan.before + plan.flood + plan.normal_within) + 20;
  bodies.events = static_cast<std::uint64_t>(std::ceil(plan.load_share * capacity * longest));
  const auto entitled = render_pool(bodies, threads);
  bodies.what.seed = flood_seed;
  bodies.what.zones = plan.known;
  constexpr double flood_pool_seconds = 3; // then the same events again: of a flood nobody asks what came twice
  bodies.events = static_cast<std::uint64_t>(std::ceil(plan.flood_factor * capacity * flood_pool_seconds));
  const auto everybody = render_pool(bodies, threads);
  for (const auto& what : all_variants())
    if (wanted(plan, what.name))
      report.variants.push_back(run_of_variant{plan, capacity, entitled, everybody, say}.run(what));
}

} // namespace

bool nov14_variant::held() const {
  return error.empty() && !bars.empty() && std::all_of(bars.begin(), bars.end(), [](const bar& x) { return x.held; });
}

bool nov14_report::held() const {
  return error.empty() && !variants.empty()
         && std::all_of(variants.begin(), variants.end(), [](const nov14_variant& x) { return x.held(); });
}

nov14_report run_nov14(const nov14_plan& plan, const std::function<void(const std::string&)>& say) {
  nov14_report report;
  report.plan = plan;
  try {
    run_all(plan, say, report);
  } catch (const std::exception& x) {
    report.error = x.what();
  }
  return report;
}

} // namespace weir::drills
