#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct sockaddr;

namespace weir {

/// An IPv4 or IPv6 address, held as IPv6 (IPv4 as `::ffff:a.b.c.d`).
struct ip_address {
  std::array<unsigned char, 16> bytes{};

  bool is_v4() const noexcept;
  std::string text() const;
  friend bool operator==(const ip_address& a, const ip_address& b) noexcept { return a.bytes == b.bytes; }

  static ip_address v4(std::uint32_t host_order) noexcept;
  /// Of a socket; nothing for other families.
  static std::optional<std::pair<ip_address, std::uint16_t>> from(const sockaddr* address) noexcept;
};

/// A host that is an address in whatever form a resolver accepts: dotted, with fewer parts, decimal,
/// octal, hex, IPv6 with or without brackets. Nothing for a host name.
std::optional<ip_address> parse_literal_address(std::string_view host);

/// `10.0.0.0/8`, `fd00::/8` or a single address.
struct ip_network {
  ip_address base;
  unsigned prefix_bits = 128; ///< Of the 128; an IPv4 /8 is 104 here.

  bool contains(const ip_address& x) const noexcept;
  /// Nothing if the text is no network or has bits set behind its prefix.
  static std::optional<ip_network> parse(std::string_view text);
};

/// Which addresses customers' destinations may point to: the public ones and what the operator
/// allows. To be asked when a job is made *and* with the very address before each connect, because
/// a name can resolve to something else by then. Redirects are never followed.
class address_policy {
 public:
  address_policy() = default;
  /// `allowed` opens networks that are not public; `own` are the listeners of this node, which stay
  /// closed even then.
  address_policy(std::vector<ip_network> allowed, std::vector<std::pair<ip_address, std::uint16_t>> own);

  /// Why the address is refused, in words for the customer; nothing if it is fine.
  std::optional<std::string> refuse(const ip_address& address, std::uint16_t port) const;
  /// The same for the address of a socket that is about to connect.
  std::optional<std::string> refuse(const sockaddr* address) const;

 private:
  std::vector<ip_network> allowed_;
  std::vector<std::pair<ip_address, std::uint16_t>> own_;
};

/// What a non-public address is ("loopback", "private", "link-local", …), or nothing for a public one.
std::optional<std::string_view> special_use_of(const ip_address& address) noexcept;

} // namespace weir
