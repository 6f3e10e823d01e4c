#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "drills/nov14.hpp"

namespace weir::drills {

namespace {

using nlohmann::json;

std::string grouped(std::uint64_t number) {
  auto text = fmt::format("{}", number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string three(double before, double during, double after) {
  const auto one = [](double x) { return x < 0 ? std::string{"–"} : fmt::format("{:.2f}", x); };
  return fmt::format("{} / {} / {}", one(before), one(during), one(after));
}

std::string row(const nov14_report& report, const std::string& name, const std::string& incident,
                const std::function<std::string(const nov14_variant&)>& cell) {
  auto line = fmt::format("| {} | {} |", name, incident);
  for (const auto& x : report.variants)
    line += fmt::format(" {} |", cell(x));
  return line + "\n";
}

std::string table(const nov14_report& report) {
  std::string text = "| | 14 November 2024, as reported |", rule = "|---|---|";
  for (const auto& x : report.variants) {
    text += fmt::format(" {} |", x.name);
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  using variant = const nov14_variant&;
  text += row(report, "switched off", "–", [](variant x) {
    return x.off.empty() ? std::string{"nothing"} : fmt::format("{}", fmt::join(x.off, ", "));
  });
  text += row(report, "trigger lasted", "5 min", [](variant x) { return fmt::format("{:.0f} s", x.flood_seconds); });
  text += row(report, "impact after it", "3.5 h", [](variant x) {
    return x.normal_after_s < 0 ? std::string{"did not end"} : fmt::format("{:.1f} s", x.normal_after_s);
  });
  text += row(report, "entitled events offered", "–", [](variant x) { return grouped(x.entitled_offered); });
  text += row(report, "entitled events lost", "55 %", [](variant x) { return grouped(x.entitled_lost); });
  text += row(report, "entitled events doubled", "–", [](variant x) { return grouped(x.entitled_doubled); });
  text += row(report, "flood: events offered", "40 times the buffers",
              [](variant x) { return grouped(x.flood.due_events); });
  text += row(report, "flood: not entitled / stored / refused / held back", "–", [](variant x) {
    return fmt::format("{} / {} / {} / {}", grouped(x.flood.not_entitled), grouped(x.flood.accepted),
                       grouped(x.flood.shed + x.flood.refused_events), grouped(x.flood.dropped_events));
  });
  text += row(report, "acknowledged, p99, s: before / during / after", "–",
              [](variant x) { return three(x.before.ack_p99, x.during.ack_p99, x.after.ack_p99); });
  text += row(report, "delivered, p99, s: before / during / after", "–",
              [](variant x) { return three(x.before.delivery_p99, x.during.delivery_p99, x.after.delivery_p99); });
  text += row(report, "buffers asked for / admitted", "40 times / all",
              [](variant x) { return fmt::format("{} / {}", grouped(x.buffers_asked), grouped(x.buffers_admitted)); });
  text += row(report, "peak memory, MB", "–", [](variant x) { return fmt::format("{}", x.peak_resident_bytes >> 20); });
  text += row(report, "control path, p99, s", "did not answer", [](variant x) {
    return x.control_p99_s < 0 ? std::string{"–"} : fmt::format("{:.3f}", x.control_p99_s);
  });
  text += row(report, "restarts needed", "all of it", [](variant x) { return fmt::format("{}", x.restarts); });
  text += row(report, "bars held", "–", [](variant x) {
    const auto held = std::count_if(x.bars.begin(), x.bars.end(), [](const bar& each) { return each.held; });
    return fmt::format("{} of {}{}", held, x.bars.size(), x.error.empty() ? "" : ", FAILED");
  });
  return text;
}

json delays_json(const span_delays& x) {
  return {{"events", x.events},
          {"unacknowledged", x.unacknowledged},
          {"shed", x.shed},
          {"lost", x.lost},
          {"ack_p50_s", x.ack_p50},
          {"ack_p99_s", x.ack_p99},
          {"ack_max_s", x.ack_max},
          {"delivery_p50_s", x.delivery_p50},
          {"delivery_p99_s", x.delivery_p99},
          {"delivery_max_s", x.delivery_max}};
}

json variant_json(const nov14_variant& x) {
  json bars = json::array();
  for (const auto& each : x.bars)
    bars.push_back({{"bar", each.what}, {"found", each.found}, {"held", each.held}});
  return {{"name", x.name},
          {"off", x.off},
          {"held", x.held()},
          {"error", x.error},
          {"entitled",
           {{"offered", x.entitled_offered},
            {"lost", x.entitled_lost},
            {"doubled", x.entitled_doubled},
            {"refused_for_now_bodies", x.entitled_refused_bodies},
            {"receipts_minus_arrivals", x.ledger_difference},
            {"before", delays_json(x.before)},
            {"during", delays_json(x.during)},
            {"after", delays_json(x.after)}}},
          {"flood",
           {{"seconds", x.flood_seconds},
            {"offered", x.flood.due_events},
            {"answered", x.flood.answered_events},
            {"accepted", x.flood.accepted},
            {"not_entitled", x.flood.not_entitled},
            {"shed", x.flood.shed},
            {"refused", x.flood.refused_events},
            {"held_back", x.flood.dropped_events},
            {"broken_connections", x.flood.broken},
            {"other_answers", x.flood.other_answers}}},
          {"buffers", {{"asked", x.buffers_asked}, {"admitted", x.buffers_admitted}}},
          {"memory_bytes", x.memory_bytes},
          {"peak_resident_bytes", x.peak_resident_bytes},
          {"control_p99_s", x.control_p99_s},
          {"normal_after_s", x.normal_after_s},
          {"restarts", x.restarts},
          {"guards", x.guards},
          {"overload_states", x.states},
          {"bars", bars}};
}

} // namespace

std::string nov14_markdown(const nov14_report& report) {
  auto text = fmt::format("# Drill nov14: {}\n\n", report.held() ? "held" : "NOT HELD");
  if (!report.error.empty())
    text += report.error + "\n";
  text += fmt::format(
      "{} entitled jobs among {} known scopes. This machine took {} events/s in this run; the entitled "
      "senders offered {:.0f} % of it all the time, the flood {:.0f} %.\n\n",
      grouped(report.plan.entitled), grouped(report.plan.known),
      grouped(static_cast<std::uint64_t>(report.capacity_events_per_s)), report.plan.load_share * 100,
      report.plan.flood_factor * 100);
  if (report.variants.empty())
    return text;
  text += table(report);
  for (const auto& x : report.variants) {
    text += fmt::format("\n## {}\n\n", x.name);
    if (!x.error.empty())
      text += x.error + "\n\n";
    for (const auto& each : x.bars)
      text += fmt::format("- {} {}: {}\n", each.held ? "held" : "MISSED", each.what, each.found);
    text += "\nWhat fired, and how often:\n\n";
    for (const auto& [guard, count] : x.guards)
      text += fmt::format("- `{}` {:.0f}\n", guard, count);
    if (!x.states.empty())
      text += fmt::format("- overload states that were active: {}\n", fmt::join(x.states, ", "));
  }
  return text;
}

std::string nov14_json(const nov14_report& report) {
  json variants = json::array();
  for (const auto& x : report.variants)
    variants.push_back(variant_json(x));
  return json{{"drill", "nov14"},
              {"held", report.held()},
              {"error", report.error},
              {"capacity_events_per_s", report.capacity_events_per_s},
              {"entitled_jobs", report.plan.entitled},
              {"known_scopes", report.plan.known},
              {"load_share", report.plan.load_share},
              {"flood_factor", report.plan.flood_factor},
              {"incident", {{"trigger_s", 300}, {"impact_s", 12'600}, {"lost_share", 0.55}, {"restart", "full"}}},
              {"variants", variants}}
             .dump(2)
         + "\n";
}

} // namespace weir::drills
