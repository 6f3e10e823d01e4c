#include "apps/capacity_plan.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir {

namespace {

struct point {
  double at = 0;
  double value = 0;
};

// All of bench/RESULTS.md: 2 cores, events of 654 bytes, bodies as fast as they are taken.

constexpr double measured_event_bytes = 654;
constexpr double linger_seconds = 0.05; // `buffer.linger`: what comes to a job in that time becomes one block
constexpr double largest_block = 256 << 10;

/// Raw bytes of a block (events of one job that came within `linger`, at least one) to its share on disk: 574, 151 and
/// 95 bytes an event with 100,000, 1,000 and 64 jobs at 0.33 M, 0.92 M and 1.37 M events/s.
constexpr point stored_share[] = {{measured_event_bytes, 574 / measured_event_bytes},
                                  {30'000, 151 / measured_event_bytes},
                                  {largest_block, 95 / measured_event_bytes}};

/// Active jobs to CPU seconds of the whole process for a million events, and to events a second that two cores took
/// with their sender beside them.
constexpr point cpu_seconds[] = {{64, 1.19}, {1'000, 2.72}, {100'000, 29.16}};
constexpr point most_events[] = {{64, 1.37e6}, {1'000, 0.92e6}, {100'000, 0.33e6}};

constexpr double megabyte = 1e6;
constexpr double idle_bytes = 26 * megabyte;                         // RSS before the load
constexpr double loaded_bytes = 148 * megabyte;                      // peak with 64 jobs at the machine's limit
constexpr double configured_job_bytes = (387 - 26) * megabyte / 1e6; // 1,000,000 configured jobs: 387 MB
constexpr double active_job_bytes = (292 - 148) * megabyte / 1e5;    // 100,000 active ones: 292 MB
constexpr double index_bytes_per_block = 16;                         // docs/store-format.md
constexpr double first_memory_step = 0.70;                           // `limits.memory_seal_at`

constexpr double refuse_appends_at = 0.95;         // `limits.disk_refuse_appends_at`
constexpr double reserve_bytes = 5.0 * (64 << 20); // `store.spare_segments` and `free_reserve`, of 64 MiB
constexpr double file_objects_per_second = 1'000;  // bound by syncs of the measured disk

double interpolated(const point* points, std::size_t count, double at) {
  if (at <= points[0].at)
    return points[0].value;
  for (std::size_t i = 1; i < count; ++i)
    if (at <= points[i].at) {
      const auto& from = points[i - 1];
      const auto& to = points[i];
      const auto way = std::log(at / from.at) / std::log(to.at / from.at);
      return from.value * std::pow(to.value / from.value, way);
    }
  return points[count - 1].value;
}

template <std::size_t Count>
double interpolated(const point (&points)[Count], double at) {
  return interpolated(points, Count, at);
}

std::uint64_t bytes(double x) {
  return static_cast<std::uint64_t>(std::min(std::max(x, 0.0), 9e18));
}

std::string text_of(double bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(units); ++unit)
    bytes /= 1'000;
  return fmt::format(bytes < 9.995 && unit > 0 ? "{:.1f} {}" : "{:.0f} {}", bytes, units[unit]);
}

void cover(const plan_request& wanted, double per_job_second, capacity_plan& plan) {
  const auto usable = static_cast<double>(*wanted.disk) * refuse_appends_at - reserve_bytes;
  auto hours = std::max(0.0, usable) / plan.stored_bytes_per_second / 3'600;
  plan.hours_bound_by = "disk";
  if (const auto quota = static_cast<double>(wanted.job_bytes) / per_job_second / 3'600; quota < hours) {
    hours = quota;
    plan.hours_bound_by = "limits.job_bytes";
  }
  if (const auto age = static_cast<double>(wanted.max_age.count()) / 3'600; age < hours) {
    hours = age;
    plan.hours_bound_by = "buffer.max_age";
  }
  plan.hours_covered = hours;
}

void warn(const plan_request& wanted, double active, double per_job_second, double index, capacity_plan& plan) {
  const auto seconds = static_cast<double>(wanted.outage.count()) * 3'600;
  if (const auto most = interpolated(most_events, active); wanted.events_per_second > 1.001 * most)
    plan.warnings.push_back(fmt::format(
        "the measured machine with 2 cores took {:.2f} M events/s with this many active jobs, not {:.2f} M; one node "
        "with more cores is not measured",
        most / 1e6, wanted.events_per_second / 1e6));
  if (seconds > static_cast<double>(wanted.max_age.count()))
    plan.warnings.push_back(fmt::format("the outage is longer than buffer.max_age ({:.0f} h): older events expire",
                                        static_cast<double>(wanted.max_age.count()) / 3'600));
  if (static_cast<double>(wanted.job_bytes) < per_job_second * seconds)
    plan.warnings.push_back(fmt::format(
        "an average job reaches its quota of {} before the outage ends and sheds then; raise limits.job_bytes",
        text_of(static_cast<double>(wanted.job_bytes))));
  if (plan.objects_per_second > file_objects_per_second)
    plan.warnings.push_back(
        fmt::format("{:.0f} objects a second; file:// destinations on the measured disk took about {:.0f}: a longer "
                    "max_upload_interval_seconds makes fewer and larger ones",
                    plan.objects_per_second, file_objects_per_second));
  if (index > 0.5 * static_cast<double>(plan.memory_used))
    plan.warnings.push_back(fmt::format(
        "{} of the memory is the index of the blocks that wait: few events of a job come within {:.0f} ms; a longer "
        "buffer.linger or fewer, larger bodies make fewer blocks",
        text_of(index), linger_seconds * 1'000));
  if (wanted.jobs > 1'000'000)
    plan.warnings.emplace_back("more than 1,000,000 jobs on one node are not measured");
  if (wanted.event_bytes > 16 * measured_event_bytes)
    plan.warnings.emplace_back(
        "events this large are not measured; CPU is reckoned by bytes, disk by the ratio of logs");
}

} // namespace

capacity_plan plan_capacity(const plan_request& wanted) {
  capacity_plan plan;
  const auto active =
      static_cast<double>(wanted.active_jobs == 0 ? wanted.jobs : std::min(wanted.active_jobs, wanted.jobs));
  const auto events_of_job = wanted.events_per_second / active;
  // A job's block is what came to it while it lingered: at least one event, at most a full block.
  const auto block = std::clamp(events_of_job * linger_seconds * wanted.event_bytes, wanted.event_bytes,
                                std::max(largest_block, wanted.event_bytes));
  plan.stored_bytes_per_event = wanted.event_bytes * interpolated(stored_share, block);
  plan.stored_bytes_per_second = plan.stored_bytes_per_event * wanted.events_per_second;
  // Large events cost by their bytes, small ones not less than was measured.
  plan.cpu_seconds_per_million =
      interpolated(cpu_seconds, active) * std::max(1.0, wanted.event_bytes / measured_event_bytes);
  plan.cores = plan.cpu_seconds_per_million * wanted.events_per_second / 1e6;

  const auto seconds = static_cast<double>(wanted.outage.count()) * 3'600;
  const auto backlog = plan.stored_bytes_per_second * seconds;
  const auto blocks = wanted.events_per_second * seconds * wanted.event_bytes / block;
  const auto in_flight = std::min(1.0, wanted.events_per_second / most_events[0].value) * (loaded_bytes - idle_bytes);
  const auto used = idle_bytes + in_flight + configured_job_bytes * static_cast<double>(wanted.jobs)
                    + active_job_bytes * active + index_bytes_per_block * blocks;
  plan.memory_used = bytes(used);
  plan.memory_limit = std::max<std::uint64_t>(128ull << 20, bytes(used / first_memory_step));
  plan.disk_for_outage = bytes((backlog + reserve_bytes) / refuse_appends_at);
  const auto per_job_second = plan.stored_bytes_per_second / active;
  plan.job_bytes_for_outage = bytes(per_job_second * seconds);
  plan.objects_per_second = std::min(active / static_cast<double>(wanted.interval.count()), wanted.events_per_second);
  if (wanted.disk)
    cover(wanted, per_job_second, plan);
  if (wanted.memory)
    plan.memory_suffices = *wanted.memory >= plan.memory_limit;
  warn(wanted, active, per_job_second, index_bytes_per_block * blocks, plan);
  return plan;
}

std::string render_plan(const plan_request& wanted, const capacity_plan& plan) {
  std::string text;
  const auto line = [&](std::string_view what, const std::string& value, std::string_view why) {
    text += fmt::format("{:<34} {:>12}   {}\n", what, value, why);
  };
  line("stored, of each event", fmt::format("{:.0f} B", plan.stored_bytes_per_event),
       fmt::format("of {:.0f} B; compressed, with record headers", wanted.event_bytes));
  line("written to disk, and sent", text_of(plan.stored_bytes_per_second) + "/s", "about the same to the destinations");
  line("cores busy", fmt::format("{:.2f}", plan.cores),
       fmt::format("{:.1f} CPU s per M events, deliveries included", plan.cpu_seconds_per_million));
  line("memory used", text_of(static_cast<double>(plan.memory_used)),
       fmt::format("with {} h of blocks waiting", wanted.outage.count()));
  line("limits.memory, at least", text_of(static_cast<double>(plan.memory_limit)),
       "so that memory_seal_at (0.7) is not reached");
  line(fmt::format("disk for {} h of outage", wanted.outage.count()),
       text_of(static_cast<double>(plan.disk_for_outage)),
       "all destinations down; up to disk_refuse_appends_at (0.95)");
  line("quota of an average job for it", text_of(static_cast<double>(plan.job_bytes_for_outage)),
       "limits.job_bytes, or the job's buffer_bytes");
  line("objects", fmt::format("{:.1f}/s", plan.objects_per_second),
       fmt::format("one for each active job every {} s", wanted.interval.count()));
  if (plan.hours_covered)
    line(fmt::format("outage covered by {}", text_of(static_cast<double>(*wanted.disk))),
         fmt::format("{:.1f} h", *plan.hours_covered), "bound by " + plan.hours_bound_by);
  if (plan.memory_suffices)
    line(fmt::format("is {} of memory enough", text_of(static_cast<double>(*wanted.memory))),
         *plan.memory_suffices ? "yes" : "NO", "");
  for (const auto& x : plan.warnings)
    text += "note: " + x + '\n';
  text +=
      "From measurements with 654-byte events on 2 cores (bench/RESULTS.md), interpolated; measure yours with\n"
      "`weir generate` before you rely on it.\n";
  return text;
}

std::string plan_json(const plan_request& wanted, const capacity_plan& plan) {
  nlohmann::json out = {
      {"events_per_second", wanted.events_per_second},
      {"jobs", wanted.jobs},
      {"event_bytes", wanted.event_bytes},
      {"outage_hours", wanted.outage.count()},
      {"stored_bytes_per_event", plan.stored_bytes_per_event},
      {"stored_bytes_per_second", plan.stored_bytes_per_second},
      {"cpu_seconds_per_million", plan.cpu_seconds_per_million},
      {"cores", plan.cores},
      {"memory_used", plan.memory_used},
      {"memory_limit", plan.memory_limit},
      {"disk_for_outage", plan.disk_for_outage},
      {"job_bytes_for_outage", plan.job_bytes_for_outage},
      {"objects_per_second", plan.objects_per_second},
      {"warnings", plan.warnings},
  };
  if (plan.hours_covered) {
    out["hours_covered"] = *plan.hours_covered;
    out["hours_bound_by"] = plan.hours_bound_by;
  }
  if (plan.memory_suffices)
    out["memory_suffices"] = *plan.memory_suffices;
  return out.dump(2) + '\n';
}

} // namespace weir
