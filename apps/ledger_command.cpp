#include "apps/ledger_command.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/percent_encoding.hpp"
#include "drills/generate_receipts.hpp"

namespace weir {

namespace {

using nlohmann::json;

constexpr std::uint64_t largest_page = 1'000;

/// 64-bit numbers are texts in the ledger's JSON.
std::uint64_t number_of(const json& from, const char* key) {
  const auto found = from.find(key);
  if (found == from.end())
    return 0;
  return found->is_string() ? std::stoull(found->get<std::string>()) : found->get<std::uint64_t>();
}

std::uint64_t sum_of(const json& from, const char* key) {
  std::uint64_t sum = 0;
  if (const auto found = from.find(key); found != from.end())
    for (const auto& [reason, events] : found->items())
      sum += number_of(*found, reason.c_str());
  return sum;
}

std::string query_of(const ledger_command_options& options, std::uint64_t rows, const std::string& cursor) {
  auto query = fmt::format("?limit={}", std::min(rows, largest_page));
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty())
      query += fmt::format("&{}={}", name, percent_encoded(value));
  };
  add("job", options.job);
  add("tenant", options.tenant);
  add("since", options.since);
  add("by", options.by_tenant ? "tenant" : "");
  add("cursor", cursor);
  return query;
}

std::string error_of(const control_answer& answer) {
  const auto parsed = json::parse(answer.text, nullptr, false);
  if (parsed.is_object() && parsed.contains("message"))
    return parsed["message"].get<std::string>();
  return answer.text.empty() ? fmt::format("answered {}", answer.status) : answer.text;
}

/// As many pages as the rows asked for take, as one answer; what is not of rows is the last page's.
json fetch(const ledger_command_options& options, const ledger_source& ask) {
  const auto* const rows = options.by_tenant ? "tenants" : "jobs";
  json whole;
  std::string cursor;
  bool balanced = true;
  for (;;) {
    const std::uint64_t have = whole.is_null() ? 0 : whole[rows].size();
    const auto wanted = options.limit == 0 ? largest_page : options.limit - have;
    const auto answer = ask("GET", "/v1/ledger" + query_of(options, wanted, cursor));
    if (answer.status != 200)
      throw std::runtime_error(error_of(answer));
    auto page = json::parse(answer.text);
    balanced = balanced && page.at("balanced").get<bool>();
    if (!whole.is_null()) {
      auto all = std::move(whole[rows]);
      all.insert(all.end(), page[rows].begin(), page[rows].end());
      page[rows] = std::move(all);
    }
    whole = std::move(page);
    whole["balanced"] = balanced;
    cursor = whole.value("next_cursor", "");
    if (cursor.empty() || (options.limit != 0 && whole[rows].size() >= options.limit))
      return whole;
  }
}

