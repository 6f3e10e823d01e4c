#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/audit_command.hpp"

namespace weir::audit {

namespace {

bool has_problem(const job_report& job) {
  return job.doubled_events > 0 || job.unreadable > 0 || job.receipts_missing > 0
         || std::any_of(job.generations.begin(), job.generations.end(),
                        [](const generation_report& g) { return g.missing > 0 || g.doubled > 0; });
}

void print_job(const job_report& job, std::ostream& out) {
  out << fmt::format(
      "{:>12} {:>9} {:>12} {:>7.1f}  ", number(job.job), job.objects, job.events,
      job.packed_bytes > 0 ? static_cast<double>(job.raw_bytes) / static_cast<double>(job.packed_bytes) : 0);
  for (const auto& g : job.generations) {
    out << fmt::format(" {:016x}:1-{}", number(g.generation), g.last);
    if (g.missing > 0)
      out << fmt::format(" MISSING {} from {}", g.missing, g.first_missing);
    if (g.doubled > 0)
      out << fmt::format(" DOUBLED {} from {}", g.doubled, g.first_doubled);
  }
  if (job.doubled_events > 0)
    out << fmt::format(" SAME EVENT TWICE {}", job.doubled_events);
  if (job.unreadable > 0)
    out << fmt::format(" UNREADABLE LINES {}", job.unreadable);
  if (job.receipts_missing > 0)
    out << fmt::format(" ACKNOWLEDGED BUT MISSING {}", job.receipts_missing);
  out << '\n';
}

void print_receipts(const report& r, const std::vector<missing_event>& first_missing, std::ostream& out) {
  out << fmt::format("acknowledged  {} events in {} bodies, {} of them expected here\n", r.acknowledged_events,
                     r.acknowledged_bodies, r.expected);
  out << fmt::format("missing       {}\n", r.missing + r.missing_unnamed + r.missing_zones);
  if (r.missing_unnamed > 0)
    out << fmt::format("  {} of bodies that the node took in part: which ones cannot be told\n", r.missing_unnamed);
  if (r.missing_zones > 0)
    out << fmt::format("  {} of zones of which nothing was delivered and no job is known\n", r.missing_zones);
  for (const auto& m : first_missing)
    out << fmt::format("  missing: RayID {} of zone {}, job {}, sender {} counter {}, body {}\n", m.ray, m.zone,
                       number(m.job), m.seed, m.counter, m.body);
  if (r.missing > first_missing.size())
    out << fmt::format("  … and {} more; --missing FILE lists them all\n", r.missing - first_missing.size());
}

} // namespace

void print(const report& r, const std::vector<missing_event>& first_missing, const options& how, std::ostream& out) {
  std::size_t shown = 0, skipped = 0;
  for (const auto& job : r.jobs) {
    if (!how.all_jobs && !has_problem(job))
      continue;
    if (shown == how.show) {
      ++skipped;
      continue;
    }
    if (shown++ == 0)
      out << fmt::format("{:>12} {:>9} {:>12} {:>7}   {}\n", "job", "objects", "events", "ratio",
                         "generation:sequences");
    print_job(job, out);
  }
  if (skipped > 0)
    out << fmt::format("… and {} jobs more; --show says how many are named\n", skipped);
  for (std::size_t i = 0; i < std::min(how.show, r.bad_files.size()); ++i)
    out << "damaged: " << r.bad_files[i] << '\n';
  if (r.bad_file_count > how.show)
    out << fmt::format("… and {} files more\n", r.bad_file_count - how.show);
  if (shown > 0 || r.bad_file_count > 0)
    out << '\n';

  out << fmt::format("delivered     {} events of {} jobs in {} objects, {} bytes ({} raw)\n", r.events, r.jobs.size(),
                     r.files, r.packed_bytes, r.raw_bytes);
  if (r.foreign_members > 0)
    out << fmt::format("not of Weir   {} members without identity: they prove nothing\n", r.foreign_members);
  out << fmt::format("gaps          {} sequences\n", r.gaps);
  out << fmt::format("doubled       {} sequences, {} events\n", r.doubled_sequences, r.doubled_events);
  if (r.unreadable > 0)
    out << fmt::format("unreadable    {} lines\n", r.unreadable);
  if (r.bad_file_count > 0)
    out << fmt::format("damaged       {} files\n", r.bad_file_count);
  if (r.with_receipts)
    print_receipts(r, first_missing, out);
  out << (r.clean() ? "ok\n" : "NOT OK\n");
}

void print_json(const report& r, const std::vector<missing_event>& first_missing, std::ostream& out) {
  using nlohmann::json;
  auto jobs = json::array();
  for (const auto& job : r.jobs) {
    auto generations = json::array();
    for (const auto& g : job.generations)
      generations.push_back({{"generation", fmt::format("{:016x}", number(g.generation))},
                             {"last", g.last},
                             {"missing", g.missing},
                             {"first_missing", g.first_missing},
                             {"doubled", g.doubled},
                             {"first_doubled", g.first_doubled}});
    jobs.push_back({{"job", number(job.job)},
                    {"objects", job.objects},
                    {"members", job.members},
                    {"events", job.events},
                    {"raw_bytes", job.raw_bytes},
                    {"packed_bytes", job.packed_bytes},
                    {"doubled_events", job.doubled_events},
                    {"unreadable", job.unreadable},
                    {"acknowledged_missing", job.receipts_missing},
                    {"generations", std::move(generations)}});
  }
  auto named = json::array();
  for (const auto& m : first_missing)
    named.push_back({{"ray_id", m.ray},
                     {"zone", m.zone},
                     {"job", number(m.job)},
                     {"seed", m.seed},
                     {"counter", m.counter},
                     {"body", m.body}});
  json result{{"ok", r.clean()},
              {"files", r.files},
              {"members", r.members},
              {"foreign_members", r.foreign_members},
              {"events", r.events},
              {"raw_bytes", r.raw_bytes},
              {"packed_bytes", r.packed_bytes},
              {"gaps", r.gaps},
              {"doubled_sequences", r.doubled_sequences},
              {"doubled_events", r.doubled_events},
              {"unreadable", r.unreadable},
              {"damaged_files", r.bad_file_count},
              {"damaged", r.bad_files},
              {"jobs", std::move(jobs)}};
  if (r.with_receipts)
    result["receipts"] = {{"bodies", r.acknowledged_bodies},
                          {"events", r.acknowledged_events},
                          {"expected", r.expected},
                          {"missing", r.missing + r.missing_unnamed + r.missing_zones},
                          {"missing_named", r.missing},
                          {"missing_in_partial_bodies", r.missing_unnamed},
                          {"missing_of_unknown_zones", r.missing_zones},
                          {"first_missing", std::move(named)}};
  // Paths need not be UTF-8; the report must be.
  out << result.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
}

} // namespace weir::audit
