#include "apps/overload_command.hpp"

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <CLI/CLI.hpp>

#include "apps/control_client.hpp"
#include "messages/control.pb.h"

namespace weir {

namespace {

constexpr int something_active = 3;

/// A number as its unit has it: bytes with a prefix, all else to three digits.
std::string shown(double x, const std::string& unit) {
  if (unit.rfind("bytes", 0) != 0)
    return x == static_cast<double>(static_cast<long long>(x)) ? fmt::format("{:.0f}", x) : fmt::format("{:.3g}", x);
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t i = 0;
  for (; x >= 1024 && i + 1 < units.size(); ++i)
    x /= 1024;
  return i == 0 ? fmt::format("{:.0f}{}", x, units[i]) : fmt::format("{:.1f}{}", x, units[i]);
}

struct options {
  control_options control;
  bool only_active = false;
  bool json = false;
};

int ask(const options& how) {
  const auto answer = call_control(how.control, "GET", "/v1/overload");
  if (answer.status != 200) {
    std::cerr << answer.text << '\n';
    return 1;
  }
  if (how.json) {
    std::cout << answer.text;
    return 0;
  }
  return print_overload(answer.text, how.only_active, std::cout, std::cerr);
}

} // namespace

int print_overload(const std::string& answer, bool only_active, std::ostream& into, std::ostream& problems) {
  proto::Overload overload;
  google::protobuf::util::JsonParseOptions how;
  how.ignore_unknown_fields = true; // of a newer node
  if (const auto wrong = google::protobuf::util::JsonStringToMessage(answer, &overload, how); !wrong.ok()) {
    problems << fmt::format("the node's answer cannot be read: {}\n", wrong.ToString());
    return 1;
  }
  std::vector<std::array<std::string, 6>> rows{{"STATE", "", "VALUE", "LIMIT", "SET BY", "SINCE"}};
  std::vector<std::string> actions{""};
  for (const auto& x : overload.states()) {
    const bool active = x.state() == "active";
    if (only_active && !active)
      continue;
    const auto limit = x.limit() == 0 ? std::string{"-"} : shown(x.limit(), x.unit());
    const auto unit = x.unit().rfind("bytes", 0) == 0 ? x.unit().substr(5) : ' ' + x.unit();
    rows.push_back(
        {x.name(), active ? "ACTIVE" : "normal", shown(x.value(), x.unit()), limit + unit, x.limit_path(), x.since()});
    actions.push_back(active ? x.action() : "");
  }
  std::array<std::size_t, 6> widths{};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  if (rows.size() > 1)
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::string line;
      for (std::size_t i = 0; i < rows[r].size(); ++i)
        line += fmt::format("{:<{}}  ", rows[r][i], widths[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      into << line << '\n';
      if (!actions[r].empty())
        into << fmt::format("    {}\n", actions[r]);
    }
  if (overload.normal())
    into << "nothing is at its limit\n";
  return overload.normal() ? 0 : something_active;
}

void add_overload_command(CLI::App& app, std::function<int()>& run) {
  auto how = std::make_shared<options>();
  auto* command =
      app.add_subcommand("overload", "Shows every limit of a node: value, bound, state, since when, action");
  add_control_options(*command, how->control);
  command->add_flag("--active", how->only_active, "only the states that are active");
  command->add_flag("--json", how->json, "the node's answer as it is");
  command->footer(
      "Examples:\n"
      "  weir overload --token-file operator.token\n"
      "  WEIR_TOKEN=… weir overload --connect 127.0.0.1:9401 --active\n"
      "\n"
      "Exit codes: 0 nothing is at its limit (or --json), 1 no answer, 2 the command line is wrong, 3 something is\n"
      "at its limit.");
  command->callback([how, &run] { run = [how] { return ask(*how); }; });
}

} // namespace weir
