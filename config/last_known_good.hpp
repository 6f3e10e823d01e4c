#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "config/forwarding_config.hpp"
#include "config/forwarding_signature.hpp"

namespace weir {

class disk;

/// Which of the two files a config came from.
enum class good_copy : std::uint8_t { none, main, spare };
std::string_view name_of(good_copy x) noexcept;

struct last_known_good_result {
  config_snapshot_ptr snapshot; ///< Null: neither copy is good, or there is none.
  good_copy used = good_copy::none;
  bool first_start = false; ///< There is no file at all: this node never had a config.
  /// Why the copies that were not used were refused; `none` and empty for one that was not looked at or is good.
  config_refusal main_reason = config_refusal::none;
  std::string main_text;
  config_refusal spare_reason = config_refusal::none;
  std::string spare_text;
};

/// The last forwarding config whose rollout was complete, on this node's disk: `last-known-good` and
/// `last-known-good.spare` in one directory, equal, each in the form of `forwarding_config.hpp`, signed,
/// and for this user alone. A crash at any moment leaves at least one good copy.
class last_known_good {
 public:
  /// Both outlive this object. The directory is made when the first config is written.
  last_known_good(disk& on, std::string directory);

  /// Writes both copies, one after the other, each durable before the next is touched. Blocks for as long as
  /// that takes: 4 s, and twice 171 MB, for a million jobs. After an error the older config is still there.
  std::error_code write(const config_snapshot& snapshot, const config_signer& signer);

  /// Reads the main copy, or else the spare one. `expected.keys` name who may have signed; versions are not
  /// compared if `expected.in_force` is 0.
  last_known_good_result load(const forwarding_expectations& expected);

 private:
  std::error_code write_copy(const config_snapshot& snapshot, const config_signer& signer, const std::string& path);

  disk& disk_;
  std::string directory_;
};

} // namespace weir
