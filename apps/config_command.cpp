#include "apps/config_command.hpp"

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <CLI/CLI.hpp>

#include "messages/control.pb.h"

namespace weir {

namespace {

constexpr int usage_error = 2;

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 19 && text.find_first_not_of("0123456789") == std::string::npos;
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
}

/// Parses an answer of a node, which may be newer.
template <class Message>
bool parse(const std::string& text, Message& into, std::ostream& err) {
  google::protobuf::util::JsonParseOptions how;
  how.ignore_unknown_fields = true;
  const auto wrong = google::protobuf::util::JsonStringToMessage(text, &into, how);
  if (!wrong.ok())
    err << fmt::format("the node's answer cannot be read: {}\n", wrong.ToString());
  return wrong.ok();
}

/// Columns as wide as their widest cell.
class table {
 public:
  explicit table(std::vector<std::string> head) { add(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print(std::ostream& out) const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i)
        widths[i] = std::max(widths[i], row[i].size());
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i)
        line += fmt::format("{:<{}}  ", row[i], widths[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      out << line << '\n';
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string changes_text(const proto::ConfigTenantChange& x) {
  return fmt::format("{} added, {} removed, {} moved, {} changed", x.added(), x.removed(), x.moved(), x.changed());
}

void print_changes(const proto::ConfigChanges& x, std::ostream& out) {
  out << fmt::format("  {}; {} tenants\n", changes_text(x.in_all()), x.tenants());
  if (x.by_tenant().empty())
    return;
  table rows{{"  TENANT", "ADDED", "REMOVED", "MOVED", "CHANGED"}};
  for (const auto& tenant : x.by_tenant())
    rows.add({"  " + tenant.tenant(), std::to_string(tenant.added()), std::to_string(tenant.removed()),
              std::to_string(tenant.moved()), std::to_string(tenant.changed())});
  rows.print(out);
  if (x.tenants() > static_cast<std::uint64_t>(x.by_tenant_size()))
    out << fmt::format("  and {} tenants more\n", x.tenants() - static_cast<std::uint64_t>(x.by_tenant_size()));
}

void print_held(const proto::ConfigHeld& x, bool by_tenant, std::ostream& out) {
  std::string reasons;
  for (const auto& reason : x.reasons())
    reasons += (reasons.empty() ? "" : ", ") + reason;
  out << fmt::format("HELD {}\n  {} since {}, measured from version {}, from {}\n  {}\n", x.hash(), reasons, x.since(),
                     x.parent(), x.who().empty() ? "the source" : x.who(), x.text());
  if (x.has_approved())
    out << fmt::format("  approved by {} at {}, void after {}\n", x.approved().who(), x.approved().at(),
                       x.approved().expires());
  if (by_tenant)
    print_changes(x.changes(), out);
  else
    out << fmt::format("  {}; {} tenants\n", changes_text(x.changes().in_all()), x.changes().tenants());
  out << fmt::format("  weir config show {0}\n  weir config approve {0}\n", x.hash());
}

void print_state(const proto::ConfigState& x, std::ostream& out) {
  out << fmt::format("version {} in force since {}: {} entries of {} jobs, {} on hold\n", x.version(),
                     x.in_force_since().empty() ? "ever" : x.in_force_since(), x.entries(), x.jobs(), x.jobs_on_hold());
  out << fmt::format("confirmed {} s ago{}\n", x.age_seconds(), x.stale() ? " (STALE)" : "");
  if (x.jobs_on_hold() > 0) {
    out << "ON HOLD, buffered but not pushed: jobs";
    for (const auto job : x.on_hold())
      out << ' ' << job;
    out << (x.jobs_on_hold() > static_cast<std::uint64_t>(x.on_hold_size()) ? " …\n" : "\n");
  }
  if (x.rolling_out() != 0)
    out << fmt::format("version {} is rolling out, stage {}: {}\n", x.rolling_out(), x.rollout_stage(),
                       x.rollout_text());
  if (x.has_frozen() && !x.frozen().who().empty())
    out << fmt::format("FROZEN by {} since {}: {}\n", x.frozen().who(), x.frozen().since(), x.frozen().why());
  if (!x.source().ok() && !x.source().reason().empty())
    out << fmt::format("SOURCE REFUSED ({}), {} times in a row: {}\n", x.source().reason(), x.source().failures(),
                       x.source().text());
  if (!x.last_known_good_problem().empty())
    out << fmt::format("NOT KEPT ON DISK: {}\n", x.last_known_good_problem());
  if (!x.history_problem().empty())
    out << fmt::format("HISTORY NOT WRITTEN: {}\n", x.history_problem());
  for (const auto& role : x.roles())
    if (role.version() != x.version() || !role.reason().empty())
      out << fmt::format("{} {} works by version {}{}\n", role.role(), role.index(), role.version(),
                         role.reason().empty() ? "" : " and refused the last one: " + role.reason());
  for (const auto& held : x.held())
    print_held(held, false, out);
}

void print_versions(const proto::ConfigVersions& x, std::ostream& out) {
  table rows{{"VERSION", "FROM", "CREATED", "WHY", "BY", "OUTCOME", "ENTRIES", "JOBS", ""}};
  for (const auto& version : x.versions())
    rows.add({std::to_string(version.version()), std::to_string(version.parent()), version.created(), version.why(),
              version.who(), version.outcome(), std::to_string(version.entries()), std::to_string(version.jobs()),
              version.text()});
  rows.print(out);
}

void print_audit(const proto::Audit& x, std::ostream& out) {
  table rows{{"WHEN", "WHO", "WHAT", "VERSION", "RESULT", "HASH", ""}};
  for (const auto& row : x.rows())
    rows.add({row.at(), row.who(), row.what(), row.version() == 0 ? "" : std::to_string(row.version()), row.result(),
              row.hash().substr(0, 12), row.text()});
  rows.print(out);
}

void print_diff(const proto::ConfigDiff& x, std::ostream& out) {
  out << (x.held().empty() ? fmt::format("from version {} to version {}:\n", x.from(), x.to())
                           : fmt::format("from version {} to what is held as {}:\n", x.from(), x.held()));
  print_changes(x.changes(), out);
  const auto jobs = [&](const char* what, const auto& ids) {
    if (ids.empty())
      return;
    out << fmt::format("  {}:", what);
    for (const auto id : ids)
      out << ' ' << id;
    out << '\n';
  };
  jobs("jobs added", x.added());
  jobs("jobs removed", x.removed());
  jobs("jobs moved", x.moved());
  jobs("jobs changed", x.changed());
}

/// An action: what it asks for, what it prints.
class session {
 public:
  session(const config_command_options& how, const ask_control& ask, std::ostream& out, std::ostream& err)
      : how_(how), ask_(ask), out_(out), err_(err) {}

  int run() {
    const auto& action = how_.action;
    if (action == "list")
      return list();
    if (action == "show")
      return show();
    if (action == "diff")
      return diff();
    if (action == "audit")
      return print<proto::Audit>(fmt::format("/v1/audit?limit={}", how_.limit), print_audit);
    if (action == "approve" || action == "reject")
      return is_hash(word(0)) ? order("hash", '"' + word(0) + '"')
                              : wrong("the hash has 64 hex digits; `weir config list` shows it");
    if (action == "rollback")
      return is_number(word(0)) ? order("version", '"' + word(0) + '"')
                                : wrong("the version is a number; `weir config list` shows those of before");
    return order("", "");
  }

 private:
  std::string word(std::size_t i) const { return i < how_.words.size() ? how_.words[i] : std::string{}; }

  int wrong(const char* what) {
    err_ << fmt::format("weir config {}: {}\n", how_.action, what);
    return usage_error;
  }

  bool get(const std::string& path, std::string& text) {
    const auto answer = ask_("GET", path, {});
    text = answer.text;
    if (answer.status == 200)
      return true;
    err_ << answer.text << '\n';
    return false;
  }

  template <class Message, class Print>
  int print(const std::string& path, Print&& how) {
    std::string text;
    Message message;
    if (!get(path, text))
      return 1;
    if (how_.json) {
      out_ << text;
      return 0;
    }
    if (!parse(text, message, err_))
      return 1;
    how(message, out_);
    return 0;
  }

  int list() {
    if (const int failed = print<proto::ConfigState>("/v1/config", print_state); failed != 0 || how_.json)
      return failed;
    out_ << '\n';
    return print<proto::ConfigVersions>(fmt::format("/v1/config/versions?limit={}", how_.limit), print_versions);
  }

  int show() {
    if (word(0).empty())
      return print<proto::ConfigState>("/v1/config", print_state);
    if (is_number(word(0)))
      return print<proto::ConfigVersion>(
          "/v1/config/versions/" + word(0), [](const proto::ConfigVersion& x, std::ostream& out) {
            proto::ConfigVersions one;
            *one.add_versions() = x;
            print_versions(one, out);
            out << fmt::format("content {}{}\n", x.content_hash(), x.has_content() ? "" : " (not kept any more)");
          });
    if (!is_hash(word(0)))
      return wrong("give a version, or the 64 hex digits of what is held");
    int found = 1;
    const int asked = print<proto::ConfigState>("/v1/config", [&](const proto::ConfigState& x, std::ostream& out) {
      for (const auto& held : x.held())
        if (held.hash() == word(0)) {
          print_held(held, true, out);
          found = 0;
        }
    });
    if (asked == 0 && found != 0 && !how_.json)
      err_ << "no change with this hash is held; `weir config list` shows what is\n";
    return how_.json ? asked : std::max(asked, found);
  }

  int diff() {
    if (is_hash(word(0)) && how_.words.size() == 1)
      return print<proto::ConfigDiff>("/v1/config/diff?held=" + word(0), print_diff);
    if (is_number(word(0)) && is_number(word(1)))
      return print<proto::ConfigDiff>(fmt::format("/v1/config/diff?from={}&to={}", word(0), word(1)), print_diff);
    return wrong("give two versions, or the 64 hex digits of what is held");
  }

  int order(const std::string& key, const std::string& value) {
    proto::ConfigOrder quoted; // Protobuf quotes what the operator wrote.
    quoted.set_why(how_.why);
    std::string body;
    if (!google::protobuf::util::MessageToJsonString(quoted, &body).ok())
      return wrong("--why is no text");
    if (!key.empty())
      body = fmt::format("{{\"{}\":{}{}{}", key, value, body == "{}" ? "" : ",", body.substr(1));
    const auto answer = ask_("POST", "/v1/config/" + how_.action, body);
    if (how_.json)
      out_ << answer.text;
    proto::ConfigOrderResult result;
    google::protobuf::util::JsonParseOptions lenient;
    lenient.ignore_unknown_fields = true;
    const bool readable = google::protobuf::util::JsonStringToMessage(answer.text, &result, lenient).ok();
    if (!how_.json && readable && result.done())
      out_ << result.text() << '\n';
    else if (!how_.json)
      err_ << (readable && !result.text().empty() ? fmt::format("{}: {}", result.error(), result.text()) : answer.text)
           << '\n';
    return answer.status == 200 && readable && result.done() ? 0 : 1;
  }

  const config_command_options& how_;
  const ask_control& ask_;
  std::ostream& out_;
  std::ostream& err_;
};

struct action {
  const char* name;
  const char* what;
  const char* words; ///< Name of its arguments; null: none.
  int fewest, most;
};

constexpr std::array<action, 10> actions{{
    {"list", "What is in force, what is held, and the versions of before", nullptr, 0, 0},
    {"show", "One version, one held change by tenant, or the state", "VERSION|HASH", 0, 1},
    {"diff", "What changed between two versions, or what a held change would change", "VERSION VERSION|HASH", 1, 2},
    {"approve", "Lets exactly this held change go out, once, in stages; void after 30 min", "HASH", 1, 1},
    {"reject", "Keeps a held change away until the source says something else", "HASH", 1, 1},
    {"rollback", "Puts the content of an older version in force within seconds, and freezes", "VERSION", 1, 1},
    {"freeze", "Lets nothing be published; takes back what is under way", nullptr, 0, 0},
    {"unfreeze", "Ends that", nullptr, 0, 0},
    {"publish", "Has the source read and judged now; rejected changes are held anew", nullptr, 0, 0},
    {"audit", "Who did what, when, to which version, and what came of it", nullptr, 0, 0},
}};

} // namespace

int do_config_command(const config_command_options& options, const ask_control& ask, std::ostream& out,
                      std::ostream& err) {
  return session{options, ask, out, err}.run();
}

void add_config_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand("config", "Shows and orders what forwarding config is in force");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  weir config list --token-file operator.token\n"
      "  weir config show 5f1c…                  # all 64 digits: who would lose what, by tenant\n"
      "  weir config diff 41 42\n"
      "  weir config approve 5f1c… --why \"customer X left, ticket 17\"\n"
      "  weir config rollback 41\n"
      "  weir config freeze --why \"generator under repair\"\n"
      "  weir config audit --limit 50\n"
      "\n"
      "Exit codes: 0 done, 1 not done or no answer, 2 the command line is wrong.");
  for (const auto& x : actions) {
    auto how = std::make_shared<config_command_options>();
    how->action = x.name;
    auto* sub = command->add_subcommand(x.name, x.what);
    add_control_options(*sub, how->control);
    if (x.words != nullptr) {
      auto* words = sub->add_option(x.words, how->words, "see `weir config list`")->expected(x.fewest, x.most);
      if (x.fewest > 0)
        words->required();
    }
    const std::string_view name{x.name};
    if (name == "list" || name == "audit")
      sub->add_option("--limit", how->limit, "rows shown")->check(CLI::Range(1, 1'000))->capture_default_str();
    else if (name != "show" && name != "diff")
      sub->add_option("--why", how->why, "a word for the audit trail");
    sub->add_flag("--json", how->json, "the node's answer as it is");
    sub->callback([how, &run] {
      run = [how] {
        return do_config_command(
            *how,
            [&](const std::string& method, const std::string& path, const std::string& body) {
              return call_control(how->control, method, path, body);
            },
            std::cout, std::cerr);
      };
    });
  }
}

} // namespace weir
