#pragma once

#include <string>

#include "config/node_config.hpp"
#include "config/toml_section.hpp"

/// The sections of `weir.toml`, one function each; what `parse_node_config` is made of. Not for other
/// folders.
namespace weir {

/// What the functions share while one file is read.
struct reading {
  const config_world& world;
  std::string folder; ///< Relative paths are relative to it.
  loaded_node_config& result;

  node_config& config() const noexcept { return result.config; }
};

/// `path` itself if absolute, else under the file's folder; `.` and `..` resolved as text.
std::string joined_path(const std::string& folder, const std::string& path);

/// Reads `limits`, `buffer`, `store`, `pusher`, `threads`, `shutdown` and `log`. Limits come first:
/// the bounds of others follow from them.
void read_limits(const reading& in, toml_section& root);
void read_buffer(const reading& in, toml_section& root);
void read_store(const reading& in, toml_section& root);
void read_pusher(const reading& in, toml_section& root);
void read_threads(const reading& in, toml_section& root);
void read_log(const reading& in, toml_section& root);

/// Reads `config`, `forwarding`, `guards`, `rollout`, and `drills` with `heartbeat`; after the limits.
void read_publication(const reading& in, toml_section& root);
void read_forwarding(const reading& in, toml_section& root);
void read_guards(const reading& in, toml_section& root);
void read_rollout(const reading& in, toml_section& root);
void read_drills(const reading& in, toml_section& root);

void read_ingest(const reading& in, toml_section& root);
void read_control(const reading& in, toml_section& root);
void read_tokens(const reading& in, toml_section& root);
/// Whether all that may be open at once fits into the open files that the process may have.
void check_open_files(const reading& in);

/// After all sections: what a scratch node may not do; see `config_world::scratch_root`.
void confine_scratch_node(const reading& in);

void read_datasets(const reading& in, toml_section& root);
void read_accounts(const reading& in, toml_section& root);
void read_destinations(const reading& in, toml_section& root);
void read_jobs(const reading& in, toml_section& root);

} // namespace weir
