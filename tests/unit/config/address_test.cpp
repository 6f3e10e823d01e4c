#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config/address.hpp"

using namespace weir;

namespace {

sockaddr_in6 socket_v6(const char* text, std::uint16_t port) {
  sockaddr_in6 result{};
  result.sin6_family = AF_INET6;
  result.sin6_port = htons(port);
  REQUIRE_EQ(inet_pton(AF_INET6, text, &result.sin6_addr), 1);
  return result;
}

sockaddr_in socket_v4(const char* text, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  REQUIRE_EQ(inet_pton(AF_INET, text, &result.sin_addr), 1);
  return result;
}

} // namespace

TEST_CASE("SEC-03: the address of a socket is judged again before it connects") {
  const address_policy policy({}, {});
  const auto v4 = socket_v4("169.254.169.254", 80);
  const auto mapped = socket_v6("::ffff:10.0.0.1", 80);
  const auto fine = socket_v4("1.1.1.1", 443);
  const auto fine_v6 = socket_v6("2606:4700::1111", 443);
  CHECK(policy.refuse(reinterpret_cast<const sockaddr*>(&v4)));
  CHECK(policy.refuse(reinterpret_cast<const sockaddr*>(&mapped)));
  CHECK_FALSE(policy.refuse(reinterpret_cast<const sockaddr*>(&fine)));
  CHECK_FALSE(policy.refuse(reinterpret_cast<const sockaddr*>(&fine_v6)));
  sockaddr_un unix_socket{};
  unix_socket.sun_family = AF_UNIX;
  CHECK(policy.refuse(reinterpret_cast<const sockaddr*>(&unix_socket)));
}

TEST_CASE("an allowed IPv4 network also covers the mapped form of its addresses") {
  const address_policy policy({*ip_network::parse("10.0.0.0/8"), *ip_network::parse("fd00::/8")}, {});
  CHECK_FALSE(policy.refuse(*parse_literal_address("::ffff:10.1.2.3"), 443));
  CHECK_FALSE(policy.refuse(*parse_literal_address("10.255.255.255"), 443));
  CHECK_FALSE(policy.refuse(*parse_literal_address("fd12::1"), 443));
  CHECK(policy.refuse(*parse_literal_address("11.0.0.1"), 443) == std::nullopt); // public
  CHECK(policy.refuse(*parse_literal_address("192.168.0.1"), 443));
  CHECK(policy.refuse(*parse_literal_address("fc00::1"), 443));
}

TEST_CASE("a listener on all addresses is no destination by any local address") {
  const address_policy policy({*ip_network::parse("0.0.0.0/0"), *ip_network::parse("::/0")},
                              {{*parse_literal_address("0.0.0.0"), 9400}, {*parse_literal_address("::1"), 9401}});
  CHECK(policy.refuse(*parse_literal_address("127.0.0.1"), 9400));
  CHECK(policy.refuse(*parse_literal_address("192.168.7.7"), 9400));
  CHECK(policy.refuse(*parse_literal_address("::1"), 9401));
  CHECK_FALSE(policy.refuse(*parse_literal_address("127.0.0.1"), 9402));
}

TEST_CASE("a network is an address and a prefix without bits behind it") {
  for (const char* good : {"10.0.0.0/8", "0.0.0.0/0", "1.2.3.4", "1.2.3.4/32", "fd00::/8", "::1", "::/0"})
    CHECK_MESSAGE(ip_network::parse(good), good);
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0.1/8", "10/8", "010.0.0.0/8", "10.0.0.0/", "10.0.0.0/-1",
                          "fd00::1/8", "::/129", "localhost", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/0008"})
    CHECK_FALSE_MESSAGE(ip_network::parse(bad), bad);
  const auto network = *ip_network::parse("172.16.0.0/12");
  CHECK(network.contains(*parse_literal_address("172.31.255.255")));
  CHECK_FALSE(network.contains(*parse_literal_address("172.32.0.0")));
}

TEST_CASE("every form of an address that a resolver takes means the same address") {
  for (const char* form : {"1.2.3.4", "1.2.772", "1.131844", "16909060", "0x01020304", "0x1.0x2.0x3.0x4", "01.02.03.04",
                           "1.2.3.4.", "::ffff:1.2.3.4", "[::ffff:102:304]"}) {
    const auto address = parse_literal_address(form);
    REQUIRE_MESSAGE(address, form);
    CHECK_EQ(address->text(), "1.2.3.4");
  }
  for (const char* name : {"", ".", "example.com", "1.2.3.4.5", "08", "0x", "1..2", "a", "12a", "[", "[]", ":::"})
    CHECK_FALSE_MESSAGE(parse_literal_address(name), name);
}
