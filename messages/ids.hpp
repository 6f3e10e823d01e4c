#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

namespace weir {

/// One customer's order; 64 bit, unique in the deployment, never reused. Jobs made over the API
/// start at 1,000,001; lower ids are declared in `weir.toml` or a job file.
enum class job_id : std::uint64_t {};

/// One run of a job's sequences: upper half seconds since 1970, lower half random. New whenever a
/// store has no proof of the last sequence (first sight, lost disk, restore, new owner).
enum class generation : std::uint64_t {};

/// Version of one job's settings. A cut never spans two.
enum class revision : std::uint64_t {};

/// Version of the ownership map of a cluster; always 1 on a single node.
enum class ownership_epoch : std::uint64_t {};

/// Version of the forwarding config; grows by one with each publication.
enum class config_version : std::uint64_t {};

/// SHA-256 of what a forwarding config says, whatever its version.
using content_hash = std::array<unsigned char, 32>;

/// Position of an event in its job and generation, from 1. A gap is a loss, and visible.
using sequence = std::uint64_t;

/// Names one body for deduplication: a hash of tenant and `Idempotency-Key`, or the edge's
/// incarnation and counter on a link. All zero means that the body has no name.
struct batch_id {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  explicit operator bool() const noexcept { return (high | low) != 0; }
  friend bool operator==(const batch_id& a, const batch_id& b) noexcept { return a.high == b.high && a.low == b.low; }
  friend bool operator!=(const batch_id& a, const batch_id& b) noexcept { return !(a == b); }
  friend bool operator<(const batch_id& a, const batch_id& b) noexcept {
    return a.high != b.high ? a.high < b.high : a.low < b.low;
  }
};

/// A run of events of one job: generation, first sequence, number of events.
struct sequence_range {
  weir::generation generation{};
  sequence first = 0;
  std::uint64_t count = 0;

  sequence end() const noexcept { return first + count; } ///< One past the last.
  friend bool operator==(const sequence_range& a, const sequence_range& b) noexcept {
    return a.generation == b.generation && a.first == b.first && a.count == b.count;
  }
};

/// The bare number of a strong id, for formatting and hashing.
template <class Id>
constexpr std::uint64_t number(Id id) noexcept {
  return static_cast<std::uint64_t>(id);
}

} // namespace weir

template <>
struct std::hash<weir::batch_id> {
  std::size_t operator()(const weir::batch_id& id) const noexcept { return id.low ^ (id.high * 0x9e3779b97f4a7c15ull); }
};
