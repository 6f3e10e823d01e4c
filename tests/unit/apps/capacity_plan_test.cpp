#include "apps/capacity_plan.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace weir;
using namespace std::chrono_literals;

namespace {

plan_request load(double events_per_second, std::uint64_t jobs) {
  plan_request wanted;
  wanted.events_per_second = events_per_second;
  wanted.jobs = jobs;
  return wanted;
}

} // namespace

TEST_CASE("at the loads that were measured the plan says what was measured") {
  const auto few = plan_capacity(load(1.37e6, 64));
  CHECK(few.stored_bytes_per_event == doctest::Approx(95).epsilon(0.01));
  CHECK(few.cores == doctest::Approx(1.19 * 1.37).epsilon(0.01));
  const auto some = plan_capacity(load(0.92e6, 1'000));
  CHECK(some.stored_bytes_per_event == doctest::Approx(151).epsilon(0.02));
  const auto many = plan_capacity(load(0.33e6, 100'000));
  CHECK(many.stored_bytes_per_event == doctest::Approx(574).epsilon(0.01));
  CHECK(many.cpu_seconds_per_million == doctest::Approx(29.16).epsilon(0.01));
  // The machine took each of these: nothing is said of the rate.
  for (const auto* x : {&few, &some, &many})
    for (const auto& warning : x->warnings)
      CHECK(warning.find("measured machine") == std::string::npos);
}

TEST_CASE("a million configured jobs of which ten thousand get events take the memory that was measured") {
  auto wanted = load(1'000, 1'000'000);
  wanted.active_jobs = 10'000;
  wanted.outage = 1h;
  const auto plan = plan_capacity(wanted);
  CHECK(plan.memory_used > 387e6); // with 10,000 active ones and an hour of blocks on top
  CHECK(plan.memory_used < 520e6);
  CHECK(plan.memory_limit > plan.memory_used);
}

TEST_CASE("the disk that the plan asks for covers the outage, and a smaller one does not") {
  auto wanted = load(50'000, 1'000);
  wanted.outage = 24h;
  const auto plan = plan_capacity(wanted);
  CHECK_FALSE(plan.hours_covered);
  wanted.disk = plan.disk_for_outage;
  CHECK(plan_capacity(wanted).hours_covered.value() == doctest::Approx(24).epsilon(0.001));
  CHECK(plan_capacity(wanted).hours_bound_by == "disk");
  wanted.disk = plan.disk_for_outage / 2;
  CHECK(plan_capacity(wanted).hours_covered.value() < 12.1);
  wanted.disk = 1; // less than the reserves
  CHECK(plan_capacity(wanted).hours_covered.value() == 0);
}

TEST_CASE("a disk without end covers no more than the age at which events expire, or a job's quota") {
  auto wanted = load(1'000, 1'000);
  wanted.disk = 1ull << 60;
  auto plan = plan_capacity(wanted);
  CHECK(plan.hours_covered.value() == doctest::Approx(72));
  CHECK(plan.hours_bound_by == "buffer.max_age");
  wanted.job_bytes = 1 << 20;
  plan = plan_capacity(wanted);
  CHECK(plan.hours_covered.value() < 72);
  CHECK(plan.hours_bound_by == "limits.job_bytes");
  CHECK(plan.warnings.front().find("reaches its quota") != std::string::npos); // before the day is over
}

TEST_CASE("more of anything never takes less") {
  for (double events : {10.0, 1e3, 1e5, 1e6}) {
    for (std::uint64_t jobs : {1ull, 64ull, 999ull, 50'000ull, 1'000'000ull}) {
      const auto plan = plan_capacity(load(events, jobs));
      const auto more_events = plan_capacity(load(events * 2, jobs));
      const auto more_jobs = plan_capacity(load(events, jobs * 2));
      CAPTURE(events);
      CAPTURE(jobs);
      CHECK(more_events.disk_for_outage >= plan.disk_for_outage);
      CHECK(more_events.cores >= plan.cores);
      CHECK(more_jobs.disk_for_outage >= plan.disk_for_outage);
      CHECK(more_jobs.memory_used >= plan.memory_used);
      CHECK(more_jobs.cpu_seconds_per_million >= plan.cpu_seconds_per_million);
      CHECK(plan.stored_bytes_per_event <= 654);
      CHECK(plan.memory_limit >= 128ull << 20);
    }
  }
}

TEST_CASE("what was not measured, or does not fit, is said") {
  auto wanted = load(5e6, 100'000);
  wanted.memory = 256 << 20;
  const auto plan = plan_capacity(wanted);
  CHECK(plan.memory_suffices == false);
  CHECK(plan.objects_per_second == doctest::Approx(100'000 / 30.0));
  CHECK(plan.warnings.size() == 3); // the rate, the objects, the index
  const auto text = render_plan(wanted, plan);
  CHECK(text.find("NO") != std::string::npos);
  CHECK(text.find("note: ") != std::string::npos);
  const auto json = nlohmann::json::parse(plan_json(wanted, plan));
  CHECK(json["memory_suffices"] == false);
  CHECK(json["warnings"].size() == plan.warnings.size());
  CHECK_FALSE(json.contains("hours_covered"));
}
