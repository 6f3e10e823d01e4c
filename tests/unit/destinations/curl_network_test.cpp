#include "actors/destinations/curl_network.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "collecting_listener.hpp"
#include "test_http_server.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

/// A file that is gone afterwards.
class temporary_file {
 public:
  explicit temporary_file(const std::string& content) {
    const auto fd = mkstemp(path_);
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream(path_) << content;
  }
  ~temporary_file() { std::remove(path_); }
  std::string path() const { return path_; }

 private:
  char path_[40] = "/tmp/weir-authority-XXXXXX";
};

address_policy loopback_allowed() {
  return {{*ip_network::parse("127.0.0.0/8"), *ip_network::parse("::1")}, {}};
}

/// An authority, a server it vouches for, and a network that trusts it.
struct tls_world {
  explicit tls_world(const certificate_wish& wish = {},
                     test_http_server::tls_versions versions = test_http_server::tls_versions::modern)
      : server(make_certificate(wish, &authority), versions), authorities(authority.pem()) {
    http_settings settings;
    settings.addresses = loopback_allowed();
    settings.authorities_file = authorities.path();
    settings.connect_timeout = 5s;
    connect(settings);
    server.on("/ok", [](exchange& x) {
      const auto whole = x.read_body();
      x.answer(200);
      return whole;
    });
  }

  void connect(const http_settings& settings) {
    net = make_curl_network(settings, counters);
    listener = std::make_shared<collecting_listener>(*net);
  }

  upload_order to(const std::string& target, const std::string& host = "localhost") const {
    upload_order order;
    order.url = server.url(target, host);
    order.object_name = "object.log.gz";
    order.identity = "7/8/1-100";
    order.stall_timeout = 10s;
    order.whole_timeout = 20s;
    return order;
  }

  upload_outcome push(upload_order order, std::string body = "hello", std::size_t window = 256 << 10) {
    const auto id = ++last_id;
    listener->push(id, std::move(order), std::move(body), window);
    return listener->wait(id);
  }

  certificate authority = make_authority();
  test_http_server server;
  temporary_file authorities;
  std::shared_ptr<network_counters> counters = std::make_shared<network_counters>();
  std::shared_ptr<network> net;
  std::shared_ptr<collecting_listener> listener;
  std::uint64_t last_id = 0;
};

std::string patterned(std::size_t size) {
  std::string result(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    result[i] = static_cast<char>((i * 2654435761u) >> 13);
  return result;
}

} // namespace

