#include <doctest/doctest.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "actors/control/control_listener.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/raw_client.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<const control_caller> authenticate(std::string_view token) {
  auto caller = std::make_shared<control_caller>();
  caller->token = "dev";
  if (token == "all")
    caller->rights = {control_right::read, control_right::write, control_right::operate};
  else if (token == "reader")
    caller->rights = {control_right::read};
  else if (token != "ingest-only")
    return nullptr;
  return caller;
}

http::answer text(std::string body) {
  http::answer result;
  result.body = std::move(body);
  return result;
}

/// A control listener with a few routes, on a free loopback port.
struct running_control {
  explicit running_control(const std::string& address = "127.0.0.1") {
    control_router router;
    add_standard_routes(
        router, [this] { return not_ready; }, registry);
    router.answer("GET", "/v1/ledger", control_right::read, [](const control_request& request) {
      const auto page = read_page(request, {"job", "accepted"});
      if (const auto* fault = std::get_if<http::problem>(&page))
        return http::error_answer(*fault);
      const auto& wanted = std::get<page_request>(page);
      return text(wanted.cursor + "," + std::to_string(wanted.limit) + "," + wanted.sort
                  + (wanted.descending ? "-" : "+"));
    });
    router.answer("GET", "/v1/jobs/{id}/cuts/{n}", control_right::read, [](const control_request& request) {
      return text(request.captures.at(0) + "/" + request.captures.at(1));
    });
    router.answer("POST", "/v1/reload", control_right::operate,
                  [](const control_request& request) { return text(request.caller->token + ":" + request.body); });
    router.route("GET", "/v1/later", control_right::none, [this](control_request, control_responder respond) {
      std::lock_guard lock{mutex};
      waiting.push_back(std::move(respond));
      ++waiters;
    });
    router.answer("GET", "/v1/throws", control_right::none,
                  [](const control_request&) -> http::answer { throw std::runtime_error{"oops"}; });
    control_listener_settings settings;
    settings.listener.address = address;
    settings.listener.sweep_every = 2ms;
    auto opened = control_listener::open(settings, std::move(router), authenticate, clock, metrics);
    REQUIRE(opened);
    listener = std::move(*opened);
  }

