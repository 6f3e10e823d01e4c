// The way to an external generator's config over HTTPS.

#include "apps/real/https_reader.hpp"

#include <iterator>
#include <thread>

#include <doctest/doctest.h>

#include "tests/support/process.hpp"
#include "tests/support/sink_server.hpp"

using namespace weir;

namespace {

using found = source_look::result;

struct generator {
  certificate_authority authority;
  sink_server server{[this] {
    sink_server::settings how;
    how.tls = authority.issue();
    return how;
  }()};
  https_reader reader{[this] {
    https_reader_settings how;
    how.url = server.url("/config");
    how.authorities_file = authority.file();
    return how;
  }()};

  void answers(int status, std::string body, std::vector<std::pair<std::string, std::string>> headers = {}) {
    sink_behaviour what;
    what.status = status;
    what.body = std::move(body);
    what.headers = std::move(headers);
    server.script("/config", what);
  }
  source_look look(const std::string& seen = "", std::uint64_t most = 1'000) { return reader.look(seen, most); }
};

std::string text_of(source_look& look) {
  return {std::istreambuf_iterator<char>{*look.document}, {}};
}

} // namespace

TEST_CASE("a document comes over HTTPS with the tag that names its state") {
  generator x;
  x.answers(200, "hello", {{"ETag", "\"v1\""}, {"X-Other", "no"}});
  auto first = x.look();
  REQUIRE_EQ(first.what, found::document);
  CHECK_EQ(text_of(first), "hello");
  CHECK_EQ(first.tag, "\"v1\"");
  CHECK_EQ(x.server.requests("/config").back().method, "GET");
  CHECK_EQ(x.server.requests("/config").back().headers.count("if-none-match"), 0);
}

TEST_CASE("a state that is known is asked for with its tag, and 304 says that it still holds") {
  generator x;
  x.answers(304, "");
  CHECK_EQ(x.look("W/\"v1\"").what, found::unchanged);
  CHECK_EQ(x.server.requests("/config").back().headers.at("if-none-match"), "W/\"v1\"");
  // What could not stand in a header is not sent.
  CHECK_EQ(x.look("a\r\nX-Evil: 1").what, found::unchanged);
  CHECK_EQ(x.server.requests("/config").back().headers.count("if-none-match"), 0);
  CHECK_EQ(x.server.requests("/config").back().headers.count("x-evil"), 0);
}

TEST_CASE("an empty answer is a document without content, which is for its reader to refuse") {
  generator x;
  x.answers(200, "");
  auto empty = x.look();
  REQUIRE_EQ(empty.what, found::document);
  CHECK_EQ(text_of(empty), "");
}

TEST_CASE("every answer but 200 and 304 is a failure, and no redirect is followed") {
  generator x;
  for (const int status : {201, 204, 206, 301, 302, 307, 400, 401, 404, 429, 500, 503}) {
    CAPTURE(status);
    x.answers(status, "not a config", {{"Location", x.server.url("/elsewhere")}});
    const auto look = x.look();
    CHECK_EQ(look.what, found::failed);
    CHECK_EQ(look.reason, "refused_by_source");
    CHECK_NE(look.text.find(std::to_string(status)), std::string::npos);
  }
  CHECK_EQ(x.server.count("/elsewhere"), 0);
}

TEST_CASE("an answer that is too long is cut off, whether it was announced or not") {
  generator x;
  x.answers(200, std::string(1'001, 'x'));
  CHECK_EQ(x.look().reason, "too_large");
  x.answers(200, std::string(1'000, 'x'));
  CHECK_EQ(x.look().what, found::document);
  sink_behaviour lying;
  lying.body = "short";
  lying.announced_bytes = 1ull << 40;
  x.server.script("/config", lying);
  CHECK_EQ(x.look().reason, "too_large");
}

TEST_CASE("an answer that ends before its end is a failure") {
  generator x;
  sink_behaviour half;
  half.body = "half a document";
  half.announced_bytes = 500;
  half.headers = {{"Connection", "close"}};
  x.server.script("/config", half);
  std::thread closing([&] {
    if (wait_for([&] { return x.server.count("/config") > 0; }))
      x.server.reset_connections();
  });
  CHECK_EQ(x.look().reason, "unreachable");
  closing.join();
}

TEST_CASE("a server that nobody vouches for, or none at all, is out of reach") {
  generator x;
  x.answers(200, "hello");
  certificate_authority stranger;
  https_reader_settings how;
  how.url = x.server.url("/config");
  how.authorities_file = stranger.file();
  https_reader distrustful(how);
  CHECK_EQ(distrustful.look("", 1'000).reason, "unreachable");
  how.authorities_file.clear(); // the system's
  https_reader ordinary(how);
  CHECK_EQ(ordinary.look("", 1'000).reason, "unreachable");
  how.authorities_file = x.authority.file();
  how.url = "http" + how.url.substr(5);
  https_reader plain(how);
  CHECK_EQ(plain.look("", 1'000).reason, "unreachable");
  CHECK_EQ(x.server.count("/config"), 0);
  x.server.refuse_connections(true);
  CHECK_EQ(x.look().reason, "unreachable");
}

TEST_CASE("a look under way ends when it is told to, and none begins after") {
  generator x;
  sink_behaviour silent;
  silent.never_answer = true;
  x.server.script("/config", silent);
  std::thread stopping([&] {
    wait_for([&] { return x.server.count("/config") > 0; });
    x.reader.stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  CHECK_EQ(x.look().reason, "unreachable");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  stopping.join();
  CHECK_EQ(x.look().reason, "unreachable");
  CHECK_EQ(x.server.count("/config"), 1);
}