TEST_CASE("an object arrives byte for byte over TLS, with its batch id and its encoding") {
  tls_world world;
  auto order = world.to("/ok");
  order.headers = {{"Authorization", "Bearer 12345678"}, {"X-Empty", ""}};
  const auto body = patterned(3'000'000);
  SUBCASE("when its length is known") {
    order.length = body.size();
  }
  SUBCASE("when it is not") {}
  const auto chunked = !order.length;
  const auto outcome = world.push(order, body, 200'000);
  CHECK_EQ(outcome.result, upload_result::stored);
  CHECK_EQ(outcome.status, 200);
  CHECK(outcome.error.empty());
  const auto requests = world.server.requests();
  REQUIRE_EQ(requests.size(), 1);
  CHECK_EQ(requests[0].method, "POST");
  CHECK_EQ(requests[0].target, "/ok");
  CHECK(requests[0].body == body);
  CHECK_EQ(requests[0].header("x-weir-batch"), "7/8/1-100");
  CHECK_EQ(requests[0].header("content-encoding"), "gzip");
  CHECK_EQ(requests[0].header("content-type"), "application/x-ndjson");
  CHECK_EQ(requests[0].header("authorization"), "Bearer 12345678");
  CHECK_EQ(requests[0].headers.count("x-empty"), 1);
  CHECK_EQ(requests[0].headers.count("expect"), 0);
  CHECK_EQ(requests[0].header("transfer-encoding"), chunked ? "chunked" : "");
  CHECK_EQ(requests[0].header("content-length"), chunked ? "" : "3000000");
  CHECK_EQ(world.counters->stored, 1);
}

TEST_CASE("a content type of the order replaces the usual one") {
  tls_world world;
  auto order = world.to("/ok");
  order.headers = {{"content-type", "application/gzip"}};
  CHECK_EQ(world.push(order).result, upload_result::stored);
  const auto requests = world.server.requests();
  REQUIRE_EQ(requests.size(), 1);
  CHECK_EQ(requests[0].headers.count("content-type"), 1);
  CHECK_EQ(requests[0].header("content-type"), "application/gzip");
}

TEST_CASE("an empty object is pushed too") {
  tls_world world;
  CHECK_EQ(world.push(world.to("/ok"), "").result, upload_result::stored);
  REQUIRE_EQ(world.server.requests().size(), 1);
  CHECK(world.server.requests()[0].body.empty());
}

TEST_CASE("many uploads go at once, and later ones use the connections of earlier ones") {
  tls_world world;
  const auto body = patterned(100'000);
  for (int round = 0; round < 4; ++round) {
    for (std::uint64_t i = 0; i < 16; ++i)
      world.listener->push(100 * static_cast<std::uint64_t>(round) + i, world.to("/ok"), body, 30'000);
    for (std::uint64_t i = 0; i < 16; ++i)
      CHECK_EQ(world.listener->wait(100 * static_cast<std::uint64_t>(round) + i).result, upload_result::stored);
  }
  CHECK_EQ(world.server.requests().size(), 64);
  CHECK(world.server.connections() <= 16);
}

TEST_CASE("connections to one host are limited; beyond that uploads wait their turn") {
  tls_world world;
  http_settings settings;
  settings.addresses = loopback_allowed();
  settings.authorities_file = world.authorities.path();
  settings.connections_per_host = 2;
  world.connect(settings);
  for (std::uint64_t i = 1; i <= 20; ++i)
    world.listener->push(i, world.to("/ok"), "x");
  for (std::uint64_t i = 1; i <= 20; ++i)
    CHECK_EQ(world.listener->wait(i).result, upload_result::stored);
  CHECK(world.server.connections() <= 2);
}

TEST_CASE("a definite no is refused, a passing one failed, and the answer's text is passed on") {
  tls_world world;
  for (const int status : {400, 401, 403, 404, 409, 412, 413, 422, 408, 429, 500, 502, 503, 504}) {
    CAPTURE(status);
    world.server.on("/status", [status](exchange& x) {
      const auto whole = x.read_body();
      x.answer(status, {}, "no\r\nsuch\tbucket \x01\xff");
      return whole;
    });
    const auto outcome = world.push(world.to("/status"));
    const auto passing = status == 408 || status == 429 || status >= 500;
    CHECK_EQ(outcome.result, passing ? upload_result::failed : upload_result::refused);
    CHECK_EQ(outcome.status, status);
    CHECK_EQ(outcome.error, "answered " + std::to_string(status) + ": no such bucket ??");
    CHECK_FALSE(outcome.retry_after);
  }
}

TEST_CASE("Retry-After is understood in seconds and as a date, and bounded") {
  tls_world world;
  std::string value;
  world.server.on("/later", [&](exchange& x) {
    x.read_body();
    x.answer(429, "Retry-After: " + value + "\r\n");
    return true;
  });
  value = "7";
  CHECK_EQ(world.push(world.to("/later")).retry_after, 7s);
  value = "Fri, 31 Dec 2199 23:59:59 GMT";
  CHECK_EQ(world.push(world.to("/later")).retry_after, 24h);
  value = "99999999999999999999999";
  CHECK(world.push(world.to("/later")).retry_after.value_or(0s) <= 24h);
  for (const auto* nonsense : {"-5", "soon", "", "Fri, 31 Dec 1999 23:59:59 GMT"}) {
    value = nonsense;
    CAPTURE(value);
    const auto outcome = world.push(world.to("/later"));
    CHECK_EQ(outcome.result, upload_result::failed);
    CHECK_FALSE(outcome.retry_after);
  }
}

TEST_CASE("a redirect is not followed but refused") {
  tls_world world;
  world.server.on("/moved", [&](exchange& x) {
    x.read_body();
    x.answer(307, "Location: " + world.server.url("/ok") + "\r\n");
    return true;
  });
  const auto outcome = world.push(world.to("/moved"));
  CHECK_EQ(outcome.result, upload_result::refused);
  CHECK_EQ(outcome.status, 307);
  CHECK_EQ(world.server.requests().size(), 1);
}

TEST_CASE("a destination that never answers fails after the stall timeout") {
  tls_world world;
  world.server.on("/silent", [](exchange& x) {
    x.read_body();
    x.wait_for_close();
    return false;
  });
  auto order = world.to("/silent");
  order.stall_timeout = 300ms;
  const auto began = std::chrono::steady_clock::now();
  const auto outcome = world.push(order);
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK_EQ(outcome.status, 0);
  CHECK_EQ(outcome.error, "no progress for 0.3 s");
  CHECK(std::chrono::steady_clock::now() - began >= 300ms);
}

TEST_CASE("a destination that stops reading fails after the stall timeout and holds no more than its windows") {
  tls_world world;
  world.server.on("/deaf", [](exchange& x) {
    x.read_some_body(1);
    x.wait_for_close();
    return false;
  });
  auto order = world.to("/deaf");
  order.stall_timeout = 500ms;
  const auto outcome = world.push(order, std::string(64 << 20, 'x'));
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK_EQ(outcome.error, "no progress for 0.5 s");
  // What was asked for is what the kernel's socket buffers took, not the whole object.
  CHECK(world.listener->windows_wanted(1) < 100);
}

TEST_CASE("an upload that goes on slowly is not stalled, but must end within its whole time") {
  tls_world world;
  world.server.on("/endless", [](exchange& x) {
    std::size_t bytes = 1;
    while (x.read_some_body(bytes) && !x.is_complete())
      bytes += 64 << 10;
    x.wait_for_close();
    return false;
  });
  auto order = world.to("/endless");
  order.stall_timeout = 400ms;
  order.whole_timeout = 300ms;
  const auto outcome = world.push(order);
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK_EQ(outcome.error, "not finished within 0.3 s");
}

TEST_CASE("an upload whose next window is late on this side is not the destination's stall") {
  tls_world world;
  auto order = world.to("/ok");
  order.stall_timeout = 100ms;
  order.whole_timeout = 1'000ms;
  world.listener->starve(1);
  world.net->start(1, order, world.listener);
  const auto outcome = world.listener->wait(1);
  CHECK_EQ(outcome.error, "not finished within 1 s");
  CHECK_EQ(world.listener->windows_wanted(1), 1);
}

TEST_CASE("a connection reset in mid-body fails the upload, whose repeat is stored") {
  tls_world world;
  auto resets = 1;
  world.server.on("/flaky", [&](exchange& x) {
    if (resets-- > 0) {
      x.read_some_body(500'000);
      x.reset();
      return false;
    }
    const auto whole = x.read_body();
    x.answer(200);
    return whole;
  });
  const auto body = patterned(2'000'000);
  const auto first = world.push(world.to("/flaky"), body);
  CHECK_EQ(first.result, upload_result::failed);
  CHECK_FALSE(first.error.empty());
  CHECK_EQ(world.push(world.to("/flaky"), body).result, upload_result::stored);
  REQUIRE_EQ(world.server.requests().size(), 1);
  CHECK(world.server.requests()[0].body == body);
}

TEST_CASE("a connection that the server closed while it was idle does not fail the next upload") {
  tls_world world;
  world.server.on("/once", [](exchange& x) {
    x.read_body();
    x.answer(200);
    return false;
  });
  for (int i = 0; i < 20; ++i) {
    const auto outcome = world.push(world.to("/once"));
    CHECK_EQ(outcome.result, upload_result::stored);
    CHECK_EQ(outcome.error, "");
  }
  CHECK_EQ(world.server.requests().size(), 20);
}

TEST_CASE("a server that hangs up without an answer fails the upload") {
  tls_world world;
  world.server.on("/gone", [](exchange& x) {
    x.read_body();
    return false;
  });
  CHECK_EQ(world.push(world.to("/gone")).result, upload_result::failed);
}

TEST_CASE("an answer that is no HTTP fails the upload") {
  tls_world world;
  world.server.on("/garbage", [](exchange& x) {
    x.read_body();
    x.send("220 smtp.example ESMTP\r\n");
    return false;
  });
  CHECK_EQ(world.push(world.to("/garbage")).result, upload_result::failed);
}

TEST_CASE("a refusal that comes before the whole body was taken is a refusal") {
  tls_world world;
  world.server.on("/full", [](exchange& x) {
    x.read_some_body(1);
    x.answer(413, "Connection: close\r\n", "too large");
    x.wait_for_close();
    return false;
  });
  const auto outcome = world.push(world.to("/full"), std::string(8 << 20, 'x'));
  CHECK_EQ(outcome.result, upload_result::refused);
  CHECK_EQ(outcome.status, 413);
}

TEST_CASE("a success that comes before the whole body was taken is not believed") {
  tls_world world;
  world.server.on("/hasty", [](exchange& x) {
    x.read_some_body(1);
    x.answer(200, "Connection: close\r\n");
    x.wait_for_close();
    return false;
  });
  auto order = world.to("/hasty");
  order.stall_timeout = 1s;
  CHECK_EQ(world.push(order, std::string(64 << 20, 'x')).result, upload_result::failed);
}

TEST_CASE("an endless answer is cut off; its status counts") {
  tls_world world;
  for (const int status : {200, 500}) {
    CAPTURE(status);
    world.server.on("/chatty", [status](exchange& x) {
      x.read_body();
      x.send("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 1000000000\r\n\r\n");
      const std::string piece(64 << 10, 'a');
      for (int i = 0; i < 64; ++i)
        x.send(piece);
      x.wait_for_close();
      return false;
    });
    const auto outcome = world.push(world.to("/chatty"));
    CHECK_EQ(outcome.status, status);
    CHECK_EQ(outcome.result, status == 200 ? upload_result::stored : upload_result::failed);
    CHECK(outcome.error.size() < 300);
  }
}

TEST_CASE("an answer that repeats the order's secrets does not bring them into the error") {
  tls_world world;
  world.server.on("/mirror?key=s3cr3t-parameter", [](exchange& x) {
    x.read_body();
    x.answer(400, {},
             "bad request to " + x.request().target + " with " + x.request().header("authorization")
                 + " and token 'top-secret-token'");
    return true;
  });
  auto order = world.to("/mirror?key=s3cr3t-parameter");
  order.headers = {{"Authorization", "Bearer top-secret-token"}};
  const auto outcome = world.push(order);
  CHECK_EQ(outcome.status, 400);
  CHECK_EQ(outcome.error.find("secret"), std::string::npos);
  CHECK_EQ(outcome.error.find("s3cr3t"), std::string::npos);
  CHECK(outcome.error.find("bad request") != std::string::npos);
}

TEST_CASE("SEC-12: certificates that are expired, for another host, or of nobody we trust are refused") {
  const auto expect_no_upload = [](tls_world& world, const std::string& host) {
    const auto outcome = world.push(world.to("/ok", host));
    CHECK_EQ(outcome.result, upload_result::failed);
    CHECK_EQ(outcome.status, 0);
    CHECK_FALSE(outcome.error.empty());
    CHECK(world.server.requests().empty());
  };
  SUBCASE("expired") {
    certificate_wish wish;
    wish.valid_from = -7200;
    wish.valid_until = -3600;
    tls_world world(wish);
    expect_no_upload(world, "localhost");
  }
  SUBCASE("not valid yet") {
    certificate_wish wish;
    wish.valid_from = 3600;
    wish.valid_until = 7200;
    tls_world world(wish);
    expect_no_upload(world, "localhost");
  }
  SUBCASE("for another name") {
    certificate_wish wish;
    wish.names = "DNS:other.example";
    tls_world world(wish);
    expect_no_upload(world, "localhost");
  }
  SUBCASE("for a name, where the address is used") {
    certificate_wish wish;
    wish.names = "DNS:localhost";
    tls_world world(wish);
    expect_no_upload(world, "127.0.0.1");
  }
  SUBCASE("of another authority") {
    tls_world world;
    const temporary_file others(make_authority().pem());
    http_settings settings;
    settings.addresses = loopback_allowed();
    settings.authorities_file = others.path();
    world.connect(settings);
    expect_no_upload(world, "localhost");
  }
  SUBCASE("of nobody the system knows") {
    tls_world world;
    http_settings settings;
    settings.addresses = loopback_allowed();
    world.connect(settings);
    expect_no_upload(world, "localhost");
  }
  SUBCASE("self-signed") {
    tls_world world;
    test_http_server self_signed(make_certificate({}));
    auto order = world.to("/ok");
    order.url = self_signed.url("/ok");
    CHECK_EQ(world.push(order).result, upload_result::failed);
    CHECK(self_signed.requests().empty());
  }
}

TEST_CASE("SEC-12: TLS below 1.2 is not spoken") {
  tls_world world({}, test_http_server::tls_versions::tls_1_1_only);
  const auto outcome = world.push(world.to("/ok"));
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK(world.server.requests().empty());
}

TEST_CASE("SEC-03: addresses that are not public are refused when connecting, however they are written") {
  tls_world world;
  http_settings settings;
  settings.authorities_file = world.authorities.path();
  world.connect(settings); // Nothing is allowed but what is public.
  const auto port = std::to_string(world.server.port());
  for (const auto* host : {"localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0",
                           "[::1]", "[::ffff:127.0.0.1]", "[::]", "169.254.169.254", "10.0.0.1", "192.168.1.1",
                           "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]"}) {
    auto order = world.to("/ok");
    order.url = std::string{"https://"} + host + ":" + port + "/ok";
    const auto outcome = world.push(order);
    CHECK_EQ(outcome.result, upload_result::refused);
    CHECK_EQ(outcome.status, 0);
    CHECK_FALSE(outcome.error.empty());
  }
  CHECK_EQ(world.server.connections(), 0);
  CHECK(world.counters->egress_blocked >= 17);
}

TEST_CASE("SEC-03: this node's own listeners are refused even where their network is allowed") {
  tls_world world;
  http_settings settings;
  settings.authorities_file = world.authorities.path();
  settings.addresses = {{*ip_network::parse("127.0.0.0/8"), *ip_network::parse("::1")},
                        {{ip_address::v4(0x7f000001), world.server.port()}}};
  world.connect(settings);
  CHECK_EQ(world.push(world.to("/ok", "127.0.0.1")).result, upload_result::refused);
  CHECK_EQ(world.server.connections(), 0);
}

TEST_CASE("SEC-03: other schemes than https are refused") {
  tls_world world;
  for (const auto* url : {"gopher://localhost/", "ftp://localhost/x", "file:///etc/passwd", "dict://localhost/",
                          "http://localhost/", "HTTPS://localhost/", "localhost/x", ""}) {
    CAPTURE(url);
    auto order = world.to("/ok");
    order.url = url;
    CHECK_EQ(world.push(order).result, upload_result::refused);
  }
}

TEST_CASE("http is spoken only where the order allows it") {
  tls_world world;
  test_http_server plain;
  plain.on("/ok", [](exchange& x) {
    const auto whole = x.read_body();
    x.answer(201);
    return whole;
  });
  auto order = world.to("/ok");
  order.url = plain.url("/ok");
  CHECK_EQ(world.push(order).result, upload_result::refused);
  CHECK(plain.requests().empty());
  order.allow_insecure_http = true;
  CHECK_EQ(world.push(order).result, upload_result::stored);
  CHECK_EQ(plain.requests().size(), 1);
}

TEST_CASE("a proxy in the environment is not used") {
  setenv("https_proxy", "http://127.0.0.1:1", 1);
  setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  tls_world world;
  CHECK_EQ(world.push(world.to("/ok")).result, upload_result::stored);
  unsetenv("https_proxy");
  unsetenv("HTTPS_PROXY");
  unsetenv("ALL_PROXY");
}

TEST_CASE("SEC-04: nothing in an order can add or change a header line") {
  tls_world world;
  const auto refused = [&](upload_order order) {
    const auto outcome = world.push(std::move(order));
    CHECK_EQ(outcome.result, upload_result::refused);
    return outcome.error;
  };
  const std::vector<std::string> values{
      "a\r\nX-Evil: 1", "a\nb", "a\rb", std::string{"a\0b", 3}, "a\x7f", "\xe2\x80\xa8", std::string(64 << 10, 'x')};
  for (const auto& value : values) {
    auto order = world.to("/ok");
    order.headers = {{"X-Token", value}};
    const auto error = refused(order);
    CHECK(error.find("X-Token") != std::string::npos);
    CHECK(error.size() < 200);
  }
  for (const auto* name : {"Host", "content-length", "Transfer-Encoding", "Connection", "Expect", "X-Weir-Batch",
                           "Content-Encoding", "", "a b", "a:b", "a\r\nb", "\xc3\xa4"}) {
    CAPTURE(name);
    auto order = world.to("/ok");
    order.headers = {{name, "x"}};
    refused(order);
  }
  for (const auto* path : {"/ok\r\nX-Evil: 1", "/ok\nx", "/o k", "/\xe2\x80\xa8"}) {
    auto order = world.to("/ok");
    order.url += path;
    refused(order);
  }
  auto order = world.to("/ok");
  order.identity = "1/2/3-4\r\nX-Evil: 1";
  refused(order);
  order = world.to("/ok");
  order.url = "https://user:password@localhost:" + std::to_string(world.server.port()) + "/ok";
  CHECK_EQ(refused(order).find("password"), std::string::npos);
  CHECK_EQ(world.server.connections(), 0);
}

TEST_CASE("refused connections and names that do not resolve fail") {
  tls_world world;
  std::uint16_t port = 0;
  {
    test_http_server gone;
    port = gone.port();
  }
  auto order = world.to("/ok");
  order.url = "https://127.0.0.1:" + std::to_string(port) + "/";
  CHECK_EQ(world.push(order).result, upload_result::failed);
  CHECK_EQ(world.listener->windows_wanted(1), 0);
  order.url = "https://no-such-host.invalid/";
  order.stall_timeout = 3s;
  CHECK_EQ(world.push(order).result, upload_result::failed);
}

TEST_CASE("a cancelled upload ends as failed, and a window that comes afterwards is ignored") {
  tls_world world;
  world.listener->starve(1);
  world.net->start(1, world.to("/ok"), world.listener);
  world.listener->wait_for_window(1);
  world.net->cancel(1);
  const auto outcome = world.listener->wait(1);
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK_EQ(outcome.error, "cancelled");
  world.net->supply(1, "late", true);
  world.net->cancel(1);
  world.last_id = 1;
  CHECK_EQ(world.push(world.to("/ok")).result, upload_result::stored);
}

TEST_CASE("more or fewer bytes than announced fail the upload on this side") {
  tls_world world;
  auto order = world.to("/ok");
  order.length = 10;
  CHECK_EQ(world.push(order, "short").result, upload_result::failed);
  CHECK_EQ(world.push(order, "much too long").result, upload_result::failed);
  CHECK_EQ(world.push(order, "just right").result, upload_result::stored);
}

TEST_CASE("what is running when the network ends is told so") {
  tls_world world;
  world.listener->starve(1);
  world.net->start(1, world.to("/ok"), world.listener);
  world.listener->wait_for_window(1);
  world.net.reset();
  CHECK_EQ(world.listener->wait(1).error, "this node shuts down");
}
