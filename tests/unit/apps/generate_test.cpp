#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

// Before any of Boost: whoever uses Asio in one program has to agree on how it is compiled.
#include "actors/http/asio.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "apps/generate_command.hpp"
#include "apps/generate_url.hpp"
#include "drills/generate_events.hpp"
#include "drills/generate_receipts.hpp"
#include "store/gzip_member.hpp"

using namespace weir;
using namespace weir::generate;

namespace {

struct temporary_directory {
  temporary_directory() {
    char text[] = "/tmp/weir-generate-XXXXXX";
    REQUIRE(mkdtemp(text));
    path = text;
  }
  ~temporary_directory() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

std::string event_text(const event_generator& generator, std::uint64_t counter) {
  std::string text;
  generator.append(counter, text);
  return text;
}

struct ran {
  int code;
  std::string out, err;
};

ran run_with(options how) {
  std::ostringstream out, err;
  const auto code = run(std::move(how), out, err);
  return {code, out.str(), err.str()};
}

constexpr const char* all_accepted =
    R"({"accepted":1,"filtered":0,"not_entitled":0,"shed":{},"rejected":{"count":0,"first":[]}})";

/// A node that answers as it was told, one connection after the other, and notes what it was sent.
class scripted_node {
 public:
  struct answer {
    explicit answer(unsigned code, std::string text = all_accepted, std::string wait = {})
        : status(code), body(std::move(text)), retry_after(std::move(wait)) {}

    unsigned status; ///< 0: close the connection without an answer.
    std::string body;
    std::string retry_after;
  };
  struct seen {
    std::string key, body, authorization, encoding, target;
  };

  explicit scripted_node(const std::vector<answer>& script) : script_(script) {
    port_ = acceptor_.local_endpoint().port();
    thread_ = std::thread{[this] { serve(); }};
  }
  ~scripted_node() {
    if (thread_.joinable())
      thread_.join();
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}/v1/ingest/http_requests?x=1", port_); }

  /// Waits until the script is played.
  const std::vector<seen>& requests() {
    thread_.join();
    return requests_;
  }

 private:
  using tcp = boost::asio::ip::tcp;

  void serve() {
    namespace http = boost::beast::http;
    std::size_t next = 0;
    while (next < script_.size()) {
      boost::system::error_code ec;
      tcp::socket socket{io_};
      acceptor_.accept(socket);
      boost::beast::flat_buffer buffer;
      while (next < script_.size()) {
        http::request_parser<http::string_body> parser;
        parser.body_limit(64 << 20);
        http::read(socket, buffer, parser, ec);
        if (ec)
          break;
        const auto& request = parser.get();
        requests_.push_back({std::string{request["Idempotency-Key"]}, request.body(),
                             std::string{request[http::field::authorization]},
                             std::string{request[http::field::content_encoding]}, std::string{request.target()}});
        const auto& step = script_[next++];
        if (step.status == 0)
          break;
        http::response<http::string_body> response{static_cast<http::status>(step.status), 11};
        if (!step.retry_after.empty())
          response.set(http::field::retry_after, step.retry_after);
        response.body() = step.body;
        response.prepare_payload();
        http::write(socket, response, ec);
      }
      socket.shutdown(tcp::socket::shutdown_both, ec);
    }
  }

