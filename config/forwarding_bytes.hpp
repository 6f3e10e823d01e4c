#pragma once

#include <string>
#include <string_view>

#include "config/config_snapshot.hpp"
#include "config/forwarding_config.hpp"
#include "config/scope_order.hpp"
#include "messages/forwarding.pb.h"

/// What writing and loading the forwarding config share. Not for other folders.
namespace weir {

constexpr std::string_view forwarding_magic = "WEIRFC01";
constexpr std::uint32_t forwarding_format = 1;
/// Bounds before allocation: 512 parts of 36 bytes, datasets and receivers; and a 256th of a million
/// jobs with the longest destinations, several times over.
constexpr std::size_t max_forwarding_header_bytes = 4u << 20;
constexpr std::size_t max_forwarding_part_bytes = 256u << 20;

/// Ends the reading of a config from wherever it is; caught by the function that began it, never further.
struct refusal {
  config_refusal reason;
  std::string text; ///< What follows "the forwarding config".
};

[[noreturn]] inline void refuse(config_refusal reason, std::string text) {
  throw refusal{reason, std::move(text)};
}

enum class config_half : std::uint8_t { table = 0, settings = 1 };

content_hash sha256(std::string_view bytes) noexcept;
std::string_view bytes_of(const content_hash& hash) noexcept;

/// Keeps the order of `jobs_by_scope` in the snapshot, part by part.
void keep_order(config_snapshot& snapshot, const std::vector<scope_ordered>& jobs);

/// Sets the hashes of all parts and of the content of a snapshot whose order is kept.
void hash_parts(config_snapshot& snapshot);

/// Over the datasets and the parts' hashes as they stand in the header.
content_hash content_hash_of(const proto::ForwardingHeader& header);

} // namespace weir
