#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "actors/http/head.hpp"
#include "actors/sources/body_decoder.hpp"
#include "actors/sources/ingest.hpp"

namespace weir {

/// What bounds one body.
struct body_limits {
  std::uint64_t max_bytes = 16u << 20;
  std::uint64_t max_ratio = 100;
  std::uint64_t ratio_free_bytes = 1u << 20;
  std::uint64_t step_bytes = 1u << 20;
  std::uint64_t max_zstd_window = 8u << 20;
};

/// Why a body cannot go on: what the client did wrong, or the node's refusal.
struct body_fault {
  http::problem why;
  int retry_after_seconds = 0;
};

/// Fills one payload from wire bytes. Memory is reserved before it is allocated, and limits are checked before
/// either; so the most a body can hold is what it was granted. No sockets here.
class body_builder {
 public:
  /// `wire_bytes` is the body's length on the wire, if it was announced.
  body_builder(ingest_gate& gate, std::shared_ptr<const sender> from, const body_limits& limits, body_encoding encoding,
               std::optional<std::uint64_t> wire_bytes);

  /// What can be said against the body before anything is reserved for it.
  std::optional<body_fault> admissible() const;
  /// What `begin` will reserve.
  std::uint64_t first_reservation() const;
  /// Reserves what the body needs to begin. Call once, first.
  std::optional<body_fault> begin();

  struct space {
    char* data = nullptr;
    std::size_t size = 0; ///< Never 0.
  };
  /// Where to put the next bytes of an identity body. Errors: too large, no memory.
  std::optional<body_fault> room(space& result);
  /// That many bytes were put there.
  void filled(std::size_t bytes);

  /// Unpacks from `input` at most about `slice_bytes` of output; tells how much was consumed. Call again with
  /// the rest, at once or after others had their turn, until all of it is consumed and `idle` is set.
  std::optional<body_fault> unpack(std::string_view input, std::size_t& consumed, bool& idle);
  static constexpr std::size_t slice_bytes = 256u << 10;

  /// The body is complete: seals it. Errors: truncated.
  std::optional<body_fault> finish(std::shared_ptr<payload>& result);

  body_encoding encoding() const noexcept { return encoding_; }
  std::uint64_t wire_bytes() const noexcept { return wire_; }
  std::uint64_t size() const noexcept { return payload_->size(); }
  const std::shared_ptr<const sender>& from() const noexcept { return from_; }

 private:
  std::optional<body_fault> grow();
  std::optional<body_fault> reserve(std::uint64_t bytes, std::optional<credit>& granted);
  std::optional<body_fault> check_ratio() const;
  void shrink();

  ingest_gate& gate_;
  std::shared_ptr<const sender> from_;
  body_limits limits_;
  body_encoding encoding_;
  std::optional<std::uint64_t> announced_;
  std::unique_ptr<body_decoder> decoder_;
  std::optional<credit> decoder_credit_;
  std::shared_ptr<payload> payload_;
  std::uint64_t granted_ = 0;
  std::uint64_t wire_ = 0;
  char probe_ = 0; ///< Takes the byte that shows that a body is beyond its limit.
  bool probing_ = false;
  bool too_large_ = false;
};

} // namespace weir