  raw_client::response ask(const std::string& first_line, const std::string& token = "", const std::string& body = "") {
    raw_client client{listener->port()};
    REQUIRE(client.send(
        first_line + " HTTP/1.1\r\nHost: a\r\n" + (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n")
        + (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body));
    auto response = client.receive(first_line.rfind("HEAD", 0) == 0);
    REQUIRE(response);
    return *response;
  }

  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  metrics_registry registry;
  control_metrics metrics{registry.families()};
  std::vector<std::string> not_ready;
  std::mutex mutex;
  std::vector<control_responder> waiting;
  int waiters = 0;
  std::unique_ptr<control_listener> listener;
};

} // namespace

TEST_CASE("health, readiness and metrics are open on loopback") {
  running_control node;
  CHECK_EQ(node.ask("GET /healthz").body, "ok\n");
  CHECK_EQ(node.ask("GET /readyz").body, "{\"ready\":true,\"reasons\":[]}\n");
  const auto metrics = node.ask("GET /metrics");
  CHECK_EQ(metrics.status, 200);
  CHECK_EQ(metrics.field("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  CHECK_NE(metrics.body.find("weir_control_requests_total 3"), std::string::npos);
}

TEST_CASE("metrics need a token with the right read where the address is not loopback") {
  running_control node{"0.0.0.0"};
  CHECK_EQ(node.ask("GET /metrics").status, 401);
  CHECK_EQ(node.ask("GET /metrics", "ingest-only").status, 403);
  CHECK_EQ(node.ask("GET /metrics", "reader").status, 200);
  CHECK_EQ(node.ask("GET /healthz").status, 200);
}

TEST_CASE("a node that is not ready says why, with 503") {
  running_control node;
  node.not_ready = {"recovering", "no_config"};
  const auto response = node.ask("GET /readyz");
  CHECK_EQ(response.status, 503);
  CHECK_EQ(response.body, "{\"ready\":false,\"reasons\":[\"recovering\",\"no_config\"]}\n");
  CHECK_EQ(response.field("Retry-After"), "1");
}

TEST_CASE("SEC-01 each route asks for its right, and an unknown token has none") {
  running_control node;
  CHECK_EQ(node.ask("GET /v1/ledger").status, 401);
  CHECK_EQ(node.ask("GET /v1/ledger").field("WWW-Authenticate"), "Bearer realm=\"weir\"");
  CHECK_EQ(node.ask("GET /v1/ledger", "unknown").status, 401);
  CHECK_EQ(node.ask("GET /v1/ledger", "ingest-only").status, 403);
  CHECK_EQ(node.ask("GET /v1/ledger", "reader").status, 200);
  CHECK_EQ(node.ask("POST /v1/reload", "reader", "x").status, 403);
  CHECK_EQ(node.ask("POST /v1/reload", "all", "x").body, "dev:x");
}

TEST_CASE("paths may capture segments, and unknown ones or methods say what there is") {
  running_control node;
  CHECK_EQ(node.ask("GET /v1/jobs/7/cuts/3", "reader").body, "7/3");
  CHECK_EQ(node.ask("GET /v1/jobs//cuts/3", "reader").status, 404);
  CHECK_EQ(node.ask("GET /v1/jobs/7/cuts", "reader").status, 404);
  CHECK_EQ(node.ask("GET /v1/ledger/", "reader").status, 404);
  CHECK_EQ(node.ask("GET /", "reader").status, 404);
  const auto wrong = node.ask("DELETE /v1/ledger", "reader");
  CHECK_EQ(wrong.status, 405);
  CHECK_EQ(wrong.field("Allow"), "GET");
  const auto head = node.ask("HEAD /healthz");
  CHECK_EQ(head.status, 200);
  CHECK_EQ(head.field("Content-Length"), "3");
}

TEST_CASE("lists are paged and sorted by what the query says, within bounds") {
  running_control node;
  CHECK_EQ(node.ask("GET /v1/ledger", "reader").body, ",100,+");
  CHECK_EQ(node.ask("GET /v1/ledger?limit=1000&cursor=a%2Fb&sort=-accepted", "reader").body, "a/b,1000,accepted-");
  for (const auto* query :
       {"limit=0", "limit=1001", "limit=-1", "limit=1x", "limit=", "sort=secret", "sort=-", "sort="})
    CHECK_MESSAGE(node.ask("GET /v1/ledger?" + std::string{query}, "reader").status == 400, query);
}

TEST_CASE("a handler may answer later, from another thread, or never") {
  running_control node;
  raw_client first{node.listener->port()}, second{node.listener->port()};
  for (auto* client : {&first, &second})
    REQUIRE(client->send("GET /v1/later HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (int tries = 0; tries < 1'000; ++tries) {
    node.ask("GET /healthz");
    std::lock_guard lock{node.mutex};
    if (node.waiters == 2)
      break;
  }
  control_responder respond;
  {
    std::lock_guard lock{node.mutex};
    REQUIRE_EQ(node.waiting.size(), 2u);
    respond = std::move(node.waiting[0]);
    node.waiting.clear();
  }
  std::thread{[&] { respond(text("late")); }}.join();
  CHECK_EQ(first.receive()->body, "late");
  node.clock->advance(11s);
  CHECK_EQ(second.receive()->status, 503);
}

TEST_CASE("a handler that throws costs its request 500 and nothing else") {
  running_control node;
  CHECK_EQ(node.ask("GET /v1/throws").status, 500);
  CHECK_EQ(node.ask("GET /healthz").status, 200);
}

TEST_CASE("bodies of commands are bounded, chunked or not") {
  running_control node;
  CHECK_EQ(node.ask("POST /v1/reload", "all", std::string(1'048'576, 'x')).body.size(), 1'048'580u);
  raw_client large{node.listener->port()};
  large.send("POST /v1/reload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer all\r\nContent-Length: 1048577\r\n\r\n");
  CHECK_EQ(large.receive()->status, 413);
  raw_client endless{node.listener->port()};
  endless.send(
      "POST /v1/reload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer all\r\nTransfer-Encoding: chunked\r\n\r\n"
      "100001\r\n"
      + std::string(1'048'577, 'x'));
  CHECK_EQ(endless.receive()->status, 413);
}

TEST_CASE("a control listener that is stopped ends its connections") {
  running_control node;
  raw_client client{node.listener->port()};
  REQUIRE(client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK_EQ(client.receive()->status, 200);
  CHECK(node.listener->stop(1s));
  CHECK(client.ended());
}
