#include "config/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace weir {

namespace {

constexpr std::array<unsigned char, 12> v4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool starts_with(const ip_address& x, const unsigned char* prefix, std::size_t size) noexcept {
  return std::memcmp(x.bytes.data(), prefix, size) == 0;
}

std::uint32_t tail_v4(const ip_address& x, std::size_t at) noexcept {
  return std::uint32_t{x.bytes[at]} << 24 | std::uint32_t{x.bytes[at + 1]} << 16 | std::uint32_t{x.bytes[at + 2]} << 8
         | x.bytes[at + 3];
}

struct special_v4 {
  std::uint32_t base;
  unsigned bits;
  std::string_view what;
};

// The IANA registry of special-purpose IPv4 addresses, but for the few that are globally reachable.
constexpr special_v4 special_v4_networks[] = {
    {0x00000000, 8, "'this network'"},
    {0x0a000000, 8, "private"},
    {0x64400000, 10, "carrier-grade NAT"},
    {0x7f000000, 8, "loopback"},
    {0xa9fe0000, 16, "link-local (cloud metadata)"},
    {0xac100000, 12, "private"},
    {0xc0000000, 24, "reserved"},
    {0xc0000200, 24, "documentation"},
    {0xc0586300, 24, "reserved"},
    {0xc0a80000, 16, "private"},
    {0xc6120000, 15, "benchmarking"},
    {0xc6336400, 24, "documentation"},
    {0xcb007100, 24, "documentation"},
    {0xe0000000, 4, "multicast"},
    {0xf0000000, 4, "reserved or broadcast"},
};

std::optional<std::string_view> special_use_of_v4(std::uint32_t x) noexcept {
  for (const auto& network : special_v4_networks)
    if (((x ^ network.base) >> (32 - network.bits)) == 0)
      return network.what;
  return std::nullopt;
}

// One part of the forms inet_aton takes: decimal, 0-led octal, 0x-led hex.
std::optional<std::uint64_t> parse_part(std::string_view text) {
  unsigned base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  if (text.empty() || text.size() > 40)
    return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    unsigned digit = 99;
    if (c >= '0' && c <= '9')
      digit = static_cast<unsigned>(c - '0');
    else if (c >= 'a' && c <= 'f')
      digit = static_cast<unsigned>(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
      digit = static_cast<unsigned>(c - 'A') + 10;
    if (digit >= base)
      return std::nullopt;
    // Some resolvers wrap round instead of refusing; saturating keeps such a host out in any case.
    value = std::min<std::uint64_t>(value * base + digit, std::uint64_t{1} << 40);
  }
  return value;
}

std::optional<ip_address> parse_v4(std::string_view host) {
  if (!host.empty() && host.back() == '.')
    host.remove_suffix(1);
  std::uint64_t parts[4] = {};
  std::size_t count = 0;
  for (;;) {
    if (count == 4)
      return std::nullopt;
    const auto dot = host.find('.');
    const auto part = parse_part(host.substr(0, dot));
    if (!part)
      return std::nullopt;
    parts[count++] = *part;
    if (dot == std::string_view::npos)
      break;
    host.remove_prefix(dot + 1);
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i + 1 < count; ++i)
    value = value << 8 | (parts[i] & 0xff);
  const auto rest = 8 * (5 - count);
  value = value << rest | (parts[count - 1] & ((std::uint64_t{1} << rest) - 1));
  return ip_address::v4(static_cast<std::uint32_t>(value));
}

} // namespace

bool ip_address::is_v4() const noexcept {
  return starts_with(*this, v4_prefix.data(), v4_prefix.size());
}

ip_address ip_address::v4(std::uint32_t x) noexcept {
  ip_address result;
  std::copy(v4_prefix.begin(), v4_prefix.end(), result.bytes.begin());
  for (int i = 0; i < 4; ++i)
    result.bytes[12 + static_cast<std::size_t>(i)] = static_cast<unsigned char>(x >> (24 - 8 * i));
  return result;
}

