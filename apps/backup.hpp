#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weir {

/// Backup and restore of a stopped node's data directory: store, last known good config, history, signing key, ledger
/// marks. docs/backup.md is the page for operators.
///
/// A backup is a directory: `data/` with every file under its own path, `manifest.json` with the size and SHA-256 of
/// each, `manifest.json.sha256` as `sha256sum -c` reads it. It holds what the node holds, so customers' events and
/// the secrets of their destinations: it is for its owner only (0700, 0600). The manifest comes last; without it the
/// backup is none.
struct backup_report {
  std::string error; ///< A sentence; empty: done.
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t jobs = 0;              ///< With a buffer in the store.
  std::uint64_t buffered_events = 0;   ///< That wait for delivery.
  bool damaged = false;                ///< The store has records that fail their checksum.
  std::uint64_t ended_generations = 0; ///< By a restore.
};

/// Told of each file as it is begun, and how many bytes of how many are done.
using backup_progress = std::function<void(const std::string& file, std::uint64_t done, std::uint64_t all)>;

/// Copies `data_dir` into `directory`, which must not be there or be empty, and reads the copy back. Takes the store's
/// lock meanwhile: refused if a node, or another backup, has it. `damaged` is no error: the copy is as good as the
/// store.
backup_report make_backup(const std::string& data_dir, const std::string& directory, const std::string& version,
                          const backup_progress& progress = {});

struct restore_options {
  std::uint64_t segment_bytes = 64ull << 20; ///< `store.segment_bytes` of the node it is for.
  bool accept_damage = false;                ///< Restore a backup whose store was damaged when it was made.
};

/// Checks every byte of the backup, puts it into `data_dir`, which must not be there or be empty, and ends the
/// generations of all jobs: the node that was backed up may have given numbers away since, and none must be given
/// twice. All or nothing: until everything is there and durable it lies in `<data_dir>.restoring`.
backup_report restore_backup(const std::string& directory, const std::string& data_dir, const restore_options& how,
                             const backup_progress& progress = {});

} // namespace weir
