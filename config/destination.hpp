#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/address.hpp"
#include "messages/secret.hpp"

namespace weir {

/// The kinds of destination this version can push to; `destination_types` names them all.
enum class destination_kind : std::uint8_t { file, https, http };

/// A destination taken apart and checked. Its text may hold passwords: print `redacted` only.
struct destination {
  destination_kind kind{};
  std::string host;       ///< Lower case; IPv6 in brackets. Empty for files.
  std::uint16_t port = 0; ///< 0 for files.
  /// file: the directory, decoded, absolute, without a slash at its end. https: the path as written,
  /// from `/` on. `{DATE}` in it stands for the day of the object.
  std::string path;
  secret query; ///< https: the parameters without `header_*`, as written, without `?`.
  std::vector<std::pair<std::string, secret>> headers; ///< From `header_NAME=VALUE`, decoded.
  std::uint64_t fingerprint = 0;
};

/// What destinations must keep to; from `[destinations]`.
struct destination_rules {
  address_policy addresses;
  bool allow_insecure_http = false;
  /// Directories `file://` may write under; empty: any, but `closed_roots`. The job API asks for a
  /// root to be listed.
  std::vector<std::string> file_roots;
  /// Directories nothing may be pushed to: the node's own data.
  std::vector<std::string> closed_roots;
  bool require_file_root = false; ///< For jobs that an operator did not write.
  bool files_only = false;        ///< On a scratch node nothing leaves the machine.
};

/// Headers a customer may set at most, and the longest value: what common servers take.
constexpr std::size_t max_destination_headers = 32;
constexpr std::size_t max_header_value_bytes = 2048;
constexpr std::size_t max_destination_path_bytes = 1024;

/// A destination, or why there is none: one sentence for the customer, naming the part that is wrong,
/// without any value of a parameter.
struct parsed_destination {
  std::optional<destination> value;
  std::string error;
};

/// Parses and checks `destination_conf`: form, header injection, path traversal, and addresses that
/// are written as numbers. Names are checked when they are resolved, see `address_policy`.
parsed_destination parse_destination(std::string_view text, const destination_rules& rules);

/// Like `text` with every parameter's value as `***`; any bytes are fine.
std::string redacted_destination(std::string_view text);

/// One row of the table of destination types; a new type is a new row.
struct destination_type {
  std::string_view scheme;
  std::string_view form; ///< As in the manual, for error messages.
  /// Fills the destination, or says what is wrong. Null: known, but not in this version.
  std::string (*parse)(std::string_view after_scheme, const destination_rules& rules, destination& into);
};

/// All schemes of the job API. Never empty.
const std::vector<destination_type>& destination_types();

/// `path` with `{DATE}` replaced by `YYYYMMDD`.
std::string with_date(std::string_view path, std::string_view date);

/// What an upload goes to: `file:///dir/name` or `https://host:port/path?query`, in which the object
/// name is no part: an HTTP destination gets all objects at one address. A file's path is not escaped.
/// May hold passwords.
secret upload_url(const destination& to, std::string_view object_name, std::string_view date);

} // namespace weir