std::string ip_address::text() const {
  char buffer[INET6_ADDRSTRLEN];
  if (is_v4())
    return fmt::format("{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
  return inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
}

std::optional<std::pair<ip_address, std::uint16_t>> ip_address::from(const sockaddr* address) noexcept {
  if (address->sa_family == AF_INET) {
    sockaddr_in x;
    std::memcpy(&x, address, sizeof x);
    return std::make_pair(v4(ntohl(x.sin_addr.s_addr)), ntohs(x.sin_port));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 x;
    std::memcpy(&x, address, sizeof x);
    ip_address result;
    std::memcpy(result.bytes.data(), x.sin6_addr.s6_addr, result.bytes.size());
    return std::make_pair(result, ntohs(x.sin6_port));
  }
  return std::nullopt;
}

std::optional<ip_address> parse_literal_address(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (host.find(':') == std::string_view::npos)
    return parse_v4(host);
  const std::string text{host.substr(0, host.find('%'))};
  ip_address result;
  if (inet_pton(AF_INET6, text.c_str(), result.bytes.data()) != 1)
    return std::nullopt;
  return result;
}

bool ip_network::contains(const ip_address& x) const noexcept {
  for (unsigned bit = 0; bit < prefix_bits; bit += 8) {
    const auto mask = static_cast<unsigned char>(prefix_bits - bit >= 8 ? 0xff : 0xff << (8 - (prefix_bits - bit)));
    if ((x.bytes[bit / 8] ^ base.bytes[bit / 8]) & mask)
      return false;
  }
  return true;
}

std::optional<ip_network> ip_network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const std::string host{text.substr(0, slash)};
  ip_network result;
  in_addr v4{};
  unsigned most = 128;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) { // strict: no octal in an operator's file
    result.base = ip_address::v4(ntohl(v4.s_addr));
    most = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), result.base.bytes.data()) != 1) {
    return std::nullopt;
  }
  auto bits = most;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    if (digits.empty() || digits.size() > 3
        || !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return std::nullopt;
    bits = static_cast<unsigned>(std::stoul(std::string{digits}));
    if (bits > most)
      return std::nullopt;
  }
  result.prefix_bits = bits + 128 - most;
  for (unsigned bit = result.prefix_bits; bit < 128; ++bit)
    if (result.base.bytes[bit / 8] & (0x80 >> (bit % 8)))
      return std::nullopt;
  return result;
}

std::optional<std::string_view> special_use_of(const ip_address& x) noexcept {
  static constexpr unsigned char zeros[12] = {};
  static constexpr unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
  static constexpr unsigned char nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
  static constexpr unsigned char teredo[4] = {0x20, 0x01, 0x00, 0x00};
  static constexpr unsigned char documentation[4] = {0x20, 0x01, 0x0d, 0xb8};
  static constexpr unsigned char discard[8] = {0x01, 0x00};
  if (x.is_v4())
    return special_use_of_v4(tail_v4(x, 12));
  if (starts_with(x, zeros, 12)) { // ::, ::1 and the IPv4-compatible form
    const auto tail = tail_v4(x, 12);
    if (tail == 0)
      return "unspecified";
    return tail == 1 ? "loopback" : "IPv4-compatible";
  }
  if (starts_with(x, nat64, 12)) // leads to the IPv4 address inside
    return special_use_of_v4(tail_v4(x, 12));
  if (x.bytes[0] == 0x20 && x.bytes[1] == 0x02) // 6to4: likewise
    return special_use_of_v4(tail_v4(x, 2));
  if (starts_with(x, nat64_local, 6))
    return "local NAT64";
  if (starts_with(x, teredo, 4))
    return "Teredo";
  if (starts_with(x, documentation, 4))
    return "documentation";
  if (starts_with(x, discard, 8))
    return "discard";
  if ((x.bytes[0] & 0xfe) == 0xfc)
    return "private (unique local)";
  if (x.bytes[0] == 0xfe && (x.bytes[1] & 0xc0) == 0x80)
    return "link-local";
  if (x.bytes[0] == 0xfe && (x.bytes[1] & 0xc0) == 0xc0)
    return "site-local";
  if (x.bytes[0] == 0xff)
    return "multicast";
  return std::nullopt;
}

address_policy::address_policy(std::vector<ip_network> allowed, std::vector<std::pair<ip_address, std::uint16_t>> own)
    : allowed_(std::move(allowed)), own_(std::move(own)) {}

std::optional<std::string> address_policy::refuse(const ip_address& address, std::uint16_t port) const {
  const auto special = special_use_of(address);
  for (const auto& [host, own_port] : own_) {
    // A listener on all addresses is reached by any local one; special ones are taken as local.
    const auto everywhere = special_use_of(host) == std::string_view{"unspecified"} || host == ip_address::v4(0);
    if (port == own_port && (host == address || (everywhere && special)))
      return fmt::format("{} port {} is a listener of this node", address.text(), port);
  }
  if (!special)
    return std::nullopt;
  for (const auto& network : allowed_)
    if (network.contains(address))
      return std::nullopt;
  return fmt::format("{} is a {} address; destinations must be public unless destinations.allow_private lists them",
                     address.text(), *special);
}

std::optional<std::string> address_policy::refuse(const sockaddr* address) const {
  const auto endpoint = ip_address::from(address);
  if (!endpoint)
    return "the address is neither IPv4 nor IPv6";
  return refuse(endpoint->first, endpoint->second);
}

} // namespace weir