  std::vector<answer> script_;
  std::vector<seen> requests_;
  boost::asio::io_context io_;
  tcp::acceptor acceptor_{io_, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  unsigned short port_ = 0;
  std::thread thread_;
};

options posting(const scripted_node& node, std::uint64_t events, std::size_t body_bytes) {
  options how;
  how.url = node.url();
  how.plan.events = events;
  how.plan.body_bytes = body_bytes;
  how.post.connections = 1;
  how.post.run = "r";
  return how;
}

} // namespace

TEST_CASE("the same seed gives the same events, another seed others") {
  const event_generator a{{7, 100, 1.1}}, b{{7, 100, 1.1}}, c{{8, 100, 1.1}};
  for (const std::uint64_t counter : {0ull, 1ull, 999ull, 123'456'789'012ull}) {
    CHECK_EQ(event_text(a, counter), event_text(b, counter));
    CHECK_NE(event_text(a, counter), event_text(c, counter));
  }
}

TEST_CASE("an event is a web request of about 650 bytes that says who sent it") {
  const event_generator generator{{42, 50, 0}};
  std::size_t bytes = 0;
  for (std::uint64_t counter = 0; counter < 2'000; ++counter) {
    const auto text = event_text(generator, counter);
    bytes += text.size();
    const auto event = nlohmann::json::parse(text);
    CHECK_EQ(event.at("RayID").get<std::string>(), generator.ray_id(counter));
    CHECK_EQ(event.at("ZoneID").get<std::string>(), zone_id(generator.zone_rank(counter)));
    CHECK_EQ(event.at("Sender").get<std::string>(), "00000000002a");
    CHECK_EQ(event.at("SenderCounter").get<std::uint64_t>(), counter);
    CHECK_EQ(event.at("EdgeStartTimestamp").get<std::uint64_t>(), 1'731'553'200'000'000'000 + counter * 1'000);
    CHECK_EQ(text.find('\n'), text.size() - 1);
  }
  CHECK_GT(bytes / 2'000, 630u);
  CHECK_LT(bytes / 2'000, 680u);
}

TEST_CASE("no two events share a RayID, and no two zones an id") {
  const event_generator one{{1, 10, 0}}, two{{2, 10, 0}};
  std::set<std::string> rays, zones;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    rays.insert(one.ray_id(i));
    rays.insert(two.ray_id(i));
    zones.insert(zone_id(i));
  }
  CHECK_EQ(rays.size(), 40'000u);
  CHECK_EQ(zones.size(), 20'000u);
  CHECK_EQ(zone_id(0).size(), 32u);
  CHECK_EQ(zone_id(0).find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST_CASE("zones are drawn alike, or by Zipf's law") {
  constexpr int draws = 200'000, zones = 20;
  for (const double zipf : {0.0, 1.0, 2.0}) {
    CAPTURE(zipf);
    const event_generator generator{{3, zones, zipf}};
    std::map<std::uint64_t, int> counts;
    for (int i = 0; i < draws; ++i)
      ++counts[generator.zone_rank(i)];
    double sum = 0;
    for (int r = 1; r <= zones; ++r)
      sum += std::pow(r, -zipf);
    for (int r = 0; r < zones; ++r) {
      CAPTURE(r);
      const auto expected = draws * std::pow(r + 1, -zipf) / sum;
      CHECK(std::abs(counts[r] - expected) < 5 * std::sqrt(expected));
    }
    CHECK_LT(counts.rbegin()->first, zones);
  }
}

TEST_CASE("traffic that makes no sense is refused") {
  CHECK_THROWS_AS((event_generator{{0, 1, 0}}), std::invalid_argument);
  CHECK_THROWS_AS((event_generator{{1, 0, 0}}), std::invalid_argument);
  CHECK_THROWS_AS((event_generator{{1, 10'000'001, 0}}), std::invalid_argument);
  CHECK_THROWS_AS((event_generator{{1, 1, -1}}), std::invalid_argument);
  CHECK_THROWS_AS((event_generator{{1, 1, std::nan("")}}), std::invalid_argument);
}

TEST_CASE("bodies hold every event once, in order, and no more bytes than asked for") {
  body_plan plan;
  plan.start = 100;
  plan.events = 1'000;
  plan.body_bytes = 10'000;
  const auto source = make_body_source(plan);
  const event_generator generator{plan.what};
  ready_body body;
  std::uint64_t next = 100;
  while (source->next(body)) {
    CHECK_EQ(body.first, next);
    CHECK_LE(body.bytes.size(), 10'000u);
    std::string expected;
    for (std::uint64_t i = 0; i < body.count; ++i)
      generator.append(body.first + i, expected);
    CHECK(body.bytes == expected);
    next += body.count;
  }
  CHECK_EQ(next, 1'100u);
}

TEST_CASE("a body holds at least one event however small it is to be") {
  body_plan plan;
  plan.events = 3;
  plan.body_bytes = 1;
  const auto source = make_body_source(plan);
  ready_body body;
  int bodies = 0;
  while (source->next(body)) {
    CHECK_EQ(body.count, 1u);
    ++bodies;
  }
  CHECK_EQ(bodies, 3);
}

TEST_CASE("bodies in a file are the bodies that were rendered") {
  temporary_directory directory;
  body_plan plan;
  plan.what = {9, 33, 1.25};
  plan.start = 5;
  plan.events = 500;
  plan.body_bytes = 20'000;
  plan.gzip = true;
  options how;
  how.plan = plan;
  how.bodies_file = directory / "load.bodies";
  REQUIRE_EQ(run_with(how).code, 0);

  const auto rendered = make_body_source(plan), stored = open_body_file(how.bodies_file);
  CHECK(stored->plan().what == plan.what);
  CHECK_EQ(stored->plan().start, 5u);
  CHECK_EQ(stored->plan().events, 500u);
  CHECK(stored->plan().gzip);
  ready_body a, b;
  std::string raw;
  while (rendered->next(a)) {
    REQUIRE(stored->next(b));
    CHECK_EQ(a.first, b.first);
    CHECK_EQ(a.count, b.count);
    CHECK(a.bytes == b.bytes);
    CHECK_EQ(store::inflate_member(b.bytes, raw), store::member_status::ok);
    CHECK_EQ(static_cast<std::uint64_t>(std::count(raw.begin(), raw.end(), '\n')), b.count);
  }
  CHECK_FALSE(stored->next(b));
}

TEST_CASE("a file that holds no bodies, or is cut off, is refused") {
  temporary_directory directory;
  CHECK_THROWS_AS(open_body_file(directory / "none"), std::system_error);
  std::ofstream{directory / "text"} << "{\"a\":1}\n";
  CHECK_THROWS_AS(open_body_file(directory / "text"), std::runtime_error);
  options how;
  how.plan.events = 10;
  how.bodies_file = directory / "cut";
  REQUIRE_EQ(run_with(how).code, 0);
  std::filesystem::resize_file(how.bodies_file, std::filesystem::file_size(how.bodies_file) - 1);
  const auto source = open_body_file(how.bodies_file);
  ready_body body;
  CHECK_THROWS_AS(source->next(body), std::runtime_error);
}

TEST_CASE("--stdout writes the events and --list-zones the zones") {
  options how;
  how.to_stdout = true;
  how.plan.events = 5;
  how.plan.start = 2;
  const auto events = run_with(how);
  CHECK_EQ(events.code, 0);
  const event_generator generator{how.plan.what};
  std::string expected;
  for (std::uint64_t i = 2; i < 7; ++i)
    generator.append(i, expected);
  CHECK_EQ(events.out, expected);

  options zones;
  zones.list_zones = 3;
  zones.plan.events = 1;
  CHECK_EQ(run_with(zones).out, zone_id(0) + "\n" + zone_id(1) + "\n" + zone_id(2) + "\n");
}

TEST_CASE("options that contradict each other are a mistake of the command line") {
  options none;
  none.plan.events = 1;
  CHECK_EQ(run_with(none).code, 2);
  auto both = none;
  both.to_stdout = true;
  both.list_zones = 1;
  CHECK_EQ(run_with(both).code, 2);
  auto receipts = none;
  receipts.to_stdout = true;
  receipts.receipts_file = "x";
  CHECK_EQ(run_with(receipts).code, 2);
  auto nothing = none;
  nothing.to_stdout = true;
  nothing.plan.events = 0;
  CHECK_EQ(run_with(nothing).code, 2);
  auto scheme = none;
  scheme.url = "ftp://127.0.0.1/";
  CHECK_EQ(run_with(scheme).code, 2);
}

TEST_CASE("URLs are taken apart, and those that are none are refused") {
  const auto plain = parse_ingest_url("http://127.0.0.1:9400/v1/ingest/http_requests?zone=a");
  CHECK_FALSE(plain.tls);
  CHECK_EQ(plain.host, "127.0.0.1");
  CHECK_EQ(plain.port, "9400");
  CHECK_EQ(plain.authority, "127.0.0.1:9400");
  CHECK_EQ(plain.target, "/v1/ingest/http_requests?zone=a");
  CHECK(plain.is_loopback());
  const auto secure = parse_ingest_url("https://logs.example/x");
  CHECK(secure.tls);
  CHECK_EQ(secure.port, "443");
  CHECK_FALSE(secure.is_loopback());
  const auto six = parse_ingest_url("http://[::1]:80/");
  CHECK_EQ(six.host, "::1");
  CHECK_EQ(six.authority, "[::1]:80");
  CHECK(six.is_loopback());
  for (const auto* text : {"", "127.0.0.1:9400", "http://", "http:///x", "http://a:b/", "http://a:/", "http://a:70000/",
                           "http://[::1/", "http://a/b c", "http://a/\r\nX: y", "http://u:p@a/", "file:///x"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_ingest_url(text), std::invalid_argument);
  }
}

TEST_CASE("a token is not sent in clear to another machine") {
  temporary_directory directory;
  std::ofstream{directory / "token"} << "hush\n";
  options how;
  how.plan.events = 1;
  how.url = "http://192.0.2.1:9400/v1/ingest/http_requests";
  how.token_file = directory / "token";
  const auto result = run_with(how);
  CHECK_EQ(result.code, 2);
  CHECK_EQ(result.err.find("hush"), std::string::npos);
}

TEST_CASE("every body is posted with a key of its own, and receipts say what was answered") {
  temporary_directory directory;
  std::ofstream{directory / "token"} << "hush\n";
  const std::string answer = R"({"accepted":3,"filtered":1,"not_entitled":4,"shed":{"memory":2,"job_quota":1},)"
                             R"("rejected":{"count":5,"first":[{"line":1,"reason":"not_json"}]}})";
  using node_answer = scripted_node::answer;
  scripted_node node{{node_answer{200, answer}, node_answer{200, answer}, node_answer{200, answer}}};
  auto how = posting(node, 30, 7'000);
  how.token_file = directory / "token";
  how.receipts_file = directory / "receipts";
  how.json = true;
  const auto result = run_with(how);
  CHECK_EQ(result.code, 0);
  const auto& requests = node.requests();
  REQUIRE_EQ(requests.size(), 3u);
  const auto source = make_body_source(how.plan);
  ready_body body;
  for (const auto& request : requests) {
    REQUIRE(source->next(body));
    CHECK(request.body == body.bytes);
    CHECK_EQ(request.key, fmt::format("1-r-{}", body.first));
    CHECK_EQ(request.authorization, "Bearer hush");
    CHECK_EQ(request.encoding, "");
    CHECK_EQ(request.target, "/v1/ingest/http_requests?x=1");
  }
  const auto summary = nlohmann::json::parse(result.out);
  CHECK_EQ(summary.at("events"), 30);
  CHECK_EQ(summary.at("accepted"), 9);
  CHECK_EQ(summary.at("shed"), 9);
  CHECK_EQ(summary.at("all_acknowledged"), true);

  std::uint64_t next = 0, bodies = 0;
  read_receipts(how.receipts_file, [&](const traffic& what, const acknowledged_body& receipt) {
    CHECK(what == how.plan.what);
    CHECK_EQ(receipt.key, requests[bodies++].key);
    CHECK_EQ(receipt.first, next);
    next += receipt.count;
    CHECK_EQ(receipt.accepted, 3u);
    CHECK_EQ(receipt.not_entitled, 4u);
    CHECK_EQ(receipt.filtered, 1u);
    CHECK_EQ(receipt.shed, 3u);
    CHECK_EQ(receipt.rejected, 5u);
  });
  CHECK_EQ(next, 30u);
}

TEST_CASE("a body that is refused for now or not answered is repeated under the same key") {
  temporary_directory directory;
  using answer = scripted_node::answer;
  scripted_node node{
      {answer{429, "{}", "0"}, answer{0}, answer{503, ""}, answer{408, "", "x"}, answer{200}, answer{200}}};
  auto how = posting(node, 2, 1);
  how.plan.gzip = true;
  how.receipts_file = directory / "receipts";
  const auto result = run_with(how);
  CHECK_EQ(result.code, 0);
  const auto& requests = node.requests();
  REQUIRE_EQ(requests.size(), 6u);
  for (int i = 1; i < 5; ++i) {
    CHECK_EQ(requests[i].key, requests[0].key);
    CHECK(requests[i].body == requests[0].body);
    CHECK_EQ(requests[i].encoding, "gzip");
  }
  CHECK_NE(requests[5].key, requests[0].key);
  std::vector<std::string> keys;
  read_receipts(how.receipts_file,
                [&](const traffic&, const acknowledged_body& receipt) { keys.push_back(receipt.key); });
  CHECK_EQ(keys, std::vector<std::string>{requests[0].key, requests[5].key});
}

TEST_CASE("a definite refusal ends the run, and its body has no receipt") {
  temporary_directory directory;
  scripted_node node{{scripted_node::answer{200}, scripted_node::answer{403, "no such token"}}};
  auto how = posting(node, 3, 1);
  how.receipts_file = directory / "receipts";
  const auto result = run_with(how);
  CHECK_EQ(result.code, 1);
  CHECK_NE(result.err.find("403"), std::string::npos);
  CHECK_NE(result.err.find("no such token"), std::string::npos);
  int receipts = 0;
  read_receipts(how.receipts_file, [&](const traffic&, const acknowledged_body&) { ++receipts; });
  CHECK_EQ(receipts, 1);
}

TEST_CASE("an answer 200 without counts is no acknowledgement") {
  scripted_node node{{scripted_node::answer{200, "<html>"}}};
  CHECK_EQ(run_with(posting(node, 1, 1)).code, 1);
}

TEST_CASE("a node that cannot be reached exhausts the sender's patience") {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor free_port{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  options how;
  how.url = fmt::format("http://127.0.0.1:{}/", free_port.local_endpoint().port());
  free_port.close();
  how.plan.events = 1;
  how.post.patience = std::chrono::seconds{0};
  const auto result = run_with(how);
  CHECK_EQ(result.code, 1);
  CHECK_NE(result.err.find("no body was acknowledged"), std::string::npos);
}

TEST_CASE("ready bodies from a file are posted as they are") {
  temporary_directory directory;
  options write;
  write.plan.what = {77, 5, 0};
  write.plan.events = 4;
  write.plan.body_bytes = 1'500;
  write.bodies_file = directory / "load";
  REQUIRE_EQ(run_with(write).code, 0);
  scripted_node node{{scripted_node::answer{200}, scripted_node::answer{200}}};
  auto how = posting(node, 1, 1);
  how.replay_file = write.bodies_file;
  how.receipts_file = directory / "receipts";
  CHECK_EQ(run_with(how).code, 0);
  std::string sent;
  for (const auto& request : node.requests())
    sent += request.body;
  std::string expected;
  const event_generator generator{write.plan.what};
  for (std::uint64_t i = 0; i < 4; ++i)
    generator.append(i, expected);
  CHECK(sent == expected);
  read_receipts(how.receipts_file,
                [&](const traffic& what, const acknowledged_body&) { CHECK(what == write.plan.what); });
}

TEST_CASE("receipts are appended, and a line that was cut off counts as not acknowledged") {
  temporary_directory directory;
  const auto path = directory / "receipts";
  {
    receipt_writer{path, {1, 10, 0}}.write({"a", 0, 5, 5, 0, 0, 0, 0});
    receipt_writer{path, {2, 20, 1.5}}.write({"b", 0, 7, 7, 0, 0, 0, 0});
  }
  std::vector<std::string> seen;
  const auto visit = [&](const traffic& what, const acknowledged_body& body) {
    seen.push_back(fmt::format("{}/{}/{}/{}", what.seed, what.zones, what.zipf, body.key));
  };
  read_receipts(path, visit);
  CHECK_EQ(seen, std::vector<std::string>{"1/10/0/a", "2/20/1.5/b"});
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  seen.clear();
  read_receipts(path, visit);
  CHECK_EQ(seen, std::vector<std::string>{"1/10/0/a"});
}

TEST_CASE("what is no record of receipts is refused with its line") {
  temporary_directory directory;
  const auto refused = [&](const std::string& text) {
    std::ofstream{directory / "x"} << text;
    try {
      read_receipts(directory / "x", [](const traffic&, const acknowledged_body&) {});
    } catch (const std::runtime_error& e) {
      return std::string{e.what()};
    }
    return std::string{};
  };
  CHECK_NE(refused("{\"key\":\"a\"}\n").find(":1:"), std::string::npos);
  CHECK_NE(refused("{\"weir_receipts\":2}\n").find(":1:"), std::string::npos);
  CHECK_NE(refused("{\"weir_receipts\":1,\"seed\":1,\"zones\":1,\"zipf\":0}\nno\n").find(":2:"), std::string::npos);
  CHECK_NE(refused("{\"weir_receipts\":1,\"seed\":1,\"zones\":1,\"zipf\":0}\n{\"key\":\"a\"}\n").find(":2:"),
           std::string::npos);
  CHECK_THROWS_AS(read_receipts(directory / "none", {}), std::system_error);
}
