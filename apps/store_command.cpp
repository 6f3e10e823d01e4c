#include "apps/store_command.hpp"

#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/real/real_environment.hpp"
#include "messages/error.hpp"
#include "store/inspect.hpp"

namespace weir {

namespace {

std::string_view name_of(store::record_kind kind) {
  switch (kind) {
    case store::record_kind::block:
      return "block";
    case store::record_kind::pack:
      return "pack";
    case store::record_kind::cut:
      return "cut";
    case store::record_kind::commit:
      return "commit";
    case store::record_kind::trim:
      return "trim";
    case store::record_kind::ledger:
      return "ledger";
    case store::record_kind::checkpoint:
      return "checkpoint";
    case store::record_kind::fence:
      return "fence";
    case store::record_kind::closing:
      return "closing";
    case store::record_kind::dead:
      return "dead";
    case store::record_kind::spool:
      return "spool";
    case store::record_kind::batch_done:
      return "batch_done";
    case store::record_kind::key_id:
      return "key_id";
    case store::record_kind::retained:
      return "retained";
  }
  return "unknown";
}

void print_record(const store::inspected_record& x, std::ostream& out) {
  out << fmt::format("  {}+{}  {:<10}  job {}  {:016x}  {}..{}  {} bytes{}\n", x.segment, x.offset, name_of(x.kind),
                     number(x.job), number(x.range.generation), x.range.first,
                     x.range.count == 0 ? x.range.first : x.range.end() - 1, x.bytes, x.relocated ? "  relocated" : "");
}

void print_segments(const store::inspection& found, std::ostream& out) {
  for (const auto& x : found.segments) {
    if (!x.in_use) {
      out << fmt::format("{}  free\n", x.file);
      continue;
    }
    out << fmt::format("{}  segment {}  {} bytes in {} groups  {}", x.file, x.segment, x.end, x.groups,
                       x.has_sidecar ? "with sidecar" : "without sidecar");
    for (const auto& [kind, records] : x.by_kind)
      out << fmt::format("  {} {}", records, name_of(kind));
    out << '\n';
  }
}

void print_problems(const store::inspection& found, std::ostream& out) {
  for (const auto& x : found.problems)
    out << fmt::format(
        "{}: {} at {}: {}{}\n", x.how == store::store_problem::severity::damage ? "DAMAGE" : "note", x.file, x.offset,
        x.what, x.job == job_id{} ? "" : fmt::format(" (job {}, {}+{})", number(x.job), x.range.first, x.range.count));
}

} // namespace

int look_at_store(const store_command_options& options, std::ostream& out, std::ostream& err) {
  store::inspect_options how;
  how.verify = options.verify;
  if (options.records)
    how.on_record = [&out](const store::inspected_record& x) {
      print_record(x, out);
      return true;
    };
  const auto disk = make_real_disk();
  const auto found = store::inspect_store(options.directory, *disk, how);
  if (!found) {
    err << fmt::format("{}: {}\n", options.directory,
                       render_error(found.error().code(), error_category, found.error().context()));
    return 1;
  }
  print_segments(*found, out);
  print_problems(*found, out);
  out << fmt::format("store {:016x}, format {}, checkpoint {} ({} bytes)\n", found->identity, found->format,
                     found->checkpoint, found->checkpoint_bytes);
  out << fmt::format("{} jobs, {} blocks, {} events wait, {} dead letters\n", found->jobs, found->blocks,
                     found->buffered_events, found->dead_letters);
  out << (found->damaged() ? "damaged: see the lines marked DAMAGE\n" : "no damage found\n");
  return found->damaged() ? 1 : 0;
}

void add_store_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand("store", "Looks at a store's files without changing any of them");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  weir store inspect /var/lib/weir/store\n"
      "  weir store verify /var/lib/weir/store --records | grep 'job 42 '\n"
      "\n"
      "Exit codes: 0 no damage, 1 damaged or unreadable, 2 the command line is wrong.");
  const auto add = [&](const char* name, const char* what, bool verify) {
    auto options = std::make_shared<store_command_options>();
    options->verify = verify;
    auto* sub = command->add_subcommand(name, what);
    sub->add_option("DIR", options->directory, "the store, <data_dir>/store")->required();
    if (verify)
      sub->add_flag("--records", options->records, "a line for each record");
    sub->callback([options, &run] { run = [options] { return look_at_store(*options, std::cout, std::cerr); }; });
  };
  add("inspect", "Segments, checkpoint and counts, from what a start would read", false);
  add("verify", "The same, reading every byte and checking every checksum", true);
}

} // namespace weir
