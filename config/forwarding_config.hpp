#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_snapshot.hpp"
#include "config/forwarding_signature.hpp"

/// The forwarding config as bytes: what is kept on disk as last known good and, later, sent to other
/// nodes. messages/forwarding.proto defines header and parts; docs/forwarding-config.md the file:
/// `WEIRFC01`, the envelope's length (4 bytes, little endian), the envelope with the header in it, and
/// the 512 parts, whose lengths and hashes stand in the header.
namespace weir {

constexpr unsigned forwarding_parts = 256;
constexpr std::size_t config_refusals = 20; ///< Number of reasons, `none` among them.

/// Why a forwarding config is refused. The last known good one stays in force then.
enum class config_refusal : std::uint8_t {
  none = 0,
  unreadable,      ///< The file cannot be read.
  blank,           ///< No byte, or nothing but white space or zeros.
  truncated,       ///< Ends before its end.
  unparsable,      ///< Not the bytes of a forwarding config.
  unknown_format,  ///< Of a newer version of Weir.
  wrong_checksum,  ///< Header or part differ from their hash.
  foreign_cluster, ///< Made for another cluster.
  older_version,   ///< Not newer than the version in force.
  unknown_dataset, ///< Names a dataset that this node's config does not, or with another kind of scope.
  zero_entries,    ///< Nobody would be entitled.
  too_many,        ///< More jobs than `limits.buffers`.
  inconsistent,    ///< Counts, order or halves contradict each other.
  wrong_signature, ///< Not signed by a key that this node trusts.
  unsigned_config, ///< Not signed at all, where a signature is needed.
  unknown_key,     ///< External: a key that the form does not have.
  duplicate,       ///< External: a key or a job is there twice.
  incomplete,      ///< External: a key that must be there is missing.
  invalid_job,     ///< External: a job that could not be declared like this.
  too_large,       ///< External: more bytes than `forwarding.max_bytes`, or one value is too long.
};

std::string_view name_of(config_refusal reason) noexcept;

/// What a node knows before it reads a config, and checks it against.
struct forwarding_expectations {
  std::string cluster;
  std::vector<dataset_config> datasets;
  job_defaults defaults;
  config_version in_force{};          ///< Versions up to this one are refused; 0 on start-up.
  std::uint64_t max_jobs = 1'000'000; ///< What this node can hold at all: `readable_jobs`.
  bool with_settings = true;          ///< False on a node that only forwards: the other half is skipped.
  /// Whose signature is good. Empty: signatures are not looked at.
  std::vector<config_public_key> keys;
};

struct forwarding_config_result {
  config_snapshot_ptr snapshot; ///< Null if refused.
  config_refusal reason = config_refusal::none;
  std::string text; ///< One sentence with both versions where it matters; no secret.
};

/// Reads one config and checks everything before any of it is used: checksums first, then meaning.
/// Holds one part in memory at a time.
forwarding_config_result load_forwarding_config(std::istream& from, const forwarding_expectations& expected);

/// Writes a snapshot of both halves so that `load_forwarding_config` gives an equal one. False if the
/// stream failed. The bytes hold customers' passwords: a file of them is for its owner only. Without a
/// signer the config is not signed.
bool write_forwarding_config(const config_snapshot& snapshot, std::ostream& into,
                             const config_signer* signer = nullptr);

} // namespace weir
