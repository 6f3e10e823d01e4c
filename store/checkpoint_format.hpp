#pragma once

#include <cstdint>

/// Numbers of the checkpoint file; docs/store-format.md, "Checkpoint". They never change their meaning.
namespace weir::store::checkpoint_format {

constexpr char magic[8] = {'W', 'E', 'I', 'R', 'C', 'K', 'P', '\n'};
constexpr std::size_t header_bytes = 8 + 4 + 4 + 8 + 4 + 8; ///< Magic, checksum, version, store, number, covers.
constexpr std::size_t part_header_bytes = 4 + 4 + 4 + 8;    ///< Checksum, kind, body bytes, position.

constexpr std::uint32_t part_jobs = 1;
constexpr std::uint32_t part_senders = 2;
constexpr std::uint32_t part_done = 3;
constexpr std::uint32_t part_known = 4;
constexpr std::uint32_t part_damages = 5;
constexpr std::uint32_t part_end = 6;
constexpr std::uint32_t part_senders_more = 7; ///< Beside `part_senders`, of the same moment.

constexpr std::uint8_t job_closed = 1;
constexpr std::uint8_t job_has_blocks = 2;
constexpr std::uint8_t job_has_cut = 4;
constexpr std::uint8_t job_has_dead = 8;

} // namespace weir::store::checkpoint_format