/// Columns of texts: the first ones to the left, the others to the right.
class table {
 public:
  explicit table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() == 1; }

  void print(std::size_t left, std::ostream& out) const {
    std::vector<std::size_t> width(rows_.front().size());
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i)
        width[i] = std::max(width[i], row[i].size());
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i)
        line += i < left ? fmt::format("  {:<{}}", row[i], width[i]) : fmt::format("  {:>{}}", row[i], width[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      out << line << '\n';
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

struct shown_column {
  const char* key;
  const char* head;
};

constexpr shown_column job_columns[] = {
    {"offered", "offered"},        {"repeated", "repeated"},   {"filtered", "filtered"},
    {"sampled_out", "sampled"},    {"shed", "shed"},           {"accepted", "accepted"},
    {"buffered_before", "before"}, {"buffered", "buffered"},   {"leased", "leased"},
    {"delivered", "delivered"},    {"dead_lettered", "dead"},  {"expired", "expired"},
    {"deleted", "deleted"},        {"set_aside", "set aside"}, {"lost", "lost"},
};

std::uint64_t value_of(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_object() ? sum_of(row, key) : number_of(row, key);
}

/// The columns that say something: those of a kind that never happened anywhere are left out.
std::vector<shown_column> columns_of(const json& rows, const json& totals) {
  constexpr std::string_view always[] = {"accepted", "buffered", "delivered", "shed"};
  std::vector<shown_column> result;
  for (const auto& x : job_columns) {
    bool shown =
        std::find(std::begin(always), std::end(always), x.key) != std::end(always) || number_of(totals, x.key) > 0;
    for (auto row = rows.begin(); !shown && row != rows.end(); ++row)
      shown = value_of(*row, x.key) > 0;
    if (shown)
      result.push_back(x);
  }
  return result;
}

void print_rows(const json& rows, const json& totals, bool by_tenant, std::ostream& out) {
  const auto columns = columns_of(rows, totals);
  std::vector<std::string> head =
      by_tenant ? std::vector<std::string>{"tenant", "jobs"} : std::vector<std::string>{"job", "tenant"};
  for (const auto& x : columns)
    head.emplace_back(x.head);
  table lines(head);
  for (const auto& row : rows) {
    const auto tenant = row.value("tenant", "");
    const auto name = tenant.empty() ? std::string{"(in no config)"} : tenant;
    std::vector<std::string> line;
    if (by_tenant)
      line = {name, std::to_string(number_of(row, "jobs"))};
    else
      line = {std::to_string(number_of(row, "job")), name};
    for (const auto& x : columns)
      line.push_back(std::to_string(value_of(row, x.key)));
    lines.add(std::move(line));
  }
  std::vector<std::string> sum{"all", ""};
  for (const auto& x : columns)
    // `offered` of the totals is the senders'; of the jobs' it is what it is made of.
    sum.push_back(std::to_string(std::string_view{x.key} == "offered"
                                     ? number_of(totals, "repeated") + number_of(totals, "filtered")
                                           + number_of(totals, "sampled_out") + number_of(totals, "shed")
                                           + number_of(totals, "accepted")
                                     : number_of(totals, x.key)));
  lines.add(std::move(sum));
  lines.print(2, out);
}

void print_senders(const json& senders, std::ostream& out) {
  table lines({"sender", "received", "rejected", "not entitled", "offered", "turned back", "bodies under way"});
  for (const auto& x : senders)
    lines.add({x.value("sender", ""), std::to_string(number_of(x, "received")), std::to_string(sum_of(x, "rejected")),
               std::to_string(number_of(x, "not_entitled")), std::to_string(number_of(x, "offered")),
               std::to_string(number_of(x, "turned_back")), std::to_string(number_of(x, "under_way_bodies"))});
  lines.print(1, out);
}

void print_reasons(const char* what, const json& totals, const char* key, std::ostream& out) {
  const auto found = totals.find(key);
  if (found == totals.end() || found->empty())
    return;
  out << what << ':';
  for (const auto& [reason, events] : found->items())
    out << ' ' << reason << ' ' << number_of(*found, reason.c_str());
  out << '\n';
}

void print_ledger(const ledger_command_options& options, const json& ledger, std::ostream& out) {
  const auto since = ledger.value("since", "");
  const auto& totals = ledger.at("totals");
  out << (since.empty() ? std::string{"since the store began"} : "since the mark of " + since) << "\n\n";
  print_senders(ledger.at("senders"), out);
  out << '\n';
  print_rows(ledger.at(options.by_tenant ? "tenants" : "jobs"), totals, options.by_tenant, out);
  if (!options.by_tenant && !ledger.at("tenants").empty()) {
    out << '\n';
    print_rows(ledger.at("tenants"), totals, true, out);
  }
  if (!ledger.value("next_cursor", "").empty())
    out << "  … and more; --limit 0 shows all\n";
  out << '\n';
  print_reasons("rejected", totals, "rejected_by_reason", out);
  print_reasons("shed", totals, "shed_by_reason", out);
  const auto& under_way = ledger.at("under_way");
  out << fmt::format("under way: {} bodies, {} bytes; {} blocks open, {} bytes wait for the disk\n",
                     number_of(under_way, "bodies"), number_of(under_way, "bytes"), number_of(under_way, "open_blocks"),
                     number_of(under_way, "queued_bytes"));
}

bool print_differences(const std::vector<ledger_difference>& found, const json& ledger, std::ostream& out) {
  bool equal = true;
  table lines({"", "receipts", "ledger", "difference"});
  for (const auto& x : found) {
    equal = equal && x.receipts == x.ledger;
    lines.add({x.column, std::to_string(x.receipts), std::to_string(x.ledger),
               std::to_string(static_cast<std::int64_t>(x.ledger - x.receipts))});
  }
  out << '\n';
  lines.print(1, out);
  const auto bodies = number_of(ledger.at("under_way"), "bodies");
  if (!equal && bodies > 0)
    out << fmt::format("  {} bodies are under way: compare once they have their answers\n", bodies);
  return equal;
}

json as_json(const std::vector<ledger_difference>& found) {
  auto result = json::object();
  for (const auto& x : found)
    result[x.column] = {{"receipts", x.receipts},
                        {"ledger", x.ledger},
                        {"difference", static_cast<std::int64_t>(x.ledger - x.receipts)}};
  return result;
}

int make_mark(const ledger_source& ask, std::ostream& out) {
  const auto answer = ask("POST", "/v1/ledger/marks");
  if (answer.status != 200)
    throw std::runtime_error(error_of(answer));
  out << json::parse(answer.text).at("at").get<std::string>() << '\n';
  return 0;
}

} // namespace

std::vector<ledger_difference> compare_receipts(const std::vector<std::string>& files, const std::string& sender,
                                                const json& ledger) {
  generate::acknowledged_body sum;
  for (const auto& file : files)
    generate::read_receipts(file, [&](const generate::traffic&, const generate::acknowledged_body& x) {
      sum.count += x.count;
      sum.accepted += x.accepted;
      sum.not_entitled += x.not_entitled;
      sum.rejected += x.rejected;
    });
  ledger_difference received{"received", sum.count, 0}, rejected{"rejected", sum.rejected, 0},
      not_entitled{"not_entitled", sum.not_entitled, 0};
  bool known = sender.empty();
  for (const auto& x : ledger.at("senders")) {
    const auto name = x.value("sender", "");
    if (sender.empty() ? name == "heartbeat" : name != sender)
      continue;
    known = true;
    received.ledger += number_of(x, "received") - number_of(x, "turned_back");
    rejected.ledger += sum_of(x, "rejected");
    not_entitled.ledger += number_of(x, "not_entitled");
  }
  if (!known)
    throw std::runtime_error("the ledger knows no sender of the name " + sender);
  std::vector<ledger_difference> result{received, rejected, not_entitled};
  // Jobs do not know whose events they hold: only the receipts of all senders can be held against them.
  if (sender.empty())
    result.push_back({"accepted", sum.accepted, number_of(ledger.at("totals"), "accepted")});
  return result;
}

int show_ledger(const ledger_command_options& options, const ledger_source& ask, std::ostream& out, std::ostream& err) {
  try {
    if (options.mark)
      return make_mark(ask, out);
    auto ledger = fetch(options, ask);
    bool good = ledger.at("balanced").get<bool>();
    std::vector<ledger_difference> differences;
    if (!options.receipts.empty())
      differences = compare_receipts(options.receipts, options.sender, ledger);
    if (options.json) {
      for (const auto& x : differences)
        good = good && x.receipts == x.ledger;
      if (!differences.empty())
        ledger["receipts"] = as_json(differences);
      out << ledger.dump(2) << '\n';
      return good ? 0 : 1;
    }
    print_ledger(options, ledger, out);
    if (!differences.empty())
      good = print_differences(differences, ledger, out) && good;
    out << (ledger.at("balanced").get<bool>()
                ? std::string{"balanced\n"}
                : fmt::format("NOT BALANCED: {} accounts do not add up\n", number_of(ledger, "unbalanced")));
    return good ? 0 : 1;
  } catch (const std::exception& why) {
    err << "weir ledger: " << why.what() << '\n';
    return 1;
  }
}

void add_ledger_command(CLI::App& app, std::function<int()>& run) {
  auto options = std::make_shared<ledger_command_options>();
  auto* command = app.add_subcommand("ledger", "Shows what became of every event, and whether it adds up");
  add_control_options(*command, options->connect);
  auto* job = command->add_option("--job", options->job, "this job only");
  auto* tenant = command->add_option("--tenant", options->tenant, "the jobs of this tenant, and their sum");
  auto* since =
      command->add_option("--since", options->since,
                          "count from the latest mark before: 2026-11-22T18:00:00Z, or an age as 90min, 36h, 7d");
  command->add_flag("--by-tenant", options->by_tenant, "a row for each tenant instead of each job")->excludes(job);
  command->add_option("--limit", options->limit, "rows to show; 0: all")->capture_default_str();
  command->add_flag("--json", options->json, "the node's own answer instead of tables");
  auto* receipts = command
                       ->add_option("--receipts", options->receipts,
                                    "what `weir generate --receipts` wrote; the ledger must say the same")
                       ->check(CLI::ExistingFile)
                       ->excludes(job)
                       ->excludes(tenant)
                       ->excludes(since);
  command->add_option("--sender", options->sender, "whose receipts they are; default: all who ever sent")
      ->needs(receipts);
  command->add_flag("--mark", options->mark, "make a mark now, for a later --since; shows nothing else");
  command->footer(
      "Examples:\n"
      "  weir ledger --token-file operator.token\n"
      "  weir ledger --tenant accounts/01a7362d577a6c3019a474fd6f485823 --since 24h\n"
      "  weir ledger --by-tenant --limit 0 --json | jq '.tenants[] | [.tenant, .delivered]'\n"
      "  weir ledger --receipts load.receipts          # equal, also after a kill -9?\n"
      "  MARK=$(weir ledger --mark); sleep 600; weir ledger --since $MARK\n"
      "\n"
      "Exit codes: 0 it balances (and equals the receipts), 1 it does not, or the node did not answer, 2 the\n"
      "command line is wrong.");
  command->callback([options, &run] {
    run = [options] {
      return show_ledger(
          *options,
          [&](const std::string& method, const std::string& path) {
            return call_control(options->connect, method, path);
          },
          std::cout, std::cerr);
    };
  });
}

} // namespace weir
