#include "actors/sources/body_builder.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace weir {

namespace {

body_fault too_large(std::uint64_t limit) {
  return {{413, http_trouble::body_too_large, "body_too_large",
           fmt::format("a body has at most {} bytes, unpacked; send several smaller ones", limit)},
          0};
}

body_fault bad_encoding(std::string message) {
  return {{400, http_trouble::bad_encoding, "bad_encoding", std::move(message)}, 0};
}

} // namespace

body_builder::body_builder(ingest_gate& gate, std::shared_ptr<const sender> from, const body_limits& limits,
                           body_encoding encoding, std::optional<std::uint64_t> wire_bytes)
    : gate_(gate),
      from_(std::move(from)),
      limits_(limits),
      encoding_(encoding),
      announced_(wire_bytes),
      payload_(std::make_shared<payload>()) {
  if (encoding_ == body_encoding::gzip)
    decoder_ = make_gzip_decoder();
  else if (encoding_ == body_encoding::zstd)
    decoder_ = make_zstd_decoder(limits_.max_zstd_window);
}

std::optional<body_fault> body_builder::reserve(std::uint64_t bytes, std::optional<credit>& granted) {
  ingest_refusal refusal;
  granted = gate_.reserve(*from_, bytes, refusal);
  if (granted)
    return std::nullopt;
  const std::string_view error = refusal.status == 507 ? "disk_full" : refusal.status == 503 ? "unavailable" : "busy";
  return body_fault{{refusal.status, http_trouble::refused, error,
                     fmt::format("the node takes no more events now ({}); send the same again later", refusal.reason)},
                    std::max(refusal.retry_after_seconds, 1)};
}

std::optional<body_fault> body_builder::admissible() const {
  if (announced_ && *announced_ > limits_.max_bytes)
    return too_large(limits_.max_bytes);
  return std::nullopt;
}

std::uint64_t body_builder::first_reservation() const {
  const bool known = encoding_ == body_encoding::identity && announced_;
  return known ? *announced_ : std::min(limits_.step_bytes, limits_.max_bytes);
}

std::optional<body_fault> body_builder::begin() {
  if (auto fault = admissible())
    return fault;
  const auto bytes = first_reservation();
  std::optional<credit> granted;
  if (auto fault = reserve(bytes, granted))
    return fault;
  payload_->hold(*std::move(granted));
  payload_->reserve(bytes);
  granted_ = bytes;
  return std::nullopt;
}

/// Half as much again, so that a large body is moved few times and a small one wastes little.
std::optional<body_fault> body_builder::grow() {
  if (granted_ >= limits_.max_bytes)
    return too_large(limits_.max_bytes);
  const auto steps = (granted_ / 2 + limits_.step_bytes - 1) / limits_.step_bytes;
  const auto next = std::min(granted_ + std::max<std::uint64_t>(steps, 1) * limits_.step_bytes, limits_.max_bytes);
  std::optional<credit> granted;
  if (auto fault = reserve(next - granted_, granted))
    return fault;
  payload_->hold(*std::move(granted));
  payload_->reserve(next);
  granted_ = next;
  return std::nullopt;
}

std::optional<body_fault> body_builder::room(space& result) {
  if (too_large_)
    return too_large(limits_.max_bytes);
  if (payload_->size() == granted_) {
    if (granted_ >= limits_.max_bytes || (announced_ && granted_ >= *announced_)) {
      // Full; but whether the body is too large shows only if another byte comes.
      probing_ = true;
      result = {&probe_, 1};
      return std::nullopt;
    }
    if (auto fault = grow())
      return fault;
  }
  result = {payload_->data_for_writing() + payload_->size(), static_cast<std::size_t>(granted_ - payload_->size())};
  return std::nullopt;
}

void body_builder::filled(std::size_t bytes) {
  wire_ += bytes;
  if (bytes == 0)
    return;
  if (probing_)
    too_large_ = true;
  else
    payload_->resize(payload_->size() + bytes);
}

std::optional<body_fault> body_builder::check_ratio() const {
  if (payload_->size() <= limits_.ratio_free_bytes || payload_->size() / limits_.max_ratio <= wire_)
    return std::nullopt;
  return body_fault{{413, http_trouble::compression_ratio, "compression_ratio",
                     fmt::format("a body expands at most {} times; send it less densely packed", limits_.max_ratio)},
                    0};
}

std::optional<body_fault> body_builder::unpack(std::string_view input, std::size_t& consumed, bool& idle) {
  consumed = 0;
  idle = false;
  std::size_t produced = 0;
  while (produced < slice_bytes) {
    if (decoder_->memory_wanted() > 0 && !decoder_credit_) {
      if (auto fault = reserve(decoder_->memory_wanted(), decoder_credit_))
        return fault;
      decoder_->grant_memory(decoder_->memory_wanted());
    }
    // A full payload does not mean that there is more to come: the decoder may only have its trailer to check.
    if (payload_->size() == granted_ && granted_ < limits_.max_bytes)
      if (auto fault = grow())
        return fault;
    const bool full = payload_->size() == granted_;
    char* out = full ? &probe_ : payload_->data_for_writing() + payload_->size();
    const auto room = full ? 1 : std::min<std::size_t>(granted_ - payload_->size(), slice_bytes);
    const auto wanted_before = decoder_->memory_wanted();
    const auto step = decoder_->feed(input.substr(consumed), out, room);
    consumed += step.consumed;
    wire_ += step.consumed;
    if (step.what == body_decoder::step::result::window_too_large)
      return body_fault{
          {413, http_trouble::body_too_large, "window_too_large",
           fmt::format("a zstd window has at most {} bytes; pack without --long or --ultra", limits_.max_zstd_window)},
          0};
    if (step.what == body_decoder::step::result::bad)
      return bad_encoding("the body is damaged, or has bytes behind its end; pack it again");
    if (full && step.produced > 0)
      return too_large(limits_.max_bytes);
    payload_->resize(payload_->size() + step.produced);
    produced += step.produced;
    if (auto fault = check_ratio())
      return fault;
    if (step.consumed == 0 && step.produced == 0 && decoder_->memory_wanted() == wanted_before) {
      idle = true;
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// A small body in a payload of a whole step is moved to one of its own size, so that what waits for its
/// answer holds little memory. If that is refused, it keeps what it has.
void body_builder::shrink() {
  const auto size = payload_->size();
  if (size > granted_ / 2)
    return;
  ingest_refusal unused;
  auto exact = gate_.reserve(*from_, size, unused);
  if (!exact)
    return;
  auto smaller = std::make_shared<payload>();
  smaller->hold(*std::move(exact));
  smaller->reserve(size);
  if (size > 0)
    std::memcpy(smaller->data_for_writing(), payload_->data(), size);
  smaller->resize(size);
  payload_ = std::move(smaller);
}

std::optional<body_fault> body_builder::finish(std::shared_ptr<payload>& result) {
  if (too_large_)
    return too_large(limits_.max_bytes);
  if (decoder_ && !decoder_->complete())
    return bad_encoding("the body ends within a gzip member or zstd frame; pack and send it again");
  decoder_.reset();
  decoder_credit_.reset();
  shrink();
  payload_->seal();
  result = std::move(payload_);
  return std::nullopt;
}

} // namespace weir
