#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messages/credit.hpp"
#include "messages/ids.hpp"
#include "messages/receipt.hpp"

namespace weir {

struct config_snapshot;

/// The bytes of one body, or of what a receiver rendered from it. Written once by whoever fills it,
/// then shared and never changed. Behind the bytes lie `padding` readable ones for SIMD parsers.
/// It holds the memory it was granted and gives it back when the last reader lets go.
class payload {
 public:
  static constexpr std::size_t padding = 64;

  payload() = default;
  payload(const payload&) = delete;
  payload& operator=(const payload&) = delete;

  const char* data() const noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::string_view view() const noexcept { return {bytes_.get(), size_}; }
  std::size_t capacity() const noexcept { return capacity_; }

  /// For the filler. `reserve` keeps what is there; `data_for_writing` has `capacity` bytes.
  void reserve(std::size_t capacity) {
    if (capacity <= capacity_)
      return;
    std::unique_ptr<char[]> larger{new char[capacity + padding]};
    if (size_ != 0)
      std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }
  char* data_for_writing() noexcept { return bytes_.get(); }
  void resize(std::size_t size) noexcept { size_ = size; }
  /// Makes the padding defined; call once when filled.
  void seal() noexcept {
    if (bytes_)
      std::memset(bytes_.get() + size_, 0, padding);
  }
  void hold(credit granted) { granted_.push_back(std::move(granted)); }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::vector<credit> granted_;
};

/// Who sends a body, as its credential says. Shared by all bodies of one token.
struct sender {
  std::string token;               ///< Its name, never its text.
  bool any_scope = false;          ///< `*`
  std::vector<std::string> scopes; ///< `zones/…`, `accounts/…`; sorted.
};

/// One body as a source hands it to a forwarder. The receipt's ticket goes with it.
struct batch {
  std::shared_ptr<const payload> bytes;
  std::uint32_t dataset = 0; ///< Index in the node config's datasets.
  std::string scope;         ///< `zones/<id>` when the path says it; else each event does.
  std::shared_ptr<const weir::sender> sender;
  batch_id id;
  bool strict = false;           ///< One bad line refuses the body.
  std::uint64_t received_ns = 0; ///< Wall clock, since 1970.
  ticket root;                   ///< Held until the last slice has its own.
  credit on_the_way;             ///< Given back when the shards have it.
};

/// A piece of a payload: one event, without its line end.
struct line {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

/// The lines of one scope within a routed batch.
struct scope_group {
  std::uint32_t entry = 0;      ///< Of the forwarding table of `routed_batch::version`.
  std::uint32_t first_line = 0; ///< In `routed_batch::lines`.
  std::uint32_t lines = 0;
  std::string_view scope; ///< Bare id; points into the payload or the batch.
};

/// What a forwarder hands to a receiver: the entitled lines, grouped by scope. Everything but the
/// ticket could cross a link; there the receipt ends (design section 2).
struct routed_batch {
  std::shared_ptr<batch> origin;
  config_version version{};
  ownership_epoch epoch{};
  std::vector<line> lines;
  std::vector<scope_group> groups;
  credit edge;                                     ///< Of the forwarder–receiver edge.
  std::shared_ptr<const config_snapshot> snapshot; ///< Keeps the table of `version` alive; a link leaves it out.
};

/// The events of one body that one job wants.
struct slice {
  job_id job{};
  std::uint32_t first_line = 0; ///< In `slice_batch::lines`.
  std::uint32_t lines = 0;
  std::uint32_t bytes = 0; ///< Of the lines with a line end each.
  std::string_view scope;  ///< Bare id; points into the body or its scope.
  ticket duty;
  credit share; ///< Of its tenant's memory, while that is contended.
};

/// What a receiver hands to a shard: the slices of one body that belong to its jobs.
struct slice_batch {
  std::shared_ptr<const payload> bytes; ///< The body, or what was rendered from it.
  std::shared_ptr<batch> origin;        ///< Keeps scopes and sender alive.
  config_version version{};
  std::vector<line> lines;
  std::vector<slice> slices;
  credit edge; ///< Of the receiver–shard edge.
};

} // namespace weir
