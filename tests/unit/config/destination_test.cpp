#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/destination.hpp"

using namespace weir;

namespace {

destination_rules rules_with(std::vector<std::string> allowed = {}) {
  std::vector<ip_network> networks;
  for (const auto& text : allowed)
    networks.push_back(*ip_network::parse(text));
  destination_rules rules;
  rules.addresses = address_policy(std::move(networks), {{*parse_literal_address("127.0.0.1"), 9401}});
  return rules;
}

std::string error_of(std::string_view text, const destination_rules& rules = rules_with()) {
  const auto parsed = parse_destination(text, rules);
  CHECK_MESSAGE(parsed.value.has_value() == parsed.error.empty(), text);
  return parsed.error;
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a file destination is an absolute directory") {
  const auto parsed = parse_destination("file:///var/tmp/my%20logs/{DATE}/", rules_with());
  REQUIRE_MESSAGE(parsed.value, parsed.error);
  CHECK_EQ(parsed.value->kind, destination_kind::file);
  CHECK_EQ(parsed.value->path, "/var/tmp/my logs/{DATE}");
  CHECK_EQ(upload_url(*parsed.value, "a.log.gz", "20241114").reveal(), "file:///var/tmp/my logs/20241114/a.log.gz");
}

TEST_CASE("an https destination keeps its parameters and turns header_ ones into headers") {
  const auto parsed = parse_destination(
      "https://Logs.Example.com:8443/push/"
      "a%20b?Api-Key=k%26&header_Authorization=Splunk%20T%2BN&format=x&header_X-A=1+2",
      rules_with());
  REQUIRE_MESSAGE(parsed.value, parsed.error);
  CHECK_EQ(parsed.value->kind, destination_kind::https);
  CHECK_EQ(parsed.value->host, "logs.example.com");
  CHECK_EQ(parsed.value->port, 8443);
  CHECK_EQ(parsed.value->query.reveal(), "Api-Key=k%26&format=x");
  REQUIRE_EQ(parsed.value->headers.size(), 2u);
  CHECK_EQ(parsed.value->headers[0].first, "Authorization");
  CHECK_EQ(parsed.value->headers[0].second.reveal(), "Splunk T+N");
  CHECK_EQ(parsed.value->headers[1].second.reveal(), "1 2");
  CHECK_EQ(upload_url(*parsed.value, "name", "").reveal(),
           "https://logs.example.com:8443/push/a%20b?Api-Key=k%26&format=x");
}

TEST_CASE("http:// is refused unless the operator allows it") {
  CHECK(mentions(error_of("http://example.com/"), "allow_insecure_http"));
  auto rules = rules_with();
  rules.allow_insecure_http = true;
  CHECK_EQ(error_of("http://example.com/", rules), "");
  CHECK_EQ(parse_destination("http://example.com", rules).value->port, 80);
}

TEST_CASE("SEC-03: no form of a loopback, private, link-local or unspecified address is a destination") {
  for (const char* host : {"127.0.0.1",
                           "127.1",
                           "127.0.0.1.",
                           "2130706433",
                           "0x7f000001",
                           "0x7f.0.0.1",
                           "0177.0.0.1",
                           "017700000001",
                           "localhost",
                           "LOCALHOST",
                           "localhost.",
                           "a.localhost",
                           "10.0.0.1",
                           "10.1",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "169.254.169.254",
                           "0xa9fea9fe",
                           "2852039166",
                           "0.0.0.0",
                           "0",
                           "0x0",
                           "00",
                           "100.64.0.1",
                           "192.0.0.1",
                           "198.18.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "4294967295",
                           "[::1]",
                           "[::]",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]",
                           "[0:0:0:0:0:ffff:10.0.0.1]",
                           "[::127.0.0.1]",
                           "[fe80::1]",
                           "[fc00::1]",
                           "[fd12:3456::1]",
                           "[fec0::1]",
                           "[ff02::1]",
                           "[64:ff9b::7f00:1]",
                           "[64:ff9b:1::1]",
                           "[2002:7f00:1::]",
                           "[2001::1]",
                           "[2001:db8::1]",
                           "4294967296",
                           "256.256.256.256",
                           "1.2.3.4.5",
                           "0x",
                           "0x.example.0x1g"})
    CHECK_MESSAGE(error_of("https://" + std::string{host} + "/x") != "", host);
  for (const char* other : {"gopher://127.0.0.1/", "ftp://example.com/", "HTTPS://example.com/", "example.com/x", "//x",
                            "https:/example.com", "https://", "https:///x", "https://:443/x", "https://./x"})
    CHECK_MESSAGE(error_of(other) != "", other);
}

