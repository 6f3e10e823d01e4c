#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actors/destinations/network_counters.hpp"
#include "messages/environment.hpp"

namespace weir {

struct file_settings {
  /// Directories that may be written under; empty: any but the closed ones.
  std::vector<std::string> roots;
  /// Directories nothing is ever written under: the node's own data.
  std::vector<std::string> closed_roots;
  /// They wait for the disk nearly all the time, and the kernel merges the flushes of those that wait
  /// together: on a virtual disk with 5 ms a flush one thread made 130–210 objects/s, four 500–2,900
  /// (busy and idle disk), 32 about 1.6 times as many as four.
  std::uint32_t threads = 4;
};

/// Uploads to `file:///directory/name`. The path is taken as it is written, without escapes.
///
/// A file appears under its name only when it is complete and durable: it is written as
/// `.name.part` in the same directory, synced, renamed, and the directory is synced. Directories
/// are made as needed. Files that are ready together share one sync of their directory. Since the
/// temporary name follows from the name, what a crash left behind is overwritten by the repeat of
/// the same upload; a failed upload removes its own.
///
/// A name that is taken is never overwritten: `exists`, with the identity that its members tell.
/// Paths with `.`, `..` or empty parts, or outside the roots, are `refused`, as are lasting
/// conditions (no permission, not a directory, name too long); everything else (disk full, I/O
/// error, read-only) is `failed`.
///
/// `whole_timeout` counts while this side owes a window; a disk that hangs cannot be interrupted.
///
/// Threads: calls may come from any thread and never touch the disk. Listeners are called on the
/// threads of the pool, one at a time for one upload.
std::shared_ptr<network> make_file_network(file_settings settings, std::shared_ptr<weir::disk> disk,
                                           std::shared_ptr<network_counters> counters);

} // namespace weir
