#include "tests/kill/system_calls.hpp"

#include <cctype>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

namespace weir {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// `fdatasync(7</path>) = 0`, whole.
std::optional<system_call> parse_call(const std::string& text) {
  const auto open = text.find('(');
  const auto result = text.rfind(") ");
  const auto equals = text.rfind("= ");
  if (open == std::string::npos || result == std::string::npos || equals == std::string::npos || equals < result)
    return std::nullopt;
  system_call call;
  call.name = text.substr(0, open);
  call.text = text.substr(open + 1, result - open - 1);
  call.result = std::strtoll(text.c_str() + equals + 2, nullptr, 10);
  const auto from = call.text.find('<'), comma = call.text.find(", ");
  const auto first = call.text.substr(0, comma);
  if (from != std::string::npos && from < first.size() && first.back() == '>')
    call.target = first.substr(from + 1, first.size() - from - 2);
  return call;
}

} // namespace

std::uint64_t system_call::last_argument() const {
  const auto comma = text.rfind(", ");
  return comma == std::string::npos ? 0 : std::strtoull(text.c_str() + comma + 2, nullptr, 10);
}

std::vector<system_call> read_trace(const std::string& text) {
  struct begun {
    std::string text;
    std::size_t line;
  };
  const std::string unfinished = " <unfinished ...>";
  std::map<std::string, begun> waiting; // by thread
  std::vector<system_call> calls;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    const auto space = line.find(' ');
    const auto thread = line.substr(0, space);
    auto rest = line.substr(line.find_first_not_of(' ', space));
    auto begin = number;
    if (ends_with(rest, unfinished)) {
      waiting[thread] = {rest.substr(0, rest.size() - unfinished.size()), number};
      continue;
    }
    if (rest.rfind("<... ", 0) == 0) {
      const auto found = waiting.find(thread);
      const auto resumed = rest.find(" resumed>");
      if (found == waiting.end() || resumed == std::string::npos)
        continue;
      begin = found->second.line;
      rest = found->second.text + rest.substr(resumed + 9);
      waiting.erase(found);
    }
    if (auto call = parse_call(rest)) {
      call->begin = begin;
      call->end = number;
      calls.push_back(std::move(*call));
    }
  }
  return calls;
}

std::string judge_acknowledgement(const std::vector<system_call>& calls, const acknowledged_event& event) {
  const system_call* write = nullptr;
  for (const auto& call : calls)
    if (call.name.rfind("pwrite", 0) == 0 && ends_with(call.target, event.segment_file) && call.result > 0
        && call.last_argument() <= event.offset
        && event.offset < call.last_argument() + static_cast<std::uint64_t>(call.result))
      write = &call;
  if (!write)
    return "no write took the record at " + event.segment_file + "+" + std::to_string(event.offset);
  for (const auto& call : calls)
    if ((call.name == "fdatasync" || call.name == "fsync") && call.target == write->target && call.result == 0
        && call.begin > write->end && call.end < event.answered)
      return {};
  return "the record at " + event.segment_file + "+" + std::to_string(event.offset) + " was written by line "
         + std::to_string(write->end) + " and no sync of it ended before its answer on line "
         + std::to_string(event.answered);
}

} // namespace weir
