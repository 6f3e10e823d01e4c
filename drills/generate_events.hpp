#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Web requests that nobody made, as a function of a seed and a counter: the same two always give
/// the same event, so a sender's record of counters is enough to name every event it sent.
namespace weir::generate {

/// Id of the zone with a rank, from 0: 32 hexadecimal digits that depend on nothing else.
std::string zone_id(std::uint64_t rank);

/// What is sent. Part of every receipt, because it is what an audit needs to know of it.
struct traffic {
  std::uint64_t seed = 1;    ///< Also the sender's name in each event. 1 to 2^48.
  std::uint64_t zones = 200; ///< Ranks 0 to zones-1; at most 10 million.
  double zipf = 0;           ///< Share of rank r is proportional to 1/(r+1)^zipf; 0 = all alike.

  friend bool operator==(const traffic& a, const traffic& b) noexcept {
    return a.seed == b.seed && a.zones == b.zones && a.zipf == b.zipf;
  }
};

/// Names in the events, for the audit.
inline constexpr std::string_view sender_field = "Sender";
inline constexpr std::string_view counter_field = "SenderCounter";
inline constexpr std::string_view ray_field = "RayID";
inline constexpr std::string_view zone_field = "ZoneID";

/// Makes `http_requests` events of about 650 bytes. Immutable once made; 0.4 MB, and 8 bytes for
/// each zone with a Zipf distribution.
class event_generator {
 public:
  explicit event_generator(const traffic& what);

  const traffic& what() const noexcept { return what_; }

  /// Appends event number `counter` and '\n'.
  void append(std::uint64_t counter, std::string& out) const;

  /// Rank of the zone whose event this is.
  std::uint64_t zone_rank(std::uint64_t counter) const noexcept;

  /// Its RayID: unique for all counters of a seed, and for practical purposes over seeds.
  std::string ray_id(std::uint64_t counter) const;

 private:
  struct form {
    std::string text;
    std::uint32_t ray, zone, start, ip, port, bytes, first_byte_ms; ///< Offsets of what changes.
  };

  form make_form(std::uint64_t number) const;
  std::uint64_t draw(std::uint64_t counter) const noexcept;

  traffic what_;
  std::vector<form> forms_;
  std::vector<std::uint32_t> keep_below_; ///< Alias method: chance to keep the column, of 2^32.
  std::vector<std::uint32_t> alias_;
};

} // namespace weir::generate