TEST_CASE("public addresses are destinations") {
  for (const char* host :
       {"1.1.1.1", "8.8.8.8:8443", "172.15.0.1", "172.32.0.1", "[2606:4700::1111]", "[2606:4700::1111]:8443",
        "[64:ff9b::808:808]", "logs.example.com", "a-b.example", "1a.example"})
    CHECK_EQ(error_of("https://" + std::string{host} + "/x"), "");
}

TEST_CASE("SEC-03: an allowed network opens its own addresses only, and never the node's listeners") {
  const auto rules = rules_with({"127.0.0.0/8"});
  CHECK_EQ(error_of("https://127.0.0.1:8080/", rules), "");
  CHECK_EQ(error_of("https://localhost:8080/", rules), "");
  CHECK_EQ(error_of("https://2130706433:8080/", rules), "");
  CHECK_NE(error_of("https://10.0.0.1/", rules), "");
  CHECK_NE(error_of("https://[::1]/", rules), "");
  for (const char* own : {"https://127.0.0.1:9401/", "https://localhost:9401/", "https://0x7f.1:9401/"})
    CHECK_MESSAGE(mentions(error_of(own, rules), "listener"), own);
}

TEST_CASE("SEC-04: no header of a destination can end a line, replace the frame or claim to be Weir") {
  for (const char* bad : {"header_X=a%0d%0aEvil:1",
                          "header_X=a%0aEvil:1",
                          "header_X=a%0d",
                          "header_X=a%00b",
                          "header_X=%E2%80%A8",
                          "header_X=%C2%85",
                          "header_X=a%09b",
                          "header_X=%7f",
                          "header_X=",
                          "header_X",
                          "header_X=%20a",
                          "header_X=a%2",
                          "header_X=%zz",
                          "header_=a",
                          "header_X%0d%0aEvil=1",
                          "header_X%3a=1",
                          "header_X%20Y=1",
                          "header_Host=evil",
                          "header_HOST=evil",
                          "header_Content-Length=1",
                          "header_content%2dlength=1",
                          "header_Transfer-Encoding=chunked",
                          "header_Connection=close",
                          "header_Content-Encoding=br",
                          "header_Expect=100-continue",
                          "header_Proxy-Authorization=x",
                          "header_X-Weir-Batch=1/2/3-4",
                          "header_A=1&header_a=2",
                          "x=%0d%0aEvil:1",
                          "x=%00",
                          "x=%0"}) {
    const auto error = error_of("https://example.com/p?" + std::string{bad});
    CHECK_MESSAGE(error != "", bad);
    CHECK_FALSE_MESSAGE(mentions(error, "Evil"), error);
  }
  CHECK(mentions(error_of("https://example.com/p?header_X=" + std::string(3'000, 'a')), "header_X"));
  CHECK_NE(error_of("https://example.com/p?header_X=" + std::string(65'536, 'a')), "");
  std::string many = "https://example.com/p?a=1";
  for (int i = 0; i < 33; ++i)
    many += "&header_H" + std::to_string(i) + "=1";
  CHECK(mentions(error_of(many), "32"));
}

TEST_CASE("SEC-04: a line break, NUL or other odd byte is refused wherever it stands") {
  const std::string good = "https://example.com/path?a=b&header_X=y";
  CHECK_EQ(error_of(good), "");
  for (std::size_t at = 0; at <= good.size(); ++at)
    for (const char odd : {'\r', '\n', '\0', ' ', '\t', '\x7f', '\xe2'}) {
      auto text = good;
      text.insert(at, 1, odd);
      CHECK_MESSAGE(error_of(text) != "", at);
    }
  for (const char* bad :
       {"https://exa%0d%0ample.com/", "https://example.com/a%0d%0ab", "https://example.com/a%00b",
        "https://example.com/a#b", "https://user:pw@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:/", "https://example.com:80x/",
        "https://[::1/", "https://[2606:4700::1]x/", "https://-a.com/", "https://a..b/", "https://[fe80::1%25eth0]/"})
    CHECK_MESSAGE(error_of(bad) != "", bad);
}

TEST_CASE("SEC-05: no path of a destination leaves its directory") {
  for (const char* bad :
       {"file://", "file:///", "file:////", "file://host/path", "file:relative", "file:///a/../b", "file:///..",
        "file:///a/..", "file:///a/%2e%2e/b", "file:///a/%2E./b", "file:///a/./b", "file:///a//b", "file:///a\\b",
        "file:///a%5cb", "file:///a%00b", "file:///a%0ab", "file:///a%", "file:///a?x=y", "file:///a#b"})
    CHECK_MESSAGE(error_of(bad) != "", bad);
  CHECK_NE(error_of("file:///" + std::string(300, 'a')), "");
  std::string deep = "file://";
  while (deep.size() < 1'100)
    deep += "/abcdefgh";
  CHECK(mentions(error_of(deep), "1024"));
  for (const char* bad : {"https://example.com/a/../b", "https://example.com/a/%2e%2e/b", "https://example.com/%5c"})
    CHECK_MESSAGE(error_of(bad) != "", bad);
}

TEST_CASE("SEC-05: file destinations stay out of the node's data and under the roots that are listed") {
  auto rules = rules_with();
  rules.closed_roots = {"/var/lib/weir"};
  for (const char* bad : {"file:///var/lib/weir", "file:///var/lib/weir/store", "file:///var/lib", "file:///var"})
    CHECK_MESSAGE(mentions(error_of(bad, rules), "own data"), bad);
  CHECK_EQ(error_of("file:///var/lib/weird", rules), "");
  rules.file_roots = {"/srv/push"};
  CHECK_EQ(error_of("file:///srv/push/a", rules), "");
  CHECK_EQ(error_of("file:///srv/push", rules), "");
  CHECK(mentions(error_of("file:///srv/pushed", rules), "file_roots"));
  CHECK(mentions(error_of("file:///tmp/a", rules), "file_roots"));
}

TEST_CASE("a job of the API may write to a file only where the operator listed a root") {
  auto rules = rules_with();
  rules.require_file_root = true;
  CHECK(mentions(error_of("file:///tmp/a", rules), "file_roots"));
  rules.file_roots = {"/tmp"};
  CHECK_EQ(error_of("file:///tmp/a", rules), "");
}

TEST_CASE("a destination of a kind that this version cannot push to is named as such") {
  for (const char* text : {"s3://bucket/x?region=r", "r2://b/p", "gs://b/d", "azure://x", "sumo://x", "splunk://h:443/",
                           "datadog://h/p", "bq://projects/p"})
    CHECK_MESSAGE(mentions(error_of(text), "not supported by this version"), text);
  CHECK_NE(error_of(""), "");
  CHECK(mentions(error_of("https://example.com/" + std::string(5'000, 'a')), "4096"));
}

TEST_CASE("SEC-15: neither an error nor the redacted form shows the value of a parameter") {
  const std::string canary = "canary-7391";
  for (const std::string& text :
       {"https://example.com/p?header_Authorization=" + canary + "%0a", "https://example.com/p?key=" + canary + "%00",
        "https://user:" + canary + "@example.com/", "https://10.0.0.1/?k=" + canary, "s3://b/p?secret=" + canary,
        "https://example.com/?" + canary, "https://example.com/?header_Host=" + canary,
        "https://example.com/#" + canary}) {
    CHECK_FALSE_MESSAGE(mentions(error_of(text), canary), text);
    if (!mentions(text, "#"))
      CHECK_FALSE_MESSAGE(mentions(redacted_destination(text), canary), text);
  }
  CHECK_EQ(redacted_destination("https://h/p?header_A=x&b=y&z"), "https://h/p?header_A=***&b=***&***");
  CHECK_EQ(redacted_destination("file:///a/b"), "file:///a/b");
  CHECK_EQ(redacted_destination(std::string_view{"a\nb\0c", 5}), "a?b?c");
}

TEST_CASE("the fingerprint follows from scheme, host, port and path and from no secret") {
  const auto of = [](std::string_view text) { return parse_destination(text, rules_with()).value->fingerprint; };
  const auto base = of("https://example.com/a?header_X=1&k=v");
  CHECK_EQ(base, of("https://EXAMPLE.com:443/a?header_X=2"));
  CHECK_EQ(base, of("https://example.com./a"));
  CHECK_NE(base, of("https://example.com/b"));
  CHECK_NE(base, of("https://example.org/a"));
  CHECK_NE(base, of("https://example.com:8443/a"));
  CHECK_NE(of("file:///a"), of("file:///b"));
  CHECK_EQ(of("file:///a/"), of("file:///a"));
}

TEST_CASE("{DATE} becomes the day wherever it stands") {
  CHECK_EQ(with_date("/a/{DATE}/b-{DATE}", "20241114"), "/a/20241114/b-20241114");
  CHECK_EQ(with_date("/a/{date}", "20241114"), "/a/{date}");
}
