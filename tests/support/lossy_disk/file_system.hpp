#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "tests/support/fake_disk.hpp"

struct fuse;

/// A mounted `fake_disk`: a file system in memory whose un-synced part a command takes away, as a power
/// cut would, from a process that is real. `kill -9` alone cannot show a missing fsync, because the
/// kernel keeps the dead process's pages and writes them later.
///
/// Why FUSE, and not a library for LD_PRELOAD that holds writes back:
/// - it outlives the process under test, so that the kill and the loss are two steps, in this order
///   and with the loss at a moment that is repeatable (after the n-th change);
/// - it sees what the kernel sees: writes of static programs, of io_uring, of mmap, of O_DIRECT, renames
///   by any libc call; a shim sees only the calls somebody thought of wrapping;
/// - nothing is loaded into the process under test, which runs as shipped (jemalloc, sanitizers);
/// - it is the same `fake_disk` that the unit tests use, so both agree what a crash may do.
/// The price: it needs root and /dev/fuse, and a system call more per write (330 MB/s written and synced on two cores).
///
/// The kernel caches no name and no attribute of it (timeouts 0) and forgets a file's pages at each open, so that
/// whoever opens a file after the cut sees what the cut left. Times and modes of files are not kept, links
/// do not exist, directories cannot be renamed, and fstat of a file that was removed fails with ESTALE.
namespace weir::lossy {

/// What runs behind the mount; the control connection acts on it while the kernel does.
struct mounted_disk {
  fake_disk disk;
  std::atomic<std::int64_t> sync_delay_ms{0};

  /// The hook that makes syncs slow. `crash` clears hooks, so it is set again after each.
  void install_delay();
};

/// Mounts `shared` and serves until SIGTERM or SIGINT; returns the exit code.
int serve(mounted_disk& shared, const std::string& mount_point);

} // namespace weir::lossy
