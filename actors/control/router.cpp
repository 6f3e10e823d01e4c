#include "actors/control/router.hpp"

#include <algorithm>
#include <charconv>

namespace weir {

namespace {

constexpr std::size_t max_page = 1'000;

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1); // the slash
    const auto end = std::min(path.find('/'), path.size());
    segments.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

bool is_capture(const std::string& segment) noexcept {
  return !segment.empty() && segment.front() == '{';
}

std::optional<std::vector<std::string>> match(const std::vector<std::string>& pattern,
                                              const std::vector<std::string>& path) {
  if (pattern.size() != path.size())
    return std::nullopt;
  std::vector<std::string> captures;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (is_capture(pattern[i]) && !path[i].empty())
      captures.push_back(path[i]);
    else if (pattern[i] != path[i])
      return std::nullopt;
  }
  return captures;
}

http::problem bad_page(std::string message) {
  return {400, http_trouble::bad_request, "bad_query", std::move(message)};
}

} // namespace

std::string_view name_of(control_right right) noexcept {
  switch (right) {
    case control_right::none:
      return "none";
    case control_right::loopback:
      return "read";
    case control_right::read:
      return "read";
    case control_right::write:
      return "write";
    case control_right::operate:
      return "operate";
  }
  return "operate";
}

bool control_caller::may(control_right right) const noexcept {
  const auto needed = right == control_right::loopback ? control_right::read : right;
  return needed == control_right::none || std::find(rights.begin(), rights.end(), needed) != rights.end();
}

std::optional<std::string_view> control_request::parameter(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name)
      return value;
  return std::nullopt;
}

void control_router::route(std::string method, std::string path, control_right right, control_handler handler) {
  entries_.push_back({std::move(method), split(path), right, std::move(handler)});
}

void control_router::answer(std::string method, std::string path, control_right right,
                            std::function<http::answer(const control_request&)> handler) {
  route(std::move(method), std::move(path), right,
        [handler = std::move(handler)](control_request request, control_responder respond) {
          respond(handler(request));
        });
}

std::variant<control_router::found, control_router::missing> control_router::find(std::string_view method,
                                                                                  std::string_view path) const {
  const auto segments = split(path);
  missing other;
  for (const auto& each : entries_) {
    auto captures = match(each.segments, segments);
    if (!captures)
      continue;
    if (each.method == method || (each.method == "GET" && method == "HEAD"))
      return found{&each.handler, each.right, *std::move(captures)};
    if (other.allow.find(each.method) == std::string::npos)
      other.allow += (other.allow.empty() ? "" : ", ") + each.method;
  }
  return other;
}

std::variant<page_request, http::problem> read_page(const control_request& request,
                                                    const std::vector<std::string_view>& sort_keys) {
  page_request page;
  if (const auto limit = request.parameter("limit")) {
    const auto* last = limit->data() + limit->size();
    const auto [end, ec] = std::from_chars(limit->data(), last, page.limit);
    if (ec != std::errc{} || end != last || page.limit < 1 || page.limit > max_page)
      return bad_page("limit is a number from 1 to 1000");
  }
  if (const auto cursor = request.parameter("cursor"))
    page.cursor = *cursor;
  if (auto sort = request.parameter("sort")) {
    page.descending = !sort->empty() && sort->front() == '-';
    if (page.descending)
      sort->remove_prefix(1);
    if (std::find(sort_keys.begin(), sort_keys.end(), *sort) == sort_keys.end()) {
      std::string allowed;
      for (const auto key : sort_keys)
        allowed += (allowed.empty() ? "" : ", ") + std::string{key};
      return bad_page("sort is one of " + allowed + ", with - before it for descending order");
    }
    page.sort = *sort;
  }
  return page;
}

} // namespace weir
